"""A sketch of the rows of a dataset, by which it is recognised when it is shuffled, renamed or a subsample.

Each cell is hashed to 64 bits by its value, the hashes of a row are added, and the smallest distinct sums are kept
(a bottom-k sketch: Broder, "On the resemblance and containment of documents", 1997). The order of rows and of columns
and the names of columns make no difference, missing cells count nothing, and of a subsample those hashes are found
whose rows were drawn.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.tasks.task import Task

#: Hashes that are kept.
KEPT = 192
#: Fewest hashes in common by which a dataset is recognised.
MIN_COMMON = 3
#: Rows of more cells than this are drawn, not read as a whole, to be compared.
MAX_CELLS = 1_000_000
#: Bits of information that rows must hold beyond those by which pairs of unrelated rows would agree by chance. For each
#: bit that they lack, twice as many hashes in common are needed.
SPARE_BITS = 4.0
#: Information of a character of a text: about one bit in English (Shannon, Bell System Technical Journal 1951).
BITS_OF_CHARACTER = 1.0

_TRUTH = {"true": 1.0, "false": 0.0}


def row_sketch(task: Task) -> NDArray[np.int64]:
    """The smallest hashes of rows, ascending, at most `KEPT`."""
    return np.unique(_row_hashes(task.X))[:KEPT].view(np.int64)


def rows_in_common(task: Task, sketches: dict[str, NDArray[np.int64]], random_state: int = 0) -> dict[str, float]:
    """Sketches in which rows of a task are found -> estimated share of that dataset's rows that the task holds.

    Rows that hold little information agree by chance. The less they hold, the more rows must be found; a task of a few
    columns of two values is found in no sketch.
    """
    X = task.X
    if X.size > MAX_CELLS:
        n_rows = max(1, MAX_CELLS // X.shape[1])
        X = X.iloc[np.sort(np.random.default_rng(random_state).choice(len(X), n_rows, replace=False))]
    own = np.unique(_row_hashes(X))
    bits = _bits(X)
    found = {}
    for name, sketch in sketches.items():
        kept = np.sort(np.asarray(sketch, dtype=np.int64).view(np.uint64))
        if len(kept) < MIN_COMMON:
            continue
        n_distinct = len(kept) if len(kept) < KEPT else (len(kept) - 1) / (float(kept[-1]) / 2.0**64)
        lacking_bits = max(0.0, math.log2(max(2.0, len(own) * n_distinct)) + SPARE_BITS - bits)
        if len(kept) < MIN_COMMON * 2.0**lacking_bits:
            continue
        common = int((own[np.minimum(np.searchsorted(own, kept), len(own) - 1)] == kept).sum())
        if common >= MIN_COMMON * 2.0**lacking_bits:
            found[name] = common / len(kept)
    return found


def _row_hashes(X: pd.DataFrame) -> NDArray[np.uint64]:
    is_category = [isinstance(dtype, pd.CategoricalDtype) for dtype in X.dtypes]
    numbers = X.loc[:, [not category for category in is_category]].to_numpy(np.float64)
    total = np.where(np.isnan(numbers), np.uint64(0), _number_hashes(numbers)).sum(axis=1, dtype=np.uint64)
    for i in np.flatnonzero(is_category):
        column = pd.Categorical(X.iloc[:, int(i)])
        of_categories = np.array([_text_hash(str(c)) for c in column.categories] + [0], dtype=np.uint64)
        total += of_categories[column.codes]  # a missing cell has the code -1
    return _mixed(total)


def _number_hashes(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Hashes of numbers in single precision, so that the precision of a file makes no difference."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32) + np.float32(0.0)  # no negative zero
    return _mixed(single.view(np.uint32).astype(np.uint64) + np.uint64(1))


def _text_hash(text: str) -> int:
    """Hash of a category; of one that says a number, that of the number."""
    try:
        number = _TRUTH[text.lower()] if text.lower() in _TRUTH else float(text)
    except ValueError:
        return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")
    return int(_number_hashes(np.array([number]))[0]) if math.isfinite(number) else 0


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _bits(X: pd.DataFrame, n_rows: int = 1000) -> float:
    """Bits of information of a row, as if the columns were independent.

    Few rows cannot show how much their texts hold, because each occurs once: these are measured by their length.
    """
    total = 0.0
    for i in range(X.shape[1]):
        column = X.iloc[:n_rows, i].dropna()
        counts = column.value_counts().to_numpy(np.float64)
        counts = counts[counts > 0]
        if len(counts) > 1:
            share = counts / counts.sum()
            entropy = -float(share @ np.log2(share))
            unique = isinstance(column.dtype, pd.CategoricalDtype) and 2 * len(counts) > len(column)
            of_length = BITS_OF_CHARACTER * float(column.astype(str).str.len().mean()) if unique else 0.0
            total += max(entropy, of_length)
        if total > 100.0:
            break
    return total
