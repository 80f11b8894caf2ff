"""The schema of the lines of a trial store: fields of records, and versions that can be read.

Every line is one JSON object with the fields

- ``schema``: version of this description, now 2;
- ``kind``: ``trial``, ``refusal`` or ``retry``;

and those of its kind, which are the attributes of :class:`metahpo.trials.trial.Trial`,
:class:`metahpo.trials.records.TaskRefusal` and :class:`metahpo.trials.records.RetryRequest`. A trial has its
``identity`` besides, so that a record can be found, and checked, by it. Fields with a default may be absent.

Versions: 1 had trials alone, without ``schema``, ``kind``, ``attempt``, ``finished``, ``learning_curve``, ``device``
and ``peak_device_memory_bytes``; it is read as it is. A version above ours is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from metahpo.exceptions import DataError, StoreError

SCHEMA_VERSION = 2


def to_line(kind: str, content: Mapping[str, Any]) -> str:
    """A record as one line of JSON, without its end of line."""
    return json.dumps({"schema": SCHEMA_VERSION, "kind": kind, **content}, allow_nan=True, separators=(",", ":"))


def plain_text(text: str) -> str:
    """Text that UTF-8 can encode: a lone surrogate, as in names of files, becomes its escape sequence."""
    return text if str.isascii(text) else text.encode("utf-8", "backslashreplace").decode("utf-8")


def from_line(line: str | bytes) -> tuple[str, dict[str, Any]]:
    """Kind and content of a record.

    Raises
    ------
    DataError
        No record.
    StoreError
        A record of a newer version; the message says what to do.
    """
    try:
        record = _parsed(line)
        if not isinstance(record, dict):
            raise TypeError(f"a JSON object was expected, not {type(record).__name__}")
        version = int(record.pop("schema", 1))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"not a trial record ({error}): {line[:80]!r}") from error
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"a record of schema version {version}, written by a newer metahpo; this one reads up to "
            f"{SCHEMA_VERSION}. Upgrade metahpo to go on with this store."
        )
    return str(record.pop("kind", "trial")), record


def _parsed(line: str | bytes) -> Any:
    # orjson is five times as fast as json, and parsing takes most of the time of reading. But it rejects NaN, which a
    # learning curve may contain.
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line if isinstance(line, str) else line.decode())
