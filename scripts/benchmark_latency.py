"""How long a user waits: import, `metahpo --help`, a recommendation for 10,000 rows x 50 columns, a suggestion.

Each number is the least of several runs: what the code needs, whatever else the machine is doing. Only a suggestion,
the next of a pool of 500 after 50 trials, is the median of many, on one core.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import pandas as pd

REPEATS = 5


def least_seconds(command: list[str]) -> float:
    """Least wall-clock seconds of a command."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def mixed_dataset(n_rows: int = 10_000, n_columns: int = 50) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with gaps, ten columns of categories, five classes."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((n_rows, n_columns)), columns=[f"x{i}" for i in range(n_columns)])
    y = (X["x0"] + X["x1"] * X["x2"]).rank(pct=True).mul(4.999).astype(int).to_numpy()
    X = X.mask(rng.random(X.shape) < 0.02)
    for i in range(10):
        X[f"x{i + 10}"] = rng.choice(list("abcdefgh"), n_rows)
    return X, y


def median_suggestion(learner: str, n_pool: int = 500, n_trials: int = 50, repeats: int = 50) -> float:
    """Median seconds of a suggestion by the shipped surrogate of a learner, each of another search."""
    import torch

    from metahpo.evaluation.pool import PoolOptimizer
    from metahpo.metadata import release
    from metahpo.space.design import sobol_design
    from metahpo.space.encoding import SpaceEncoder
    from metahpo.surrogates.artefact import load_surrogate, surrogate_path

    torch.set_num_threads(1)
    folder = release.locate("tabular_classification")
    surrogate = load_surrogate(surrogate_path(folder, learner, "balanced_accuracy"))
    pool = SpaceEncoder(surrogate.space).encode(sobol_design(surrogate.space, n_pool + n_trials))
    optimizer, rng, seconds = PoolOptimizer(surrogate), np.random.default_rng(0), []
    for _ in range(repeats):
        rows = rng.permutation(len(pool))
        tried, left = pool[rows[:n_trials]], pool[rows[n_trials:]]
        values = -np.square(tried - 0.4).sum(axis=1) + 0.1 * rng.standard_normal(n_trials)
        optimizer.observe_and_suggest(tried[:-1], values[:-1], left)  # the trial before this one
        start = time.perf_counter()
        optimizer.observe_and_suggest(tried, values, left)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="of the table that is recommended for")
    parser.add_argument("--suggestions", type=int, default=50, help="that are timed for each learner")
    given = parser.parse_args()
    for name, arguments in (
        ("python itself", ["-c", "pass"]),
        ("import metahpo", ["-c", "import metahpo"]),
        ("metahpo --help", ["-m", "metahpo.cli", "--help"]),
    ):
        print(f"{name:38s} {least_seconds([sys.executable, *arguments]):6.3f} s")

    import metahpo

    X, y = mixed_dataset(given.rows)
    start = time.perf_counter()
    metahpo.recommend(X.head(200), y[:200], "svm")
    print(
        f"first recommendation of a process      {time.perf_counter() - start:6.3f} s (imports, loads the experience)"
    )
    for learner in ("svm", None):
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            recommended = metahpo.recommend(X, y, learner)
            seconds.append(time.perf_counter() - start)
        name = learner or "all learners"
        print(f"recommend, {len(X):6,} x 50, {name:14s} {min(seconds):6.3f} s  {dict(recommended.timings)}")
    for learner in ("svm", "boosting"):
        print(f"a suggestion, {learner:24s} {1e3 * median_suggestion(learner, repeats=given.suggestions):6.1f} ms")
