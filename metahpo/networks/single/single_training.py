"""A training loop for any torch module, with the optimisers of torch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from metahpo.networks.batched.learning_rate_schedule import factors
from metahpo.networks.batched.training_configuration import ModelStatus, TrainingConfiguration
from metahpo.networks.batched.training_history import TrainingHistory

#: Rows that are predicted at once.
CHUNK = 256

#: Changes the inputs of a training batch at random.
Augment = Callable[[list[Tensor], torch.Generator], list[Tensor]]


@dataclass(frozen=True)
class Rows:
    """Rows of a classification task.

    Attributes
    ----------
    inputs : sequence of Tensor of shape (n, ...)
    target : Tensor of shape (n,)
        Class indices.
    weight : Tensor of shape (n,) or None
        Weights of mean one.
    """

    inputs: Sequence[Tensor]
    target: Tensor
    weight: Tensor | None = None


@dataclass(frozen=True)
class Trained:
    """A trained network and its history: see :class:`metahpo.networks.batched.training_configuration.Outcome`."""

    status: ModelStatus
    best_epoch: int
    history: dict[str, list[float]]


def train_module(
    module: nn.Module,
    rows: Rows,
    configuration: TrainingConfiguration,
    held_out: Rows | None = None,
    *,
    stops: bool = True,
    augment: Augment | None = None,
    groups: Sequence[dict[str, Any]] | None = None,
) -> Trained:
    """Train a module in place, on smoothed cross-entropy.

    Parameters
    ----------
    module : nn.Module
        Takes the inputs of a batch, returns logits; on the device of `rows`.
    rows : Rows
    configuration : TrainingConfiguration
    held_out : Rows or None
        Rows whose loss and accuracy are written down after each epoch.
    stops : bool, default=True
        Whether they stop training as well, and choose the epoch whose weights are kept.
    augment : callable or None
    groups : sequence of dict, or None
        torch's parameter groups; ``scale`` of a group is a factor of its learning rate.
    """
    optimiser = torch_optimiser(configuration, groups or [{"params": list(module.parameters())}])
    scales = [group.get("scale", 1.0) for group in optimiser.param_groups]
    n = len(rows.target)
    n_steps = -(-n // configuration.batch_size)
    draw = torch.Generator().manual_seed(configuration.seed)
    history, best = TrainingHistory(configuration, held_out is not None, stops), copy.deepcopy(module.state_dict())
    while history.status is None:
        start = time.perf_counter()
        progress = (history.epochs + np.arange(n_steps) / n_steps) / configuration.epochs
        rates = configuration.learning_rate * factors(configuration.schedule, progress)
        order = torch.randperm(n, generator=draw).to(rows.target.device)
        module.train()
        total = 0.0
        for batch, rate in zip(torch.tensor_split(order, n_steps), rates, strict=True):
            for group, scale in zip(optimiser.param_groups, scales, strict=True):
                group["lr"] = rate * scale
            inputs = [x[batch] for x in rows.inputs]
            weight = None if rows.weight is None else rows.weight[batch]
            loss = mean_loss(
                module(*(augment(inputs, draw) if augment else inputs)),
                rows.target[batch],
                weight,
                configuration.label_smoothing,
            )
            total += loss.item() * len(batch) / n
            if configuration.l1:
                loss = loss + configuration.l1 * torch.stack([p.abs().sum() for p in module.parameters()]).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        loss_there, metric = np.nan, np.nan
        if held_out is not None:
            logits = outputs(module, held_out.inputs)
            loss_there = mean_loss(logits, held_out.target, held_out.weight, 0.0).item()
            metric = (logits.argmax(1) == held_out.target).double().mean().item()
        if history.note(total, loss_there, metric, time.perf_counter() - start):
            best = copy.deepcopy(module.state_dict())
    module.load_state_dict(best)
    return Trained(history.status, history.best_epoch, history.curves)


def mean_loss(logits: Tensor, target: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """Mean cross-entropy of a batch."""
    each = functional.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
    return each.mean() if weight is None else (each * weight).mean()


@torch.no_grad()
def outputs(module: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Logits (n, c), some rows at a time."""
    module.eval()
    chunks = zip(*(torch.split(x, CHUNK) for x in inputs), strict=True)
    return torch.cat([module(*chunk) for chunk in chunks])


def torch_optimiser(configuration: TrainingConfiguration, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
    """Optimiser of a training configuration, one of torch's."""
    groups, rate, decay = list(groups), configuration.learning_rate, configuration.weight_decay
    if configuration.optimiser in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if configuration.optimiser == "sgd" else configuration.momentum
        return torch.optim.SGD(
            groups, rate, momentum=momentum, weight_decay=decay, nesterov=configuration.optimiser == "nesterov"
        )
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[configuration.optimiser](groups, rate, weight_decay=decay)


def as_index(values: NDArray[Any], device: torch.device) -> Tensor:
    """Class indices as a tensor."""
    return torch.as_tensor(values, dtype=torch.int64, device=device)
