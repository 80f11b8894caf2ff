"""The first recommendation against the library's default, on the scale of the cross-validation's own noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.space.activity import default_configuration

Verdict = Literal["better", "equal", "worse"]


@dataclass(frozen=True)
class DefaultComparison:
    """Outcome on one task.

    Attributes
    ----------
    verdict : {"better", "equal", "worse"}
        Equal: the mean losses differ by at most one standard error. A failed configuration is worse than any other.
    difference : float
        Mean loss of the recommendation minus the default's, in the metric's unit; NaN where one of them failed.
    standard_error : float
        Standard error of the default's cross-validated loss; NaN where it failed or has a single fold.
    """

    verdict: Verdict
    difference: float
    standard_error: float


def compare_with_default(fold_losses: NDArray[np.float64], chosen: int, default: int = 0) -> DefaultComparison:
    """Compare two recorded configurations of a task by the one-standard-error rule (Breiman et al. 1984, 3.4.3).

    Parameters
    ----------
    fold_losses : ndarray of shape (n_configurations, n_folds)
        Loss of each configuration on each cross-validation fold; NaN = failed.
    chosen, default : int
        Rows.

    Raises
    ------
    DataError
        `fold_losses` is not a table, or a row is outside it.
    """
    if fold_losses.ndim != 2 or fold_losses.shape[1] == 0:
        raise DataError(
            f"fold losses must be of shape (n_configurations, n_folds), but are of shape {fold_losses.shape}."
        )
    if not (0 <= chosen < len(fold_losses) and 0 <= default < len(fold_losses)):
        raise DataError(
            f"rows must lie in 0 .. {len(fold_losses) - 1}, but are {chosen} (chosen) and {default} (default)."
        )
    n_folds = fold_losses.shape[1]
    chosen_loss, default_loss = float(fold_losses[chosen].mean()), float(fold_losses[default].mean())
    standard_error = float(fold_losses[default].std(ddof=1) / np.sqrt(n_folds)) if n_folds > 1 else float("nan")
    difference = chosen_loss - default_loss
    return DefaultComparison(_verdict(chosen_loss, default_loss, standard_error), difference, standard_error)


def _verdict(chosen: float, default: float, standard_error: float) -> Verdict:
    if np.isnan(chosen) or np.isnan(default):
        if np.isnan(chosen) and np.isnan(default):
            return "equal"
        return "worse" if np.isnan(chosen) else "better"
    margin = 0.0 if np.isnan(standard_error) else standard_error
    if abs(chosen - default) <= margin:
        return "equal"
    return "better" if chosen < default else "worse"


def default_rows(md: MetaDataset, space: str) -> dict[str, int]:
    """Row of the library default among each task's recorded configurations; tasks that lack it are left out."""
    default = md.encoder(space).encode([default_configuration(md.spaces[space])])
    rows = {table.task: np.flatnonzero((default == table.X).all(axis=1)) for table in md.tables(space)}
    return {task: int(found[0]) for task, found in rows.items() if len(found)}
