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


def compare_with_default(
    losses: NDArray[np.float64], standard_errors: NDArray[np.float64], chosen: int, default: int = 0
) -> DefaultComparison:
    """Compare two recorded configurations of a task by the one-standard-error rule (Breiman et al. 1984, 3.4.3).

    Parameters
    ----------
    losses : ndarray of shape (n_configurations,)
        Mean loss of each configuration; NaN = failed.
    standard_errors : ndarray of shape (n_configurations,)
        Of these means; NaN where it is not known, which counts as 0.
    chosen, default : int
        Rows.

    Raises
    ------
    DataError
        Losses and standard errors are not of one length, or a row is outside them.
    """
    if losses.ndim != 1 or losses.shape != standard_errors.shape:
        raise DataError(
            "losses and standard errors must be of one shape (n_configurations,), but are of shapes "
            f"{losses.shape} and {standard_errors.shape}."
        )
    if not (0 <= chosen < len(losses) and 0 <= default < len(losses)):
        raise DataError(f"rows must lie in 0 .. {len(losses) - 1}, but are {chosen} (chosen) and {default} (default).")
    chosen_loss, default_loss = float(losses[chosen]), float(losses[default])
    standard_error = float(standard_errors[default])
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
