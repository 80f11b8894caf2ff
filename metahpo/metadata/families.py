"""Splits by task family, so that related datasets are never on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from metahpo.exceptions import DataError
from metahpo.numerics.seed import check_seed

#: Positions of the tasks to learn from, and of those held out.
Sides = tuple[NDArray[np.intp], NDArray[np.intp]]


def family_folds(families: pd.Series, n_folds: int, random_state: int) -> Iterator[Sides]:
    """Sides such that every task is held out once.

    Raises
    ------
    DataError
        Fewer than two folds, or fewer families than folds.
    """
    if n_folds < 2:
        raise DataError(f"cross-validation needs at least 2 folds, but n_folds = {n_folds}.")
    if families.nunique() < n_folds:
        raise DataError(f"{n_folds} folds need as many task families, but there are {families.nunique()}.")
    check_seed(random_state)
    yield from GroupKFold(n_folds, shuffle=True, random_state=random_state).split(families, groups=families)


def family_split(families: pd.Series, test_share: float, random_state: int) -> Sides:
    """One pair of sides, with `test_share` of the families (rounded up) held out.

    Raises
    ------
    DataError
        A share outside (0, 1), or too few families for both sides.
    """
    if not 0.0 < test_share < 1.0:
        raise DataError(f"test_share must be between 0 and 1, but is {test_share}.")
    n_families = families.nunique()
    if n_families <= np.ceil(test_share * n_families):
        raise DataError(f"test_share = {test_share} leaves no family to train on: there are {n_families} families.")
    check_seed(random_state)
    splitter = GroupShuffleSplit(1, test_size=test_share, random_state=random_state)
    train, held_out = next(splitter.split(families, groups=families))
    return train, held_out


def family_groups(families: Sequence[str], n_groups: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Group of each task, shape (T,). Whole families are assigned at random to at most `n_groups` groups."""
    distinct, family = np.unique(np.asarray(families), return_inverse=True)
    return np.asarray(rng.permutation(len(distinct))[family] % n_groups)
