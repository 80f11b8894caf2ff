"""Training of one stack: all lanes take each step together, and each keeps its own account.

Symbols: K lanes, P parameters of a lane, n rows of the pool, S steps of an epoch, b rows of a batch, c outputs.
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

from metahpo.networks.batched.optimiser_step import LaneOptimiser
from metahpo.networks.batched.random_streams import Streams
from metahpo.networks.batched.stacked_network import LaneMemory, StackedNetwork
from metahpo.networks.batched.training_configuration import Lane, Outcome, Progress
from metahpo.networks.batched.training_history import Account

#: The stack is packed anew, without the lanes that are done, when this share of it is done.
PACK_SHARE = 0.25
#: Numbers of an array of which an optimiser's five fit into the second-level cache of a CPU core.
CACHED_NUMBERS = 1 << 15
#: Rows that are predicted at once.
CHUNK = 4096

MakeNetwork = Callable[[Sequence[Any], torch.dtype, torch.device], StackedNetwork]


@dataclass(frozen=True)
class Pool:
    """The rows that lanes learn from, and stop by.

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
    lanes: Sequence[Lane],
    pool: Pool,
    make_network: MakeNetwork,
    dtype: torch.dtype = torch.float32,
) -> list[Outcome]:
    """Train lanes as one stack.

    Parameters
    ----------
    lanes : sequence of Lane
        All of the same `steps_and_batch`; with validation rows all, of one number, or none.
    pool : Pool
        Its device is where training runs.
    make_network : callable
        Shapes of lanes, dtype, device -> their stacked network.
    dtype : torch.dtype, default=float32

    Returns
    -------
    list of Outcome
        In the order of `lanes`. Whatever the stack, a lane of given seed has the same outcome up to rounding: in
        float64 and before chaos grows (some ten epochs) to a relative 1e-9.
    """
    accounts = [Account.of(lane) for lane in lanes]
    outcomes: dict[int, Outcome] = {}
    running = list(range(len(lanes)))
    progress: dict[int, tuple[Progress, Progress]] = {}
    while running:
        alive = [(lanes[i], accounts[i], progress.get(i)) for i in running]
        stack = _Stack(alive, pool, make_network, dtype)
        stack.train_until_a_share_is_done()
        for k, i in enumerate(running):
            if k in stack.outcomes:
                outcomes[i] = stack.outcomes[k]
            else:
                progress[i] = stack.progress(k)
        running = [i for i in running if i not in outcomes]
    return [outcomes[i] for i in range(len(lanes))]


class _Stack:
    """Lanes in memory: from the start, or from where an earlier stack has left them."""

    def __init__(
        self,
        alive: Sequence[tuple[Lane, Account, tuple[Progress, Progress] | None]],
        pool: Pool,
        make_network: MakeNetwork,
        dtype: torch.dtype,
    ) -> None:
        lanes, self.accounts, progress = zip(*alive, strict=True)
        self.pool = pool
        self.outcomes: dict[int, Outcome] = {}
        device = pool.target.device
        self.network = make_network([lane.shape for lane in lanes], dtype, device)
        self.n_steps, _ = lanes[0].steps_and_batch
        self.streams = Streams(lanes, device)
        n = len(lanes)
        self.weights, self.gradient, self.first, self.second, self.best_weights = (
            LaneMemory(self.network.parameters, n, dtype, device) for _ in range(5)
        )
        self.statistics, self.best_statistics = (
            LaneMemory(self.network.statistics, n, dtype, device) for _ in range(2)
        )
        self.like = []
        steps, epochs = [], []
        for k, lane in enumerate(lanes):
            now, best = progress[k] or (lane.beginning(),) * 2
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
        # A few lanes at a time stay in a CPU's cache through all operations of an update.
        at_once = n if device.type == "cuda" else max(1, CACHED_NUMBERS // self.weights.flat.shape[1])
        self.parts = [
            (
                LaneOptimiser([lane.recipe for lane in lanes[part]], self.first.flat[part], self.second.flat[part]),
                self.weights.flat[part],
                self.gradient.flat[part],
            )
            for part in (slice(start, start + at_once) for start in range(0, n, at_once))
        ]
        self.named_weights, self.named_statistics = self.weights.named(), self.statistics.named()
        self.named_gradient = self.gradient.named()
        self.at_once = at_once
        self.smoothing = torch.tensor([lane.recipe.label_smoothing for lane in lanes], dtype=dtype, device=device).view(
            n, 1
        )
        validation = [lane.validation for lane in lanes]
        shared = all(v is validation[0] for v in validation)
        self.validation = torch.as_tensor(np.stack(validation[:1] if shared else validation), device=device)

    def train_until_a_share_is_done(self) -> None:
        """Epoch after epoch; lanes that are done go on unheeded until there are enough of them."""
        while len(self.outcomes) < max(1.0, PACK_SHARE * len(self.accounts)):
            start = time.perf_counter()
            train_loss = self._train_epoch()
            validation_loss, metric = self._validate()
            seconds = (time.perf_counter() - start) / len(self.accounts)
            improved = [
                account.note(train_loss[k], validation_loss[k], metric[k], seconds)
                for k, account in enumerate(self.accounts)
            ]
            if any(improved):
                chosen = torch.tensor(improved, device=self.weights.flat.device)
                self.best_weights.flat[chosen] = self.weights.flat[chosen]
                self.best_statistics.flat[chosen] = self.statistics.flat[chosen]
            for k, account in enumerate(self.accounts):
                if account.status is not None and k not in self.outcomes:
                    self.outcomes[k] = self._outcome(k)

    @torch.no_grad()
    def _train_epoch(self) -> NDArray[np.float64]:
        """One epoch; mean training loss of every lane (K,)."""
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
        """Validation loss and metric of every lane (K,), NaN without validation rows."""
        if self.validation.shape[1] == 0:
            nothing = np.full(len(self.accounts), np.nan)
            return nothing, nothing
        inputs, target, weight = self.pool.batch(self.validation)
        output = predict_rows(self.network, self.weights, self.statistics, inputs)
        return validation(output, target, weight)

    def progress(self, k: int) -> tuple[Progress, Progress]:
        """Where lane `k` is, and where it was best."""
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
        """What comes of lane `k`."""
        account = self.accounts[k]
        now, best = self.progress(k)
        assert account.status is not None
        return Outcome(account.status, best.parameters, best.statistics, account.best_epoch, now, account.history)


def predict_rows(
    network: StackedNetwork, weights: LaneMemory, statistics: LaneMemory, inputs: Sequence[Tensor]
) -> Tensor:
    """Outputs (K, n, c) for inputs of shape (K, n, ...) or (1, n, ...), some rows at a time."""
    chunks = zip(*(torch.split(x, CHUNK, 1) for x in inputs), strict=True)
    return torch.cat([network.forward(weights.named(), statistics.named(), c, None) for c in chunks], dim=1)


def losses_and_gradient(
    output: Tensor, target: Tensor, weight: Tensor | None, smoothing: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean loss of every lane (K,), smoothed cross-entropy or squared error, and its gradient at the outputs.

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
    """Loss without smoothing and metric of every lane (K,), of outputs (K, n, c)."""
    loss, _ = losses_and_gradient(output, target, weight, output.new_zeros((len(output), 1)))
    return loss.double().cpu().numpy(), _metric(output, target, weight).double().cpu().numpy()


def _metric(output: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Accuracy or R2 of every lane (K,)."""
    if target.is_floating_point():
        w = torch.ones_like(output[..., :1]) if weight is None else weight.unsqueeze(2).expand_as(output[..., :1])
        target = target.expand_as(output)
        centre = (target * w).sum(dim=1, keepdim=True) / w.sum(dim=1, keepdim=True)
        unexplained = ((output - target).square() * w).sum(dim=(1, 2))
        return 1.0 - unexplained / ((target - centre).square() * w).sum(dim=(1, 2)).clamp(min=1e-12)
    hit = (output.argmax(dim=2) == target).to(output.dtype)
    return hit.mean(dim=1) if weight is None else (hit * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-12)
