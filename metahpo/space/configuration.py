"""Configurations: plain dictionaries that hold exactly the active hyperparameters of a space, with builtin values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

Configuration = dict[str, Any]


def builtin(value: Any) -> Any:
    """A numpy scalar as the builtin that JSON knows; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def to_json(configuration: Mapping[str, Any]) -> str:
    """One text for one configuration: sorted keys, so that equal configurations are equal texts."""
    return json.dumps({k: builtin(v) for k, v in configuration.items()}, sort_keys=True)
