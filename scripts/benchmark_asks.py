"""How long one suggestion takes, side by side: `python scripts/benchmark_asks.py`, on one core.

A mixed space of ten hyperparameters (the random forest's), and 100 observations. Each search is told the same 100
configurations and losses, then asked and told again. The medians of an ask are printed, in milliseconds: of the CPU
time, which is what a free core takes, and of the time on the clock. The first ask is not counted: it loads libraries.

- `metahpo warm`: from the experience that ships; `metahpo cold`: without;
- `Optuna TPE`, `Optuna GP`, `SMAC3`, `BoTorch`: with their defaults, where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from threadpoolctl import threadpool_limits

from metahpo import BayesianOptimizer
from metahpo.metadata import release
from metahpo.search.engines import search_engine
from metahpo.space.configuration import Configuration
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.artefact import load_surrogate, surrogate_path

#: The library that each method needs.
LIBRARIES = {
    "metahpo warm": "metahpo",
    "metahpo cold": "metahpo",
    "Optuna TPE": "optuna",
    "Optuna GP": "optuna",
    "SMAC3": "smac",
    "BoTorch": "botorch",
}
N_OBSERVED = 100


class Smac:
    """SMAC3's facade for hyperparameters."""

    def __init__(self, space: ConfigurationSpace, folder: Path) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        scenario = Scenario(space, deterministic=True, n_trials=10_000, seed=0, output_directory=folder)
        self._facade = HyperparameterOptimizationFacade(scenario, _never_called, logging_level=40, overwrite=True)
        self._space = space

    def ask(self) -> Configuration:
        """The next configuration."""
        return dict(self._facade.ask().config)

    def tell(self, configuration: Mapping[str, Any], loss: float) -> None:
        """Report a loss."""
        from ConfigSpace import Configuration as Chosen
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        self._facade.tell(TrialInfo(Chosen(self._space, values=configuration), seed=0), TrialValue(cost=loss))


class BoTorch:
    """A single-task process with log expected improvement on the unit cube of the space."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self._encoder = SpaceEncoder(space)
        self._rows: list[Any] = []
        self._losses: list[float] = []

    def ask(self) -> Configuration:
        """The next configuration."""
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        X, y = torch.tensor(np.array(self._rows)), -torch.tensor(self._losses)[:, None].double()
        y = (y - y.mean()) / y.std()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskGP(X, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            bounds = torch.tensor([[0.0], [1.0]]).double().repeat(1, X.shape[1])
            best, _ = optimize_acqf(
                LogExpectedImprovement(model, y.max()), bounds, q=1, num_restarts=10, raw_samples=512
            )
        return self._encoder.decode(self._encoder.legal_rows(best.numpy()))[0]

    def tell(self, configuration: Mapping[str, Any], loss: float) -> None:
        """Report a loss."""
        self._rows.append(self._encoder.encode([configuration])[0])
        self._losses.append(loss)


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("SMAC is asked and told, and calls nothing")


def searches(space: ConfigurationSpace, surrogate: Any, folder: Path) -> dict[str, Callable[[], Any]]:
    """Method -> function that makes its search."""
    return {
        "metahpo warm": partial(BayesianOptimizer, space, surrogate, {}, random_state=0),
        "metahpo cold": partial(BayesianOptimizer, space, random_state=0),
        "Optuna TPE": partial(search_engine, "tpe", space, 0),
        "Optuna GP": partial(search_engine, "gp", space, 0),
        "SMAC3": partial(Smac, space, folder),
        "BoTorch": partial(BoTorch, space),
    }


def ask_seconds(search: Any, told: list[Configuration], loss: Callable[[Configuration], float], n: int) -> np.ndarray:
    """CPU seconds, and seconds on the clock, of n asks after the first one, of shape (n, 2)."""
    for configuration in told:
        search.tell(configuration, loss(configuration))
    seconds = []
    for _ in range(n + 1):
        began = np.array([time.process_time(), time.perf_counter()])
        configuration = search.ask()
        seconds.append(np.array([time.process_time(), time.perf_counter()]) - began)
        search.tell(configuration, loss(configuration))
    return np.array(seconds[1:])


def main() -> None:
    """Print one line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asks", type=int, default=30, help="that are timed for each method")
    parser.add_argument("--methods", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    surrogate = load_surrogate(
        surrogate_path(release.locate("tabular_classification"), "random_forest", "balanced_accuracy")
    )
    space: ConfigurationSpace = surrogate.space
    encoder, rng = SpaceEncoder(space), np.random.default_rng(0)
    told = encoder.decode(encoder.legal_rows(rng.random((2 * N_OBSERVED, encoder.n_columns))))[:N_OBSERVED]

    def loss(configuration: Configuration) -> float:
        return float(np.square(encoder.encode([configuration])[0] - 0.4).sum() + 0.1 * rng.standard_normal())

    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        for name, make in searches(space, surrogate, Path(folder)).items():
            if name not in given.methods:
                continue
            if importlib.util.find_spec(LIBRARIES[name]) is None:
                print(f"{name:14s} is not installed")
                continue
            of_cpu, of_clock = 1e3 * np.median(ask_seconds(make(), told, loss, given.asks), axis=0)
            print(f"{name:14s} {of_cpu:8.1f} ms of CPU time {of_clock:8.1f} ms on the clock", flush=True)


if __name__ == "__main__":
    main()
