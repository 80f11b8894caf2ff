"""Compare refining a network by hypergradients after a search with further trials of the search.

`python scripts/try_hypergradients.py --out results.jsonl` tunes networks on generated and bundled tables of
scikit-learn, by the loss on validation rows, and prints the loss on test rows after each way to go on. A run that was
ended goes on where it stopped. A seed takes 3 to 7 minutes on one core. All trainings are short. Ways to
spend the same number of trainings after the search:

nothing
    The best configuration of the search.
search
    Further suggestions of the same search.
random
    Learning rate, weight decay and label smoothing are moved in random directions, by the same steps as below.
hypergradients
    They are moved against the gradient of the validation loss after the whole training, in forward mode (Franceschi et
    al., ICML 2017). What the gradient itself costs is not counted.

In each way, the configuration with the lowest validation loss is kept. It is trained anew with other seeds, and judged
on test rows.

Symbols: P weights w, first and second moments m and v, H = 3 hyperparameters h, in coordinates of the unit cube.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn.functional import one_hot

from metahpo.evaluation.ranking import signed_rank_p
from metahpo.learners.registry import learner_named
from metahpo.metafeatures.extraction import extract
from metahpo.networks.batched.optimiser_step import TINY, Coefficients
from metahpo.networks.batched.random_streams import Stream
from metahpo.networks.batched.training_configuration import BatchedModel
from metahpo.networks.mlp.hidden_layer import EPSILON
from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
from metahpo.networks.mlp.mlp_fitting import shape_of, training_configuration_of
from metahpo.networks.mlp.mlp_shape import MLPShape
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.tasks.task import Task

Array = NDArray[np.float64]
Configuration = dict[str, Any]
#: Hyperparameters that are refined.
REFINED = ("learning_rate", "weight_decay", "label_smoothing")
WAYS = ("nothing", "search", "random", "hypergradients")
#: First step in the unit cube. It is halved where the validation loss does not fall.
STEP = 0.1
#: Rows to train on, to validate on, and at most to test on.
N_TRAIN, N_VALIDATION, N_TEST = 400, 200, 4000
#: Trainings are short: at most this many epochs, of batches of at least this many rows.
MOST_EPOCHS, LEAST_BATCH = 20, 32
#: Seeds of the trainings that are judged.
JUDGED = (101, 102, 103)


@dataclass(frozen=True)
class Split:
    """Rows of a table in three parts."""

    X: Array
    y: NDArray[np.int64]
    X_validation: Array
    y_validation: NDArray[np.int64]
    X_test: Array
    y_test: NDArray[np.int64]


def classes(seed: int, **settings: Any) -> tuple[Array, NDArray[np.int64]]:
    """A table of `make_classification`."""
    made: tuple[Array, NDArray[np.int64]] = datasets.make_classification(n_samples=6000, random_state=seed, **settings)
    return made


def thresholds(
    make: Callable[..., tuple[Array, Array]], n_classes: int, **settings: Any
) -> tuple[Array, NDArray[np.int64]]:
    """A regression problem whose target is cut into classes of equal size."""
    X, y = make(n_samples=6000, random_state=0, **settings)
    return X, np.searchsorted(np.quantile(y, np.arange(1, n_classes) / n_classes), y)


TABLES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "two classes": lambda: classes(1, n_features=10, n_informative=5, flip_y=0.05),
    "two classes, noise": lambda: classes(2, n_features=20, n_informative=6, flip_y=0.2),
    "many columns": lambda: classes(3, n_features=60, n_informative=10, flip_y=0.05, class_sep=0.7),
    "four classes": lambda: classes(4, n_features=12, n_informative=8, n_classes=4, flip_y=0.05),
    "eight classes": lambda: classes(5, n_features=16, n_informative=10, n_classes=8, flip_y=0.05, class_sep=1.5),
    "rare class": lambda: classes(6, n_features=12, n_informative=6, weights=[0.9], flip_y=0.05),
    "clusters": lambda: classes(7, n_features=8, n_informative=6, n_clusters_per_class=6, class_sep=1.2),
    "quantiles": lambda: datasets.make_gaussian_quantiles(n_samples=6000, n_features=6, n_classes=3, random_state=0),
    "hastie": lambda: datasets.make_hastie_10_2(n_samples=6000, random_state=0),
    "friedman 1": lambda: thresholds(datasets.make_friedman1, 3, noise=1.0),
    "friedman 2": lambda: thresholds(datasets.make_friedman2, 4, noise=100.0),
    "friedman 3": lambda: thresholds(datasets.make_friedman3, 2, noise=0.2),
}


def split_of(table: str, seed: int) -> Split:
    """The rows of a table, drawn with a seed."""
    X, y = TABLES[table]()
    y = np.unique(y, return_inverse=True)[1]
    n_train = min(N_TRAIN, len(y) // 2)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=n_train, stratify=y, random_state=seed)
    n_validation = min(N_VALIDATION, len(y_rest) // 2)
    X_valid, X_test, y_valid, y_test = train_test_split(
        X_rest, y_rest, train_size=n_validation, stratify=y_rest, random_state=seed
    )
    return Split(X_train, y_train, X_valid, y_valid, X_test[:N_TEST], y_test[:N_TEST])


LEARNER = learner_named("mlp", "classification")
#: Tasks of the experience that are made of the bundled tables.
OWN_TASKS = ("breast-cancer", "optdigits", "pendigits")


def fitted(configuration: Mapping[str, Any], split: Split, seed: int) -> NetworkClassifier:
    """One network, trained on all training rows for all of its epochs, as a trial of the learner is."""
    network = LEARNER.estimator(configuration, seed).set_params(members=1, early_stopping=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit: NetworkClassifier = network.fit(split.X, split.y)
    return fit


def loss_on(network: NetworkClassifier, X: Array, y: NDArray[np.int64]) -> float:
    """Log loss. A network that diverged has the loss of an even guess."""
    of_class = network.predict_proba(X)[np.arange(len(y)), y]
    return float(-np.log(np.clip(np.nan_to_num(of_class, nan=1.0 / len(network.classes_)), 1e-7, 1.0)).mean())


def to_cube(configuration: Mapping[str, Any]) -> Array:
    """Coordinates of the hyperparameters that are refined, in the unit cube, shape (H,)."""
    space = LEARNER.space
    return np.array([float(space[name].to_vector(configuration[name])) for name in REFINED])


def from_cube(configuration: Mapping[str, Any], point: Array) -> Configuration:
    """The configuration with other values of the hyperparameters that are refined."""
    space = LEARNER.space
    return dict(configuration) | {
        name: float(space[name].to_value(float(np.clip(at, 0.0, 1.0)))) for name, at in zip(REFINED, point, strict=True)
    }


def values_at(h: Tensor) -> Tensor:
    """Learning rate, weight decay and label smoothing from coordinates of the unit cube; differentiable."""
    values = []
    for name, at in zip(REFINED, h, strict=True):
        of: Any = LEARNER.space[name]
        low, high = (math.log(of.lower), math.log(of.upper)) if of.log else (of.lower, of.upper)
        value = low + at * (high - low)
        values.append(value.exp() if of.log else value)
    return torch.stack(values)


class Network:
    """A multi-layer perceptron of the package as a function of its flat weights, for columns of numbers."""

    def __init__(self, shape: MLPShape) -> None:
        self.shape = shape
        self._sizes = {name: math.prod(size) for name, size in shape.parameters.items()}

    def weights(self, seed: int) -> Tensor:
        """First weights, shape (P,)."""
        parameters, _ = self.shape.initial(seed)
        return torch.cat([torch.from_numpy(parameters[name]).flatten() for name in self.shape.parameters]).double()

    def __call__(self, weights: Tensor, X: Tensor, kept: Tensor | None) -> Tensor:
        """Outputs (b, c) for rows (b, d). `kept` (depth, b, width) are factors of the units, for dropout.

        Batch normalisation always uses the statistics of the rows that are given.
        """
        parts = zip(self.shape.parameters.items(), torch.split(weights, list(self._sizes.values())), strict=True)
        p = {name: part.view(size) for (name, size), part in parts}
        hidden = X
        for layer in range(self.shape.depth):
            weight = p["numbers.weight"] if layer == 0 else p[f"weight.{layer}"]
            z = hidden @ weight + p[f"bias.{layer}"]
            if self.shape.normalisation != "none":
                axis = 0 if self.shape.normalisation == "batch" else 1
                centred = z - z.mean(axis, keepdim=True)
                unit = centred * (centred.square().mean(axis, keepdim=True) + EPSILON).rsqrt()
                z = unit * p[f"gain.{layer}"] + p[f"shift.{layer}"]
            y = {"relu": torch.relu, "silu": torch.nn.functional.silu, "tanh": torch.tanh}[self.shape.activation](z)
            if kept is not None:
                y = y * kept[layer]
            hidden = y + hidden if layer and self.shape.residual else y
        output: Tensor = hidden @ p["output.weight"] + p["output.bias"]
        return output


def hypergradient(configuration: Mapping[str, Any], split: Split, network: NetworkClassifier) -> tuple[float, Array]:
    """Validation loss after a training, and its gradient by the H coordinates: forward mode.

    The training has the first weights, the order of rows and the steps of `network`, which was fitted with the
    configuration. Its dropout is drawn anew. ``w_h`` is the derivative of w by h, shape (H, P); so are all ``.._h``.
    """
    table = network._table(split.X, split.y, network._weight(None, split.y))
    X, wanted = torch.from_numpy(table.numbers), one_hot(torch.from_numpy(split.y), len(network.classes_)).double()
    row_weight = torch.ones(len(X), dtype=X.dtype) if table.weight is None else torch.from_numpy(table.weight)
    settings, shape = training_configuration_of(network), shape_of(network, table)
    model = BatchedModel(shape, settings, np.arange(len(X)), np.arange(0))
    function, stream, generator = Network(shape), Stream(model), torch.Generator().manual_seed(settings.seed)
    (n_steps, batch), decoupled = model.steps_and_batch, settings.optimiser == "adamw"
    # With a learning rate of 1, the coefficients of a step are those that the learning rate multiplies.
    of_steps = Coefficients([replace(settings, learning_rate=1.0, weight_decay=0.0)])
    of_schedule = Coefficients([replace(settings, learning_rate=1.0, weight_decay=1.0, optimiser="adamw")])
    a, look_ahead, b = (float(part[0]) for part in (of_steps.average, of_steps.look_ahead, of_steps.forget))

    h = torch.from_numpy(to_cube(configuration))
    rate, decay, smoothing = values_at(h).tolist()
    rate_h, decay_h, smoothing_h = torch.func.jacfwd(values_at)(h)[:, :, None]
    w = function.weights(settings.seed)
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    w_h, m_h, v_h = (torch.zeros(len(h), len(w), dtype=w.dtype) for _ in range(3))
    for epoch in range(settings.epochs):
        done = np.array([epoch * n_steps]), np.array([epoch]), n_steps
        c, d, _ = of_steps.of_epoch(*done)[..., 0]
        factors = 1.0 - of_schedule.of_epoch(*done)[2, :, 0]
        for i, rows in enumerate(torch.from_numpy(stream.orders(epoch))):
            kept = None
            if shape.dropout:
                drawn = torch.rand(shape.depth, batch, shape.width, generator=generator, dtype=w.dtype)
                kept = (drawn >= shape.dropout).to(w.dtype) / (1.0 - shape.dropout)
            at, s = w.requires_grad_(), torch.tensor(smoothing, dtype=w.dtype, requires_grad=True)
            target = wanted[rows] * (1.0 - s) + s / wanted.shape[1]
            each = -(target * torch.log_softmax(function(at, X[rows], kept), 1)).sum(1)
            g, of_s = torch.autograd.grad((each * row_weight[rows]).mean(), (at, s), create_graph=True)
            g_h = torch.stack([torch.autograd.grad(g, at, column, retain_graph=True)[0] for column in w_h])
            g_h = g_h + smoothing_h * torch.autograd.grad(of_s, at)[0]
            w, g = w.detach(), g.detach()
            g = g + settings.l1 * torch.sign(w)
            if not decoupled:
                g, g_h = g + decay * w, g_h + decay * w_h + decay_h * w
            m, m_h = m + a * (g - m), m_h + a * (g_h - m_h)
            v, v_h = b * v + g * g, b * v_h + 2.0 * g * g_h
            u, u_h = m + look_ahead * (g - m), m_h + look_ahead * (g_h - m_h)
            root = (v + TINY).sqrt()
            divisor = c[i] * root + d[i]
            divisor_h = c[i] * v_h / (2.0 * root)
            shrunk, shrunk_h = w, w_h
            if decoupled:
                shrunk_h = w_h - factors[i] * (rate * decay * w_h + (rate_h * decay + rate * decay_h) * w)
                shrunk = w - factors[i] * rate * decay * w
            w = shrunk - rate * u / divisor
            w_h = shrunk_h - rate_h * u / divisor - rate * (u_h / divisor - u * divisor_h / divisor.square())
    judged_at = torch.from_numpy(network._table(split.X_validation, split.y_validation, None).numbers)
    output = function(w.requires_grad_(), judged_at, None)
    loss = torch.nn.functional.cross_entropy(output, torch.from_numpy(split.y_validation))
    slope = w_h @ torch.autograd.grad(loss, w)[0]
    return loss.item(), slope.detach().numpy()


def best_of(optimizer: BayesianOptimizer) -> tuple[Configuration, float]:
    """Best configuration that was told, and its loss."""
    assert optimizer.incumbent is not None
    configuration, loss = optimizer.incumbent
    return dict(configuration), loss


@dataclass
class Search:
    """A search on one split, and the ways to go on after it."""

    split: Split
    seed: int
    n_more: int
    seconds_of_gradients: float = 0.0

    def loss(self, configuration: Mapping[str, Any]) -> float:
        """Validation loss after a training with the seed of the search."""
        network = fitted(configuration, self.split, self.seed)
        return loss_on(network, self.split.X_validation, self.split.y_validation)

    def refined(self, best: Configuration, loss: float, direction: Callable[[Configuration], Array]) -> Configuration:
        """The best configuration after `n_more` trainings at steps against a direction; a failed step is halved."""
        step = STEP
        for _ in range(self.n_more):
            ahead = direction(best)
            tried = from_cube(best, to_cube(best) - step * ahead / max(float(np.linalg.norm(ahead)), 1e-12))
            found = self.loss(tried)
            best, loss, step = (tried, found, step) if found < loss else (best, loss, step / 2.0)
        return best

    def after(self, optimizer: BayesianOptimizer) -> dict[str, Configuration]:
        """The configuration of each way to go on."""
        best, loss = best_of(optimizer)
        rng, known = np.random.default_rng(self.seed), dict[tuple[float, ...], Array]()

        def gradient(configuration: Configuration) -> Array:
            key = tuple(to_cube(configuration))
            if key not in known:
                began = time.process_time()
                network = fitted(configuration, self.split, self.seed)
                known[key] = hypergradient(configuration, self.split, network)[1]
                self.seconds_of_gradients += time.process_time() - began
            return known[key]

        found = {"nothing": best, "random": self.refined(best, loss, lambda _: rng.standard_normal(len(REFINED)))}
        found["hypergradients"] = self.refined(best, loss, gradient)
        self.go_on(optimizer, self.n_more)
        return found | {"search": best_of(optimizer)[0]}

    def go_on(self, optimizer: BayesianOptimizer, n_trials: int) -> None:
        """Make trials of the search."""
        for _ in range(n_trials):
            configuration = dict(optimizer.ask())
            configuration["epochs"] = min(configuration["epochs"], MOST_EPOCHS)
            configuration["batch_size"] = max(configuration["batch_size"], LEAST_BATCH)
            optimizer.tell(configuration, self.loss(configuration))


def made(table: str, seed: int, n_trials: int, n_more: int) -> dict[str, Any]:
    """Test loss and error of each way, and validation loss, on one table."""
    split = split_of(table, seed)
    search = Search(split, seed, n_more)
    task = Task.from_arrays(split.X, split.y, kind="classification")
    surrogate = Recommender("networks_classification").surrogate("mlp", "neg_log_loss")
    surrogate = surrogate.without_tasks([name for name in surrogate.task_names if name in OWN_TASKS])
    optimizer = BayesianOptimizer(surrogate.space, surrogate, extract(task).values, random_state=seed)
    search.go_on(optimizer, n_trials)
    record: dict[str, Any] = {"table": table, "seed": seed, "test loss": {}, "test error": {}, "validation loss": {}}
    judged: dict[str, tuple[float, float, float]] = {}
    for way, configuration in search.after(optimizer).items():
        key = json.dumps(configuration, sort_keys=True)
        if key not in judged:
            networks = [fitted(configuration, split, seed) for seed in JUDGED]
            losses = [loss_on(network, split.X_test, split.y_test) for network in networks]
            errors = [1.0 - network.score(split.X_test, split.y_test) for network in networks]
            judged[key] = float(np.mean(losses)), float(np.mean(errors)), search.loss(configuration)
        for name, value in zip(("test loss", "test error", "validation loss"), judged[key], strict=True):
            record[name][way] = value
    return record | {"gradient seconds": search.seconds_of_gradients, "trials": n_trials, "more": n_more}


def shown(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Means over tables, wins and losses against `nothing` by the test loss, and p of Wilcoxon's test."""
    rows = []
    for way in WAYS:
        loss = pd.DataFrame([{"table": r["table"], **r["test loss"]} for r in records]).groupby("table").mean()
        change = np.log(loss[way] / loss["nothing"])
        against = {other: np.log(loss[way] / loss[other]) for other in ("nothing", "search", "random") if other != way}
        rows.append(
            {
                "way": way,
                **{
                    name: np.mean([r[name][way] for r in records])
                    for name in ("validation loss", "test loss", "test error")
                },
                "change": math.expm1(change.mean()),
                "wins": int((change < -1e-9).sum()),
                "losses": int((change > 1e-9).sum()),
                **{f"p against {o}": signed_rank_p(d) for o, d in against.items()},
            }
        )
    return pd.DataFrame(rows).set_index("way")


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="results, one JSON line a run")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=15, help="of the search")
    parser.add_argument("--more", type=int, default=5, help="trainings after the search")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(record["table"], record["seed"]) for record in records}
    for seed in range(options.seeds):
        for table in options.tables:
            if (table, seed) not in done:
                records.append(made(table, seed, options.trials, options.more))
                with options.out.open("a") as file:
                    file.write(json.dumps(records[-1]) + "\n")
                print(table, seed, {way: round(loss, 4) for way, loss in records[-1]["test loss"].items()}, flush=True)
    print(shown(records).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
