"""A task from a file: CSV, Parquet, or the name of a bundled dataset."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metahpo.exceptions import DataError
from metahpo.tasks.bundled import BUNDLED, bundled_task
from metahpo.tasks.task import Task


def read_table(source: str, target: str | None = None) -> Task:
    """Read a task from a file with a header.

    Parameters
    ----------
    source : str
        Path of a .csv or .parquet file, or the name of a bundled dataset.
    target : str, default=None
        Column to be predicted; None takes the last.

    Raises
    ------
    DataError
        No such file, another format, or no such column.
    """
    if source in BUNDLED:
        return bundled_task(source)
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{source!r} is neither a file nor one of the bundled datasets {list(BUNDLED)}.")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{source!r} must be a .csv or .parquet file, but ends in {path.suffix!r}.")
    try:
        frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{source!r} cannot be read: {error}.") from error
    if frame.shape[1] < 2:
        raise DataError(f"{source!r} must hold a target and at least one feature, but has {frame.shape[1]} column(s).")
    column = frame.columns[-1] if target is None else target
    if column not in frame.columns:
        raise DataError(f"{source!r} has no column {column!r}; its columns are {list(frame.columns)[:20]}.")
    return Task.from_arrays(frame.drop(columns=column), frame[column], name=path.stem)
