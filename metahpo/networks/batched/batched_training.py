"""Training of one stack of models, which take each step together. Each model has its own training history.

Symbols: K models, P parameters of a model, n rows of the pool, S steps of an epoch, b rows of a batch, c outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from metahpo.networks.batched.optimiser_step import BatchedOptimiser
from metahpo.networks.batched.random_streams import Streams
from metahpo.networks.batched.stacked_network import StackedNetwork, StackedParameters
from metahpo.networks.batched.training_configuration import BatchedModel, Outcome, Progress
from metahpo.networks.batched.training_history import TrainingHistory

#: Finished models are removed from the stack when this share of its models is finished.
PACK_SHARE = 0.25
#: Size of an array, such that the five arrays of an optimiser fit into the second-level cache of a CPU core.
CACHED_NUMBERS = 1 << 15
#: Rows in one batch of predictions.
CHUNK = 4096

MakeNetwork = Callable[[Sequence[Any], torch.dtype, torch.device], StackedNetwork]


@dataclass(frozen=True)
class Pool:
    """The training and validation rows of all models.

    Attributes
    ----------
    inputs : sequence of Tensor of shape (n, ...)
    target : Tensor of shape (n,) of class indices, or (n, c) of numbers
    weight : Tensor of shape (n,) or None
        Weights of the rows, of mean one.
    """

    inputs: Sequence[Tensor]
    target: Tensor
    weight: Tensor | None = None

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return not self.target.is_floating_point()

    def batch(self, rows: Tensor) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Inputs, target and weights at `rows` (K, b)."""
        return [x[rows] for x in self.inputs], self.target[rows], None if self.weight is None else self.weight[rows]


def train_stack(
    models: Sequence[BatchedModel],
    pool: Pool,
    make_network: MakeNetwork,
    dtype: torch.dtype = torch.float32,
) -> list[Outcome]:
    """Train models as one stack.

    Parameters
    ----------
    models : sequence of BatchedModel
        All of the same `steps_and_batch`; with validation rows all, of one number, or none.
    pool : Pool
        Its device is where training runs.
    make_network : callable
        Shapes of models, dtype, device -> their stacked network.
    dtype : torch.dtype, default=float32

    Returns
    -------
    list of Outcome
        In the order of `models`. The outcome of a model does not depend on the other models of the stack, up to
        rounding errors: in float64 they stay below a relative 1e-9 for about ten epochs.
    """
    histories = [TrainingHistory.of(model) for model in models]
    outcomes: dict[int, Outcome] = {}
    running = list(range(len(models)))
    progress: dict[int, tuple[Progress, Progress]] = {}
    while running:
        alive = [(models[i], histories[i], progress.get(i)) for i in running]
        stack = _Stack(alive, pool, make_network, dtype)
        stack.train_until_a_share_is_done()
        for k, i in enumerate(running):
            if k in stack.outcomes:
                outcomes[i] = stack.outcomes[k]
            else:
                progress[i] = stack.progress(k)
        running = [i for i in running if i not in outcomes]
    return [outcomes[i] for i in range(len(models))]


class _Stack:
    """Models in memory, at their start or at the progress of an earlier stack."""

    def __init__(
        self,
        alive: Sequence[tuple[BatchedModel, TrainingHistory, tuple[Progress, Progress] | None]],
        pool: Pool,
        make_network: MakeNetwork,
        dtype: torch.dtype,
    ) -> None:
        models, self.histories, progress = zip(*alive, strict=True)
        self.pool = pool
        self.outcomes: dict[int, Outcome] = {}
        device = pool.target.device
        self.network = make_network([model.shape for model in models], dtype, device)
        self.n_steps, _ = models[0].steps_and_batch
        self.streams = Streams(models, device)
        n = len(models)
        self.weights, self.gradient, self.first, self.second, self.best_weights = (
            StackedParameters(self.network.parameters, n, dtype, device) for _ in range(5)
        )
        self.statistics, self.best_statistics = (
            StackedParameters(self.network.statistics, n, dtype, device) for _ in range(2)
        )
        self.like = []
        steps, epochs = [], []
        for k, model in enumerate(models):
            now, best = progress[k] or (model.beginning(),) * 2
            self.like.append(now)
            self.weights.write(k, now.parameters)
            self.first.write(k, now.first_moment)
            self.second.write(k, now.second_moment)
            self.statistics.write(k, now.statistics)
            self.best_weights.write(k, best.parameters)
            self.best_statistics.write(k, best.statistics)
            steps.append(now.steps)
            epochs.append(now.epochs)
        self.steps, self.epochs = np.array(steps), np.array(epochs)
        # The arrays of a few models stay in the cache of a CPU through all operations of an update.
        at_once = n if device.type == "cuda" else max(1, CACHED_NUMBERS // self.weights.flat.shape[1])
        self.parts = [
            (
                BatchedOptimiser(
                    [model.configuration for model in models[part]], self.first.flat[part], self.second.flat[part]
                ),
                self.weights.flat[part],
                self.gradient.flat[part],
            )
            for part in (slice(start, start + at_once) for start in range(0, n, at_once))
        ]
        self.named_weights, self.named_statistics = self.weights.named(), self.statistics.named()
        self.named_gradient = self.gradient.named()
        self.at_once = at_once
        self.smoothing = torch.tensor(
            [model.configuration.label_smoothing for model in models], dtype=dtype, device=device
        ).view(n, 1)
        validation = [model.validation for model in models]
        shared = all(v is validation[0] for v in validation)
        self.validation = torch.as_tensor(np.stack(validation[:1] if shared else validation), device=device)

    def train_until_a_share_is_done(self) -> None:
        """Train epochs until enough models are finished. Finished models continue, but their results are ignored."""
        while len(self.outcomes) < max(1.0, PACK_SHARE * len(self.histories)):
            start = time.perf_counter()
            train_loss = self._train_epoch()
            validation_loss, metric = self._validate()
            seconds = (time.perf_counter() - start) / len(self.histories)
            improved = [
                history.note(train_loss[k], validation_loss[k], metric[k], seconds)
                for k, history in enumerate(self.histories)
            ]
            if any(improved):
                chosen = torch.tensor(improved, device=self.weights.flat.device)
                self.best_weights.flat[chosen] = self.weights.flat[chosen]
                self.best_statistics.flat[chosen] = self.statistics.flat[chosen]
            for k, history in enumerate(self.histories):
                if history.status is not None and k not in self.outcomes:
                    self.outcomes[k] = self._outcome(k)

    @torch.no_grad()
    def _train_epoch(self) -> NDArray[np.float64]:
        """Train one epoch and return the mean training loss of every model (K,)."""
        self.streams.begin_epoch(self.epochs)
        for i, (optimiser, _, _) in enumerate(self.parts):
            part = slice(i * self.at_once, (i + 1) * self.at_once)
            optimiser.begin_epoch(self.steps[part], self.epochs[part], self.n_steps)
        total = torch.zeros_like(self.smoothing[:, 0])
        for step in range(self.n_steps):
            inputs, target, weight = self.pool.batch(self.streams.rows(step))
            output = self.network.forward(
                self.named_weights, self.named_statistics, inputs, partial(self.streams.noise, step)
            )
            loss, to_output = losses_and_gradient(output, target, weight, self.smoothing)
            total += loss
            self.network.backward(self.named_weights, to_output, self.named_gradient)
            for optimiser, own_weights, own_gradient in self.parts:
                optimiser.step(own_weights, own_gradient)
        mean_loss: NDArray[np.float64] = total.double().cpu().numpy() / self.n_steps
        self.steps += self.n_steps
        self.epochs += 1
        return mean_loss

    @torch.no_grad()
    def _validate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Validation loss and metric of every model (K,), NaN without validation rows."""
        if self.validation.shape[1] == 0:
            nothing = np.full(len(self.histories), np.nan)
            return nothing, nothing
        inputs, target, weight = self.pool.batch(self.validation)
        output = predict_rows(self.network, self.weights, self.statistics, inputs)
        return validation(output, target, weight)

    def progress(self, k: int) -> tuple[Progress, Progress]:
        """Current and best progress of model `k`."""
        like = self.like[k]
        now = Progress(
            self.weights.read(k, like.parameters),
            self.statistics.read(k, like.statistics),
            self.first.read(k, like.parameters),
            self.second.read(k, like.parameters),
            int(self.steps[k]),
            int(self.epochs[k]),
        )
        best = Progress(
            self.best_weights.read(k, like.parameters), self.best_statistics.read(k, like.statistics), {}, {}, 0, 0
        )
        return now, best

    def _outcome(self, k: int) -> Outcome:
        """Outcome of model `k`."""
        history = self.histories[k]
        now, best = self.progress(k)
        assert history.status is not None
        return Outcome(history.status, best.parameters, best.statistics, history.best_epoch, now, history.curves)


def predict_rows(
    network: StackedNetwork, weights: StackedParameters, statistics: StackedParameters, inputs: Sequence[Tensor]
) -> Tensor:
    """Outputs (K, n, c) for inputs of shape (K, n, ...) or (1, n, ...), some rows at a time."""
    chunks = zip(*(torch.split(x, CHUNK, 1) for x in inputs), strict=True)
    return torch.cat([network.forward(weights.named(), statistics.named(), c, None) for c in chunks], dim=1)


def losses_and_gradient(
    output: Tensor, target: Tensor, weight: Tensor | None, smoothing: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean loss of every model (K,), smoothed cross-entropy or squared error, and its gradient at the outputs.

    Parameters
    ----------
    output : Tensor of shape (K, b, c)
    target : Tensor of shape (K or 1, b) of classes, or (K or 1, b, c) of numbers
    weight : Tensor of shape (K or 1, b) or None
    smoothing : Tensor of shape (K, 1)
    """
    _, b, c = output.shape
    if target.is_floating_point():
        gradient = output - target
        each = gradient.square().mean(dim=2)
        gradient.mul_(2.0 / (b * c))
    else:
        log_probability = torch.log_softmax(output, dim=2)
        wanted = functional.one_hot(target, c) * (1.0 - smoothing.unsqueeze(2)) + smoothing.unsqueeze(2) / c
        each = -(wanted * log_probability).sum(dim=2)
        gradient = log_probability.exp_().sub_(wanted).div_(b)
    if weight is not None:
        each, gradient = each * weight, gradient.mul_(weight.unsqueeze(2))
    return each.mean(dim=1), gradient


def validation(
    output: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss without smoothing and metric of every model (K,), of outputs (K, n, c)."""
    loss, _ = losses_and_gradient(output, target, weight, output.new_zeros((len(output), 1)))
    return loss.double().cpu().numpy(), _metric(output, target, weight).double().cpu().numpy()


def _metric(output: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Accuracy or R2 of every model (K,)."""
    if target.is_floating_point():
        w = torch.ones_like(output[..., :1]) if weight is None else weight.unsqueeze(2).expand_as(output[..., :1])
        target = target.expand_as(output)
        centre = (target * w).sum(dim=1, keepdim=True) / w.sum(dim=1, keepdim=True)
        unexplained = ((output - target).square() * w).sum(dim=(1, 2))
        return 1.0 - unexplained / ((target - centre).square() * w).sum(dim=(1, 2)).clamp(min=1e-12)
    hit = (output.argmax(dim=2) == target).to(output.dtype)
    return hit.mean(dim=1) if weight is None else (hit * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-12)
