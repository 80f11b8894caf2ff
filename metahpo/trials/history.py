"""The history of one optimisation run: its trials in order, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.space.configuration import Configuration

#: Status of a trial that failed, where no more is known of how it ended.
FAILED, SUCCESS = "failed", "success"


class TrialHistory:
    """Trials in order: configurations with their losses, seconds, rows, status and constraints.

    A NaN loss is a failed trial. A trial of fewer rows than the whole is no incumbent, and neither is one that violates
    a constraint.

    Parameters
    ----------
    n_rows : int, default=None
        Rows that a whole trial is trained on. None: the most rows of any trial; a trial without rows is a whole one.
    """

    def __init__(self, n_rows: int | None = None) -> None:
        self.n_rows = n_rows
        self.configurations: list[Configuration] = []
        self.statuses: list[str] = []
        self._losses: list[float] = []
        self._seconds: list[float] = []
        self._rows: list[float] = []
        self._constraints: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._losses)

    def append(
        self,
        configuration: Mapping[str, Any],
        loss: float,
        seconds: float = float("nan"),
        *,
        rows: int | None = None,
        status: str | None = None,
        constraints: Sequence[float] = (),
    ) -> None:
        """Record one trial.

        Parameters
        ----------
        configuration : mapping
        loss : float
            Not finite: the trial failed.
        seconds : float, default=NaN
            NaN: not known.
        rows : int, default=None
            Rows that it was trained on; None: all.
        status : str, default=None
            How it ended; None: "success", or "failed" where the loss is not finite.
        constraints : sequence of float, default=()
            Each is at most 0 where the constraint holds.
        """
        finite = bool(np.isfinite(loss))
        self.configurations.append(dict(configuration))
        self.statuses.append(status or (SUCCESS if finite else FAILED))
        self._losses.append(float(loss) if finite else float("nan"))
        self._seconds.append(float(seconds))
        self._rows.append(np.inf if rows is None else float(rows))
        self._constraints.append(tuple(float(value) for value in constraints))

    @property
    def losses(self) -> NDArray[np.float64]:
        """Losses of shape (n,), NaN where the trial failed."""
        return np.array(self._losses, dtype=np.float64)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds of each trial, of shape (n,); NaN if unknown."""
        return np.array(self._seconds, dtype=np.float64)

    @property
    def rows(self) -> NDArray[np.float64]:
        """Rows that each trial was trained on, of shape (n,), infinite where that was not told."""
        return np.array(self._rows, dtype=np.float64)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Mask of trials that were trained on all rows, shape (n,)."""
        rows = self.rows
        return np.asarray(rows >= (rows.max(initial=1.0) if self.n_rows is None else self.n_rows), dtype=bool)

    @property
    def constraints(self) -> NDArray[np.float64]:
        """Constraints of shape (n, c), at most 0 where they hold; NaN where they were not told."""
        width = max(map(len, self._constraints), default=0)
        found = np.full((len(self), width), np.nan)
        for i, values in enumerate(self._constraints):
            found[i, : len(values)] = values
        return found

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Mask of trials that violate no reported constraint, shape (n,)."""
        return np.asarray(~np.any(self.constraints > 0.0, axis=1))

    @property
    def incumbent(self) -> tuple[Configuration, float] | None:
        """Best configuration so far and its loss; None while nothing has succeeded."""
        losses = self._of_candidates()
        if not np.isfinite(losses).any():
            return None
        best = int(np.argmin(losses))
        return self.configurations[best], float(losses[best])

    def best_so_far(self) -> NDArray[np.float64]:
        """Lowest loss after each trial, of shape (n,); infinite until the first success."""
        return np.minimum.accumulate(self._of_candidates())

    def to_frame(self) -> pd.DataFrame:
        """One row a trial: hyperparameters, loss, best so far, and what else is known of any trial.

        That is ``seconds``, ``rows`` (infinite: all), and ``constraint_0`` and so on.
        """
        frame = pd.DataFrame(self.configurations)
        frame = frame.assign(loss=self.losses, best_so_far=self.best_so_far())
        if np.isfinite(self.seconds).any():
            frame = frame.assign(seconds=self.seconds)
        if np.isfinite(self.rows).any():
            frame = frame.assign(rows=self.rows)
        return frame.assign(**{f"constraint_{i}": column for i, column in enumerate(self.constraints.T)})

    def _of_candidates(self) -> NDArray[np.float64]:
        """Losses (n,), infinite for trials that cannot be the incumbent."""
        losses = self.losses
        return np.where(np.isfinite(losses) & self.whole & self.feasible, losses, np.inf)
