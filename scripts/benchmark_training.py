"""Seconds and memory that a surrogate takes to learn, and seconds of a suggestion, by the size of the experience.

Synthetic tasks, each a valley at a place of its own in the unit cube and each with configurations of its own, from 8
tasks to 10,000, from 10 configurations a task to 100,000, from 1 column to 100. Every size runs in a fresh process.
"""

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

SIZES = ((8, 10, 1), (100, 64, 8), (50, 200, 100), (20, 100_000, 10), (10_000, 10, 5))
ROW = "{:>7} {:>8} {:>8} {:>10} {:>9} {:>13} {:>12}"
#: A suggestion: from a pool of so many after so many trials, the median of so many.
POOL, TRIALS, REPEATS = 500, 50, 20


def measure(n_tasks: int, n_trials: int, n_columns: int) -> tuple[float, float, float, float]:
    """Seconds of training, GiB at most, milliseconds of a suggestion, and rank correlation on a task never seen."""
    import torch
    from scipy.stats import spearmanr

    from metahpo.evaluation.pool import PoolOptimizer
    from metahpo.metadata.task_table import TaskTable
    from metahpo.surrogates.fitting.training import train_on_tables

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    def valley(name: str, n: int) -> TaskTable:
        X, bottom = rng.random((n, n_columns)), rng.random()
        loss = np.square(X - bottom) @ (1.0 / (1.0 + np.arange(n_columns))) + 0.02 * rng.standard_normal(n)
        return TaskTable(name, name, X, loss, {"bottom": bottom, "noise": rng.random()})

    tables = [valley(f"task {i}", n_trials) for i in range(n_tasks)]
    start = time.perf_counter()
    surrogate = train_on_tables(tables)
    training = time.perf_counter() - start
    new = valley("new", POOL + TRIALS)
    known = surrogate.posterior(new.X, meta_features=new.meta_features).mixture_mean()
    optimizer, suggestions = PoolOptimizer(surrogate, new.meta_features), []
    for n in (TRIALS - 1, *[TRIALS] * REPEATS):  # the first has seen the pool before, as in a search
        start = time.perf_counter()
        optimizer.observe_and_suggest(new.X[:n], -new.loss[:n], new.X[n:])
        suggestions.append(1e3 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return training, peak, float(np.median(suggestions[1:])), float(spearmanr(known, new.loss).statistic)


def main() -> None:
    """Print a table, a row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, action="append", metavar=("TASKS", "TRIALS", "COLUMNS"))
    print(ROW.format("tasks", "trials", "columns", "training s", "peak GiB", "suggestion ms", "correlation"))
    for size in parser.parse_args().size or SIZES:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            training, peak, suggestion, correlation = process.submit(measure, *size).result()
        numbers = f"{training:.1f}", f"{peak:.2f}", f"{suggestion:.1f}", f"{correlation:.2f}"
        print(ROW.format(*map(str, size), *numbers), flush=True)


if __name__ == "__main__":
    main()
