"""How long a user waits: import, `metahpo --help`, and a recommendation for 10,000 rows x 50 columns.

Each number is the least of several runs: what the code needs, whatever else the machine is doing.
"""

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


if __name__ == "__main__":
    for name, arguments in (
        ("python itself", ["-c", "pass"]),
        ("import metahpo", ["-c", "import metahpo"]),
        ("metahpo --help", ["-m", "metahpo.cli", "--help"]),
    ):
        print(f"{name:38s} {least_seconds([sys.executable, *arguments]):6.3f} s")

    import metahpo

    X, y = mixed_dataset()
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
        print(f"recommend, 10,000 x 50, {name:14s} {min(seconds):6.3f} s  {dict(recommended.timings)}")
