"""Milliseconds of a cold suggestion in spaces of many hyperparameters, with conditions and forbidden clauses.

    python scripts/benchmark_spaces.py --hyperparameters 10 100 --trials 60

Prints a line a space: median and largest wall-clock time of a suggestion after the initial design, and its CPU time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from ConfigSpace import (
    Categorical,
    Configuration,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    Integer,
)
from ConfigSpace.hyperparameters import Hyperparameter

from metahpo import BayesianOptimizer


def mixed_space(n: int, *, rules: bool) -> ConfigurationSpace:
    """A space of `n` hyperparameters of five kinds; with `rules`, of conditions and forbidden pairs as well."""
    space = ConfigurationSpace()
    choices = [Categorical(f"choice{i}", ["a", "b", "c"]) for i in range(n // 5)]
    switches = [Categorical(f"switch{i}", [True, False]) for i in range(n // 5)]
    numbers: list[Hyperparameter[Any, Any]] = []
    for i in range(n - 2 * (n // 5)):
        bounds = [(1e-4, 1.0), (0.0, 1.0)][i % 2]
        numbers.append(
            Integer(f"count{i}", (1, 500), log=True) if i % 3 == 0 else Float(f"x{i}", bounds, log=i % 2 == 0)
        )
    space.add(*choices, *switches, *numbers)
    if rules:
        for choice, number in zip(choices, numbers, strict=False):
            space.add(EqualsCondition(number, choice, "b"))
        for choice, switch in zip(choices, switches, strict=True):
            space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(choice, "c"), ForbiddenEqualsClause(switch, False)))
    return space


def measure(space: ConfigurationSpace, n_trials: int) -> tuple[list[float], list[float]]:
    """Wall-clock and CPU milliseconds of each suggestion after the initial design; each is checked by ConfigSpace."""
    optimizer, rng = BayesianOptimizer(space, random_state=0), np.random.default_rng(0)
    wall, cpu = [], []
    for trial in range(n_trials):
        started, used = time.perf_counter(), time.process_time()
        configuration = optimizer.ask()
        if trial >= 5:
            wall.append(1000 * (time.perf_counter() - started))
            cpu.append(1000 * (time.process_time() - used))
        Configuration(space, values=configuration)
        optimizer.tell(configuration, len(configuration) + float(rng.standard_normal()))
    return wall, cpu


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each space and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hyperparameters", type=int, nargs="+", default=[10, 100], help="sizes of the spaces")
    parser.add_argument("--trials", type=int, default=60, help="suggestions in each")
    options = parser.parse_args(arguments)
    for n in options.hyperparameters:
        for rules in (False, True):
            wall, cpu = measure(mixed_space(n, rules=rules), options.trials)
            print(
                f"{n:4d} hyperparameters{', rules' if rules else '':7s}: median {np.median(wall):6.1f} ms, largest "
                f"{max(wall):6.1f} ms; CPU median {np.median(cpu):6.1f} ms, largest {max(cpu):6.1f} ms"
            )


if __name__ == "__main__":
    main()
