"""Conversion of texts of any container to strings, and of strings to words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from metahpo.exceptions import DataError

#: Words with inner apostrophes, numbers, or single marks.
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[^\w\s]|_")


def as_texts(X: Any) -> list[str]:
    """Texts of any container, a missing one empty; several columns of a table are joined by spaces.

    Raises
    ------
    DataError
        Values that are no text, or more than two dimensions.
    """
    columns = X.to_numpy(dtype=object) if isinstance(X, (pd.DataFrame, pd.Series)) else np.asarray(X, dtype=object)
    if columns.ndim not in (1, 2):
        raise DataError(f"texts must be a sequence, or columns of a table, but X has {columns.ndim} dimensions.")
    return [
        _text(row) if isinstance(row, str) or columns.ndim == 1 else " ".join(map(_text, row))
        for row in columns.tolist()
    ]


def is_text(column: pd.Series) -> bool:
    """Whether a column of a table holds strings, and nothing but strings and missing values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    return bool(pd.api.types.infer_dtype(column, skipna=True) == "string")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    raise DataError(
        f"texts must be strings, but one is {value!r} ({type(value).__name__}); convert it with str(), or decode it."
    )


def words_of(text: str, lowercase: bool = True) -> list[str]:
    """Words, numbers and marks of a text, in order. Numbers are replaced by their length."""
    found = WORD.findall(text.lower() if lowercase else text)
    return [f"<{len(word)} digits>" if word.isdigit() else word for word in found]
