"""How long meta-features take on one core, next to the goals: 60 ms at 1,000 x 20 and 150 ms at 1,000,000 x 50.

Medians of several calls, after one to warm up, in wall-clock and in processor time: where the core is not free, the
second says what the code needs. Mixed tables have a quarter of their columns categorical, and missing cells.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from metahpo.metafeatures.extraction import extract
from metahpo.tasks.task import KINDS, Task, TaskKind

REPEATS = 9
#: Rows and columns, and milliseconds.
GOALS = {(1_000, 20): 60, (1_000_000, 50): 150}


def table(n_rows: int, n_columns: int, kind: TaskKind, mixed: bool) -> Task:
    """A task with noise, interactions and, to classify, five classes."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((n_rows, n_columns)), columns=[f"x{j}" for j in range(n_columns)])
    signal = X["x0"] + X["x1"] * X["x2"] + 0.5 * rng.standard_normal(n_rows)
    if mixed:
        for j in range(n_columns // 2):
            X.loc[rng.random(n_rows) < 0.03, f"x{j}"] = np.nan
        for j in range(n_columns - n_columns // 4, n_columns):
            X[f"x{j}"] = pd.Categorical.from_codes(rng.integers(0, 8, n_rows), pd.Index(list("abcdefgh")))
    y = signal if kind == "regression" else pd.qcut(signal, 5, labels=False)
    return Task.from_arrays(X, y, kind=kind)


def milliseconds(task: Task) -> tuple[float, float]:
    """Median wall-clock and processor time of a call."""
    extract(task)
    taken = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        extract(task)
        taken.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = 1000.0 * np.median(taken, axis=0)
    return float(wall), float(processor)


def main() -> None:
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--size", type=int, nargs=2, action="append", metavar=("ROWS", "COLUMNS"), help="default: those with goals"
    )
    sizes = [tuple(size) for size in parser.parse_args().size or GOALS]
    print(f"{'rows':>9} {'columns':>7} {'kind':>14} {'sort':>7} {'wall ms':>7} {'processor ms':>12} {'goal ms':>7}")
    for n_rows, n_columns in sizes:
        goal = GOALS.get((n_rows, n_columns), "-")
        for kind in KINDS:
            for mixed in (False, True):
                wall, processor = milliseconds(table(n_rows, n_columns, kind, mixed))
                name = f"{kind:>14} {'mixed' if mixed else 'numeric':>7}"
                print(f"{n_rows:9,} {n_columns:7} {name} {wall:7.0f} {processor:12.0f} {goal:7}", flush=True)


if __name__ == "__main__":
    main()
