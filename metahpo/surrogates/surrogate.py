"""The protocols that surrogates implement; `posterior` is their main method."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import DataError
from metahpo.space.encoding import SpaceEncoder
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


def encoded(encoder: SpaceEncoder, configurations: Configurations) -> NDArray[np.float64]:
    """Rows (m, d) of the unit cube for configurations: see :meth:`Surrogate.posterior`.

    Raises
    ------
    DataError
        Rows of another shape, or not finite.
    """
    if not isinstance(configurations, np.ndarray):
        configurations = encoder.encode(configurations)
    rows = np.ascontiguousarray(configurations, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != encoder.n_columns or not np.isfinite(rows).all():
        raise DataError(
            f"configurations must be finite rows of shape (m, {encoder.n_columns}) in the unit cube, or dictionaries, "
            f"but came as an array of shape {rows.shape}."
        )
    return rows


def encoded_trials(encoder: SpaceEncoder, observed: Observed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows (n, d) of the unit cube and losses (n,) of trials: see :meth:`Surrogate.posterior`.

    Raises
    ------
    DataError
        Rows or losses of another shape, rows that are not finite, or an infinite loss.
    """
    rows, losses = encoded(encoder, observed[0]), np.asarray(observed[1], dtype=np.float64)
    if losses.shape != (len(rows),) or np.isinf(losses).any():
        raise DataError(
            f"observed losses must be finite (or NaN for a failed trial) and of shape {(len(rows),)}, one a "
            f"configuration, but have shape {losses.shape} and values {losses[:10]}."
        )
    return rows, losses


class TaskSurrogate(Protocol):
    """Surrogate on one task, for one search. It may cache what the search has predicted.

    Only one thread may use it at a time.
    """

    def posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the z-scores of rows of the unit cube: see :meth:`Surrogate.posterior`."""
        ...


@runtime_checkable
class AdaptiveSurrogate(Protocol):
    """Surrogate on one task that fits a process to the trials of the task itself.

    It knows of configurations under way, its process can be differentiated, and the hyperparameters of its latest fit
    are the state from which it goes on.

    Attributes
    ----------
    hyperparameters : ndarray or None
    """

    hyperparameters: NDArray[np.float64] | None

    def posterior(
        self,
        configurations: NDArray[np.float64],
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        noise: NDArray[np.float64] | None = None,
        under_way: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of rows of the unit cube: see :meth:`Surrogate.posterior`; `under_way` are rows without a loss."""
        ...

    def process(
        self,
        observed: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
        noise: NDArray[np.float64] | None = None,
        under_way: NDArray[np.float64] | None = None,
    ) -> Any:
        """What the trials alone say (:class:`metahpo.surrogates.cold_surrogate.FittedProcess`); None: nothing yet."""
        ...


class Surrogate(Protocol):
    """Model that predicts the z-scores of configurations on a task from its trials and meta-features.

    A surrogate is immutable and deterministic, so threads can share it. A search needs no more than `space` and
    `posterior`, and passes `meta_features` and `noise` only where it has any.
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
        """Predict the z-scores of `configurations` on a task.

        Parameters
        ----------
        configurations : ndarray of shape (m, d), or sequence of m mappings
        observed : pair (configurations, losses), default=None
            Trials so far. Losses can be on any scale, because the shift and the positive factor between losses and
            z-scores are inferred. NaN is a failed trial. It counts as worse than the worst successful trial.
        meta_features : mapping of str to float, default=None
            Meta-features of the task. Missing and NaN values are unknown.
        noise : ndarray of shape (n,), default=None
            Standard deviations, in units of the loss, of losses that are predictions for partly trained configurations.
            They are 0 for measured losses; only a measured loss can be the incumbent. None: all losses are measured.

        Raises
        ------
        DataError
            Arrays of the wrong shape, an infinite loss, or a negative or infinite noise.
        """


class TrainedSurrogate(Surrogate, Protocol):
    """A surrogate that was trained on a meta-dataset, that recommends, and that can be saved."""

    @property
    def space_name(self) -> str | None:
        """Name of the search space in the meta-dataset; None for the CASH space over all learners."""

    @property
    def metric(self) -> str:
        """Metric whose loss is predicted."""

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of its source tasks."""

    def on(self, meta_features: Mapping[str, float] | None = None) -> TaskSurrogate:
        """Return the surrogate on one task, for one search. It predicts the same as :meth:`posterior`, and faster.

        Parameters
        ----------
        meta_features : mapping of str to float, default=None
            Meta-features of the task. Missing and NaN values are unknown.
        """

    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each source task in the prediction, largest first; non-negative, with a sum of at most one."""

    def explain(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> Explanation:
        """Importance of hyperparameters on a task, and of source tasks and meta-features in the prediction."""

    def without_tasks(self, names: Collection[str]) -> TrainedSurrogate:
        """Return the surrogate without some of its source tasks, without training.

        Raises
        ------
        DataError
            No source task is left.
        """

    def with_task(
        self, name: str, family: str, observed: Observed, meta_features: Mapping[str, float] | None = None
    ) -> TrainedSurrogate:
        """Return the surrogate with one source task more, without training."""

    def interpolation(
        self, known: Configurations, new: Configurations
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (m, n) by which functions are interpolated from n configurations to m, and the open shares (m,)."""

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""


@dataclass(frozen=True)
class _Unprepared:
    """A surrogate without the method `on`, on one task."""

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
    """The surrogate on one task, for one search. Its method `on` is used if it has one."""
    on = getattr(surrogate, "on", None)
    prepared: TaskSurrogate = _Unprepared(surrogate, meta_features) if on is None else on(meta_features)
    return prepared
