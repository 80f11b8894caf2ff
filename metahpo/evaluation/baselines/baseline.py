"""The contract of a method: learn from tasks once, then pick configurations on a new task.

Three nouns, one verb each. A `Method` learns from the tables of the training tasks and becomes a `Policy`; the policy
starts a `Run` on one held-out task; the run suggests the next configuration of a pool.

Symbols: n trials so far, m configurations left in the pool, d columns of an encoded configuration. X in the unit
cube, losses are minimised, a failed trial has loss NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metahpo.metadata.task_table import TaskTable


class Run(Protocol):
    """A method at work on one task."""

    def suggest(self, X_obs: NDArray[np.float64], loss_obs: NDArray[np.float64], X_pool: NDArray[np.float64]) -> int:
        """Pick the next configuration.

        Parameters
        ----------
        X_obs : ndarray of shape (n, d)
            Configurations tried so far, oldest first; n is 0 at the start.
        loss_obs : ndarray of shape (n,)
            Their losses; NaN = failed.
        X_pool : ndarray of shape (m, d), m >= 1
            Configurations not yet tried, in the order in which they were recorded.

        Returns
        -------
        int
            Row of `X_pool`.
        """
        ...


class Policy(Protocol):
    """Result of learning of a method in one search space."""

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> Run:
        """Begin on a task with these meta-features (None = not known)."""
        ...


class Method(Protocol):
    """A method under comparison.

    Attributes
    ----------
    name : str
        Name in tables and figures.
    n_replays : int
        Replays of each task whose curves are averaged: 1 where the picks do not depend on `random_state`.
    """

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        ...

    @property
    def n_replays(self) -> int:
        """Replays of each task."""
        ...

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> Policy:
        """Learn from the training tasks; a method without transfer ignores them."""
        ...


def label_of(method: str) -> str:
    """Name of a method as a reader sees it."""
    return method.replace("_", " ")
