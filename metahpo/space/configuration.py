"""Configurations: plain dictionaries that hold exactly the active hyperparameters of a space, and their texts.

The identity of a configuration is the text of its canonical form: ``to_json(canonical(space, configuration))``. It
depends on names and values only, not on the order of keys, the spacing of a text, or how a number was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

Configuration = dict[str, Any]

#: Types that JSON gives back as they are.
JSON_SCALARS = frozenset((str, bool, int, float, type(None)))


def builtin(value: Any) -> Any:
    """Convert a numpy scalar to the builtin type that JSON knows. Other values are unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def to_json(configuration: Mapping[str, Any]) -> str:
    """Text of a configuration with sorted keys; equal configurations have equal texts.

    A value that JSON does not know (a function, an estimator) is written as its name.
    """
    # Most values need no change, and texts are made in great numbers.
    plain = {name: v if type(v) in JSON_SCALARS else json_value(v) for name, v in configuration.items()}
    return json.dumps(plain, sort_keys=True)


def value_text(value: Any) -> str:
    """Text of one value. Equal values have equal texts, and so have a tuple and a list of the same values."""
    return json.dumps(json_value(value), sort_keys=True)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are equal numbers, or otherwise have the same text."""
    one, other = builtin(one), builtin(other)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)):
        return bool(one == other)
    return value_text(one) == value_text(other)


def json_value(value: Any) -> Any:
    """A value in the types of JSON: tuples and arrays as lists, objects as the text that names them."""
    if value is None or (isinstance(value, (str, bool, int, float)) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.generic):
        return json_value(value.item())
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else value_text(key): json_value(item) for key, item in value.items()}
    return _name_of(value)


def in_words(parameters: Mapping[str, Any]) -> str:
    """A configuration or parameters as a person reads them: four digits of a number; 1.0 stays apart from 1."""
    return ", ".join(f"{name}={_in_brief(value)}" for name, value in parameters.items())


def _name_of(value: Any) -> str:
    """Importable name of a class or function; the text of any other object."""
    name = getattr(value, "__qualname__", "<")
    # Functions of one place in a program share the name "...<lambda>" or "...<locals>...".
    return repr(value) if "<" in name else f"{value.__module__}.{name}"


def _in_brief(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.4g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else text
