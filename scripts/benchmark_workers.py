"""How many more trials a second two workers make: `python scripts/benchmark_workers.py`.

Fits wait instead of computing, so that the numbers are those of the search and not of the cores that are free. Each
worker has a trial of its own (`parallel="trials"`). The start of the workers, and their imports, are not counted: a
short search comes first.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin

from metahpo import MetaSearchCV


class Waiting(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that takes some seconds to fit."""

    def __init__(self, x: float = 0.5, seconds: float = 0.1) -> None:
        self.x, self.seconds = x, seconds

    def fit(self, X: Any, y: Any) -> Waiting:
        """Wait."""
        time.sleep(self.seconds)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        """The first class, on a share of the rows that depends on x."""
        return np.where(np.arange(len(X)) < self.x * len(X), self.classes_[0], self.classes_[1])


def trials_a_second(n_jobs: int, n_trials: int, seconds: float, backend: str) -> float:
    """Trials a second of a cold search with so many workers."""
    X, y = np.zeros((60, 1)), np.arange(60) % 2
    space = ConfigurationSpace({"x": (0.0, 1.0)})
    search = MetaSearchCV(
        Waiting(seconds=seconds), space, cv=3, refit=False, random_state=0, n_jobs=n_jobs, parallel="trials"
    )
    with parallel_config(backend):
        search.set_params(n_trials=4 * n_jobs).fit(X, y)  # starts the workers
        began = time.perf_counter()
        search.set_params(n_trials=n_trials).fit(X, y)
    return n_trials / (time.perf_counter() - began)


def main() -> None:
    """Print trials a second for one worker and for several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a fit; a trial has three (default: 0.2)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backend", default="loky", help="of joblib (default: loky)")
    given = parser.parse_args()
    alone, together = (trials_a_second(n, given.trials, given.seconds, given.backend) for n in (1, given.workers))
    print(f"1 worker   {alone:6.2f} trials a second")
    print(f"{given.workers} workers  {together:6.2f} trials a second, {together / alone:.2f} times as many")


if __name__ == "__main__":
    main()
