"""The request to a recommender. It is checked before anything is read or computed."""

from __future__ import annotations

from dataclasses import dataclass

from metahpo.exceptions import DataError
from metahpo.tasks.scorers import check_scorer


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    learner : str or None
        None: all learners together.
    n : int
        Number of configurations.
    metric : str or None
        scikit-learn scorer name; None: the default of the kind of task.
    random_state : int
        Seed of the meta-features' subsample.
    """

    learner: str | None = None
    n: int = 5
    metric: str | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise DataError(f"n must be at least 1, but is {self.n}.")
        check_scorer(self.metric)
