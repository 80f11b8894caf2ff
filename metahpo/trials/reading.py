"""Conversion of lines of a store to records. Damaged lines are skipped, and a warning names their file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from metahpo.exceptions import DataError, StoreError, StoreWarning
from metahpo.trials.records import Record, record_of
from metahpo.trials.schema import from_line


def read_records(lines: Iterable[tuple[bytes, Path]], tasks: Set[str] | None = None) -> Iterator[Record]:
    """Records of lines, each given with the file that it is in.

    A trial in a damaged line is not recorded, so it is pending again. The warning comes after the last line, one a
    file.

    Parameters
    ----------
    tasks : set of str, default=None
        Trials of other tasks are skipped before they are parsed completely. None reads all tasks.

    Raises
    ------
    StoreError
        A record of a newer version.
    """
    damaged: dict[Path, list[str]] = {}
    for line, path in lines:
        try:
            kind, content = from_line(line)
            if tasks is None or kind != "trial" or _may_be_of(content, tasks):
                yield record_of(kind, content)
        except DataError as error:
            damaged.setdefault(path, []).append(str(error))
        except StoreError as error:
            raise StoreError(f"{str(path)!r} cannot be read: {error}") from error
    for path, errors in damaged.items():
        warnings.warn(
            f"{str(path)!r} holds {len(errors)} damaged lines, which are passed over: {errors[0]}. Trials in them are "
            f"pending again; `metahpo build verify {path.parent} --repair` sets these lines aside.",
            StoreWarning,
            stacklevel=3,
        )


def _may_be_of(content: dict[str, object], tasks: Set[str]) -> bool:
    """Whether a trial whose content was not checked may be of one of these tasks."""
    key = content.get("key")
    task = key.get("task") if isinstance(key, dict) else None
    return not isinstance(task, str) or task in tasks
