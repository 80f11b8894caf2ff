"""Networks a minute: one at a time in a plain torch loop, against batched models, on a random design of the space.

Both train the same networks on the same rows, with validation after each epoch, in one run, by turns, so that whatever
else the machine is doing slows both. On a CPU the loop has one thread, which at these sizes is as quick as two
(`--plain-threads`), and the batched models have all cores; on a GPU (`--device cuda`) they are stacked, and the loop is
there as well. Few epochs are enough: the ratio does not depend on them. The roof is the time that the matrix products
and the optimisers' traffic would take on all cores, at the speed that one core reaches on one large product and on one
large addition.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metahpo.learners.registry import learner_named
from metahpo.networks.batched.batched_training import Pool
from metahpo.networks.batched.grouping import train_models
from metahpo.networks.batched.learning_rate_schedule import factors
from metahpo.networks.batched.training_configuration import BatchedModel, TrainingConfiguration
from metahpo.networks.mlp.compiled.compiled_training import train_on_cpu
from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.networks.mlp.mlp_fitting import training_configuration_of
from metahpo.networks.mlp.mlp_network import StackedMLP, stacking_order
from metahpo.networks.mlp.mlp_shape import MLPShape
from metahpo.space.design import sobol_design

#: Rows, numeric columns, and categorical columns of ten categories each.
SIZES = ((300, 8, 2), (1500, 20, 4), (6000, 50, 8))
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class PlainMLP(nn.Module):
    """The same network as an ordinary module."""

    def __init__(self, shape: MLPShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.n_codes, shape.embedding_size)
        widths = [shape.n_numbers + shape.n_embedded] + [shape.width] * shape.depth
        self.linears = nn.ModuleList([nn.Linear(n, shape.width) for n in widths[:-1]])
        norms: dict[str, Callable[[int], nn.Module]] = {
            "none": nn.Identity,
            "batch": nn.BatchNorm1d,
            "layer": nn.LayerNorm,
        }
        norm = norms[shape.normalisation]
        self.norms = nn.ModuleList([norm(shape.width) for _ in self.linears])
        self.dropout = nn.Dropout(shape.dropout)
        self.output = nn.Linear(shape.width, shape.n_outputs)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Logits."""
        hidden = torch.cat([numbers, self.embedding(codes).flatten(1)], dim=1)
        for layer, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            value = self.dropout(ACTIVATIONS[self.shape.activation](norm(linear(hidden))))
            hidden = hidden + value if layer and self.shape.residual else value
        logits: Tensor = self.output(hidden)
        return logits


def plain_optimiser(configuration: TrainingConfiguration, network: nn.Module) -> torch.optim.Optimizer:
    """Optimiser of a training configuration."""
    rate, decay = configuration.learning_rate, configuration.weight_decay
    parameters = network.parameters()
    if configuration.optimiser == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay)
    if configuration.optimiser == "adam":
        return torch.optim.Adam(parameters, rate, weight_decay=decay)
    if configuration.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, weight_decay=decay)
    if configuration.optimiser == "adagrad":
        return torch.optim.Adagrad(parameters, rate, weight_decay=decay)
    momentum = 0.0 if configuration.optimiser == "sgd" else configuration.momentum
    return torch.optim.SGD(
        parameters, rate, momentum=momentum, weight_decay=decay, nesterov=configuration.optimiser == "nesterov"
    )


def train_plainly(model: BatchedModel, pool: Pool) -> None:
    """One network, as one would write it."""
    configuration, shape = model.configuration, model.shape
    torch.manual_seed(configuration.seed)
    device = pool.target.device
    network = PlainMLP(shape).to(device)
    optimiser = plain_optimiser(configuration, network)
    n_steps, batch = model.steps_and_batch
    numbers, codes = pool.inputs
    train, validation = (torch.as_tensor(rows, device=device) for rows in (model.train, model.validation))
    for epoch in range(configuration.epochs):
        order = train[torch.randperm(len(train), device=device)]
        rates = configuration.learning_rate * factors(
            configuration.schedule, (epoch + np.arange(n_steps) / n_steps) / configuration.epochs
        )
        total = torch.zeros((), device=device)
        network.train()
        for step in range(n_steps):
            rows = order[step * batch : (step + 1) * batch]
            optimiser.param_groups[0]["lr"] = rates[step]
            optimiser.zero_grad()
            logits = network(numbers[rows], codes[rows])
            loss = functional.cross_entropy(logits, pool.target[rows], label_smoothing=configuration.label_smoothing)
            penalised = loss
            if configuration.l1:
                penalised = loss + configuration.l1 * sum(p.abs().sum() for p in network.parameters())
            torch.autograd.backward(penalised)
            optimiser.step()
            total += loss.detach()
        network.eval()
        with torch.no_grad():
            logits = network(numbers[validation], codes[validation])
            functional.cross_entropy(logits, pool.target[validation]).item()
            (logits.argmax(dim=1) == pool.target[validation]).double().mean().item()
        total.item()


def models_of_design(
    n_models: int, size: tuple[int, int, int], epochs: int, device: torch.device
) -> tuple[list[BatchedModel], Pool]:
    """A random design of the whole space on a made-up table of three classes."""
    n_rows, n_numbers, n_categorical = size
    rng = np.random.default_rng(0)
    numbers, codes = rng.standard_normal((n_rows, n_numbers)), rng.integers(1, 11, (n_rows, n_categorical))
    target = np.digitize(numbers[:, 0] * numbers[:, 1] + (codes[:, 0] > 5), [0.0, 0.8])
    pool = Pool(
        [
            torch.as_tensor(numbers, dtype=torch.float32, device=device),
            torch.as_tensor(codes + 10 * np.arange(n_categorical), device=device),
        ],
        torch.as_tensor(target, device=device),
    )
    train, validation = np.split(rng.permutation(n_rows), [int(0.9 * n_rows)])
    learner = learner_named("mlp", "classification")
    models = []
    for configuration in sobol_design(learner.space, n_models, random_state=1, default_first=False):
        estimator = learner.estimator(configuration, 0)
        assert isinstance(estimator, NetworkEstimator)
        estimator.seed_ = 0
        shape = MLPShape(
            n_numbers,
            n_categorical,
            10 * n_categorical + 1,
            3,
            estimator.depth,
            estimator.width,
            estimator.embedding_size,
            estimator.activation,
            estimator.normalisation,
            estimator.residual,
            estimator.dropout,
        )
        models.append(
            BatchedModel(shape, replace(training_configuration_of(estimator), epochs=epochs), train, validation)
        )
    return models, pool


def machine_speed() -> tuple[float, float]:
    """Multiply-adds a second in one large product, and bytes a second in one large addition."""
    a, big = torch.rand(1024, 1024), torch.rand(1 << 24)
    products = 1024**3 / min(seconds(lambda: a @ a) for _ in range(5))
    return products, 12 * len(big) / min(seconds(lambda: torch.add(big, big, out=big)) for _ in range(5))


def roof_seconds(models: Sequence[BatchedModel], products_per_second: float, bytes_per_second: float) -> float:
    """Seconds of the products, and of reading and writing weights, gradient and two moments once a step."""
    total = 0.0
    for model in models:
        n_steps, batch = model.steps_and_batch
        step = model.shape.products(batch) / products_per_second + 7 * 4 * model.shape.n_parameters / bytes_per_second
        total += n_steps * model.configuration.epochs * step
    return total


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def train_batched(models: Sequence[BatchedModel], pool: Pool, n_jobs: int) -> None:
    """All networks, the way of their device."""
    if pool.target.device.type == "cpu":
        train_on_cpu(models, pool, n_jobs=n_jobs)
    else:
        train_models(models, pool, StackedMLP, order=stacking_order)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=128, help="configurations of the design")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="threads of the batched models")
    parser.add_argument("--plain-threads", type=int, default=1, help="torch's threads, in the plain loop")
    parser.add_argument("--parts", type=int, default=2, help="turns that the plain loop is cut into")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    products, traffic = machine_speed()
    torch.set_num_threads(arguments.plain_threads)
    print(f"{arguments.cores} cores, of each {2e-9 * products:.0f} GFLOP/s, {1e-9 * traffic:.0f} GB/s")
    print(f"{'rows x columns':>16s} {'plain/min':>10s} {'models/min':>10s} {'ratio':>6s} {'of roof':>8s}")
    ratios = []
    for size in SIZES:
        models, pool = models_of_design(arguments.models, size, arguments.epochs, torch.device(arguments.device))
        train_plainly(models[0], pool)  # first calls load kernels, or compile
        train_batched(models[:2], pool, 1)
        plain, together = 0.0, []
        for part in range(arguments.parts):
            start = time.perf_counter()
            for model in models[part :: arguments.parts]:
                train_plainly(model, pool)
            middle = time.perf_counter()
            train_batched(models, pool, arguments.cores)
            plain += middle - start
            together.append(time.perf_counter() - middle)
        quick = sum(together) / len(together)
        ratios.append(plain / quick)
        share = roof_seconds(models, products, traffic) / arguments.cores / quick
        print(
            f"{size[0]:>9d} x {size[1] + size[2]:<4d} {60 * len(models) / plain:10.0f} "
            f"{60 * len(models) / quick:10.0f} {ratios[-1]:6.1f} {share:8.1%}"
        )
    print(f"median ratio: {median(ratios):.1f}")


if __name__ == "__main__":
    main()
