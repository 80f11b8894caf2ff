"""Cold searches of six functions with known minima, side by side with Optuna's samplers where Optuna is installed.

Every run is written down when it ends, so that a run of this script goes on where the one before was stopped::

    python scripts/benchmark_cold.py --out cold.jsonl --seeds 5

Spaces are not centred on the minimum, because a search begins with the default, which lies in the centre.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import Categorical, CategoricalHyperparameter, ConfigurationSpace, Float, Integer
from ConfigSpace.hyperparameters import IntegerHyperparameter, UniformFloatHyperparameter

from metahpo import BayesianOptimizer
from metahpo.space.values import choices_of

#: Trials after which regret is reported.
CHECKPOINTS = (30, 60)


@dataclass(frozen=True)
class Function:
    """A function of a search space, and its minimum."""

    space: ConfigurationSpace
    loss: Callable[[Mapping[str, Any]], float]
    minimum: float


def of_floats(loss: Callable[[np.ndarray], float], minimum: float, *ranges: tuple[float, float]) -> Function:
    """Function of the floats x0, x1, ..."""
    space = ConfigurationSpace({f"x{i}": bounds for i, bounds in enumerate(ranges)})
    return Function(space, lambda c: float(loss(np.array([c[f"x{i}"] for i in range(len(ranges))]))), minimum)


def branin(x: np.ndarray) -> float:
    """Three equal minima."""
    a = x[1] - 5.1 / (4 * np.pi**2) * x[0] ** 2 + 5 / np.pi * x[0] - 6
    return float(a**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x[0]) + 10)


def hartmann6(x: np.ndarray) -> float:
    """Six local minima."""
    A = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    P = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    return -float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(A * (x - P) ** 2).sum(axis=1)))


def ackley(x: np.ndarray) -> float:
    """A funnel under waves."""
    return float(20 + math.e - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) - np.exp(np.mean(np.cos(2 * np.pi * x))))


def rosenbrock(x: np.ndarray) -> float:
    """A bent valley."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def levy(x: np.ndarray) -> float:
    """Waves along each dimension."""
    w = 1 + (x - 1) / 4
    waves = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    end = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + waves.sum() + end)


def mixed() -> Function:
    """Two floats on log scales, an integer, and two choices."""
    space = ConfigurationSpace()
    space.add(
        Float("rate", (1e-5, 1.0), log=True),
        Float("decay", (1e-6, 1.0), log=True),
        Integer("depth", (1, 16)),
        Categorical("kind", ["a", "b", "c", "d"]),
        Categorical("flag", [True, False]),
    )

    def loss(c: Mapping[str, Any]) -> float:
        best = {"a": -3.4, "b": -2.2, "c": -1.0, "d": -4.0}[c["kind"]]
        penalty = {"a": 0.3, "b": 0.0, "c": 0.15, "d": 0.6}[c["kind"]]
        bowl = 0.4 * (np.log10(c["rate"]) - best) ** 2 + 0.1 * (np.log10(c["decay"]) + 4.3) ** 2
        return float(penalty + bowl + 0.02 * (c["depth"] - 6) ** 2 + (0.0 if c["flag"] else 0.2))

    return Function(space, loss, 0.0)


FUNCTIONS = {
    "branin": of_floats(branin, 0.397887357729738, (-5.0, 10.0), (0.0, 15.0)),
    "hartmann6": of_floats(hartmann6, -3.32236801141551, *[(0.0, 1.0)] * 6),
    "ackley5": of_floats(ackley, 0.0, *[(-5.0, 10.0)] * 5),
    "rosenbrock4": of_floats(rosenbrock, 0.0, *[(-5.0, 10.0)] * 4),
    "levy10": of_floats(levy, 0.0, *[(-5.0, 10.0)] * 10),
    "mixed": mixed(),
}


def metahpo(function: Function, n: int, seed: int) -> list[float]:
    """Losses of this package's cold search."""
    optimizer = BayesianOptimizer(function.space, random_state=seed)
    for _ in range(n):
        configuration = optimizer.ask()
        optimizer.tell(configuration, function.loss(configuration))
    return [float(loss) for loss in optimizer.history.losses]


def optuna_losses(sampler: str, function: Function, n: int, seed: int) -> list[float]:
    """Losses of a sampler of Optuna's."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
    losses = []
    for _ in range(n):
        trial = study.ask()
        configuration: dict[str, Any] = {}
        for name, h in function.space.items():
            if isinstance(h, CategoricalHyperparameter):
                configuration[name] = trial.suggest_categorical(name, choices_of(h)[0])
            elif isinstance(h, IntegerHyperparameter):
                configuration[name] = trial.suggest_int(name, int(h.lower), int(h.upper))
            elif isinstance(h, UniformFloatHyperparameter):
                configuration[name] = trial.suggest_float(name, float(h.lower), float(h.upper), log=h.log)
        losses.append(function.loss(configuration))
        study.tell(trial, losses[-1])
    return losses


def methods() -> dict[str, Callable[[Function, int, int], list[float]]]:
    """Method name -> function, number of trials and seed to losses."""
    found: dict[str, Callable[[Function, int, int], list[float]]] = {"metahpo": metahpo}
    if importlib.util.find_spec("optuna") is not None:
        found["optuna GP"] = partial(optuna_losses, "GPSampler")
        found["optuna TPE"] = partial(optuna_losses, "TPESampler")
    return found


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmark_cold.jsonl"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--methods", nargs="+", choices=methods(), default=list(methods()))
    arguments = parser.parse_args()
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    done = {(run["function"], run["method"], run["seed"]) for run in map(json.loads, lines)}
    with arguments.out.open("a", encoding="utf-8") as file:
        for seed in range(arguments.seeds):
            for name in arguments.functions:
                for method in arguments.methods:
                    if (name, method, seed) in done:
                        continue
                    function, began = FUNCTIONS[name], time.process_time()
                    losses = methods()[method](function, max(CHECKPOINTS), seed)
                    regret = {f"after {n}": min(losses[:n]) - function.minimum for n in CHECKPOINTS}
                    seconds = (time.process_time() - began) / len(losses)
                    run = {"function": name, "method": method, "seed": seed, **regret, "cpu_seconds_a_trial": seconds}
                    file.write(json.dumps(run) + "\n")
                    file.flush()
    runs = pd.read_json(arguments.out, lines=True)
    print(runs.drop(columns="seed").groupby(["function", "method"], sort=False).median().to_string(float_format="%.3g"))


if __name__ == "__main__":
    main()
