"""The contract of surrogates: one verb, `posterior`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.surrogates.explanation import Explanation
from metahpo.surrogates.posterior import Posterior

#: Rows of the unit cube, shape (m, d), or as many configurations as dictionaries.
Configurations = NDArray[np.float64] | Sequence[Mapping[str, Any]]
#: Configurations tried on the task at hand, and their losses, shape (n,); NaN is a failed trial.
Observed = tuple[Configurations, NDArray[np.float64]]


def checked_noise(noise: NDArray[np.float64], n_trials: int) -> NDArray[np.float64]:
    """Standard deviations of shape (n_trials,): see :meth:`Surrogate.posterior`.

    Raises
    ------
    DataError
        Of another shape, negative or not finite.
    """
    std = np.asarray(noise, dtype=np.float64)
    if std.shape != (n_trials,) or not (np.isfinite(std) & (std >= 0.0)).all():
        raise DataError(f"noise must be {n_trials} finite standard deviations, one a trial, but is {std}.")
    return std


class TaskSurrogate(Protocol):
    """Predicts the score of configurations on one task, for one search, and may remember what the search asked about.

    It is for one thread at a time.
    """

    def posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Belief about the scores of rows of the unit cube: see :meth:`Surrogate.posterior`."""
        ...


class Surrogate(Protocol):
    """Predicts the score of configurations on a task, from what was observed on it and what is known of it.

    A surrogate does not change under use: threads may share it, and equal questions get equal answers. A search needs
    no more than `space` and `posterior`, and passes `meta_features` and `noise` only where it has any.
    :class:`metahpo.testing.SurrogateContract` holds the tests that every implementation must pass.
    """

    @property
    def space(self) -> ConfigurationSpace:
        """Search space of the configurations."""

    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Belief about the scores of `configurations` on the task at hand.

        Parameters
        ----------
        configurations : ndarray of shape (m, d), or sequence of m mappings
        observed : pair (configurations, losses), default=None
            Trials so far. Losses may be on any scale: only a shift and a positive factor relate them to scores, and
            both are inferred. NaN is a failed trial: no better than the worst that succeeded.
        meta_features : mapping of str to float, default=None
            Of the task at hand; missing and NaN ones are treated as unknown.
        noise : ndarray of shape (n,), default=None
            Standard deviations of losses that are predictions, of partly trained configurations, in units of the loss;
            0 for those that were measured, among which the incumbent is. None: all were measured.

        Raises
        ------
        DataError
            Arrays of the wrong shape, an infinite loss, or a negative or infinite noise.
        """


class TrainedSurrogate(Surrogate, Protocol):
    """A surrogate that was trained on a meta-dataset, that recommends, and that can be saved."""

    @property
    def space_name(self) -> str | None:
        """Name of the search space in the meta-dataset; None for the joint space over all learners."""

    @property
    def metric(self) -> str:
        """Metric whose loss is predicted."""

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks it has learnt from."""

    def on(self, meta_features: Mapping[str, float] | None = None) -> TaskSurrogate:
        """The surrogate on one task, for one search; its answers are those of :meth:`posterior`, and come sooner.

        Parameters
        ----------
        meta_features : mapping of str to float, default=None
            Of the task; missing and NaN ones are treated as unknown.
        """

    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each training task in the prediction, from most to least; non-negative, at most one in sum."""

    def explain(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> Explanation:
        """Which hyperparameters matter on the task at hand, and which training tasks the prediction leans on."""

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""


@dataclass(frozen=True)
class _Unprepared:
    """A surrogate that has no `on`, on one task."""

    surrogate: Surrogate
    meta_features: Mapping[str, float] | None

    def posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """See :meth:`Surrogate.posterior`."""
        known: dict[str, Any] = {"meta_features": self.meta_features, "noise": noise}
        return self.surrogate.posterior(
            configurations, observed, **{name: value for name, value in known.items() if value is not None}
        )


def on_task(surrogate: Surrogate, meta_features: Mapping[str, float] | None = None) -> TaskSurrogate:
    """The surrogate on one task, for one search: by its own method `on`, where it has one."""
    on = getattr(surrogate, "on", None)
    prepared: TaskSurrogate = _Unprepared(surrogate, meta_features) if on is None else on(meta_features)
    return prepared
