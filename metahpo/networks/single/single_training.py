"""One training loop for any torch module: the recipe of a lane, torch's own optimisers, an epoch at a time."""

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
from metahpo.networks.batched.training_configuration import LaneStatus, Recipe
from metahpo.networks.batched.training_history import Account

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

    status: LaneStatus
    best_epoch: int
    history: dict[str, list[float]]


def train_module(
    module: nn.Module,
    rows: Rows,
    recipe: Recipe,
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
    recipe : Recipe
    held_out : Rows or None
        Rows whose loss and accuracy are written down after each epoch.
    stops : bool, default=True
        Whether they stop training as well, and choose the epoch whose weights are kept.
    augment : callable or None
    groups : sequence of dict, or None
        torch's parameter groups; ``scale`` of a group is a factor of its learning rate.
    """
    optimiser = torch_optimiser(recipe, groups or [{"params": list(module.parameters())}])
    scales = [group.get("scale", 1.0) for group in optimiser.param_groups]
    n = len(rows.target)
    n_steps = -(-n // recipe.batch_size)
    draw = torch.Generator().manual_seed(recipe.seed)
    account, best = Account(recipe, held_out is not None, stops), copy.deepcopy(module.state_dict())
    while account.status is None:
        start = time.perf_counter()
        progress = (account.epochs + np.arange(n_steps) / n_steps) / recipe.epochs
        rates = recipe.learning_rate * factors(recipe.schedule, progress)
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
                recipe.label_smoothing,
            )
            total += loss.item() * len(batch) / n
            if recipe.l1:
                loss = loss + recipe.l1 * torch.stack([p.abs().sum() for p in module.parameters()]).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        loss_there, metric = np.nan, np.nan
        if held_out is not None:
            logits = outputs(module, held_out.inputs)
            loss_there = mean_loss(logits, held_out.target, held_out.weight, 0.0).item()
            metric = (logits.argmax(1) == held_out.target).double().mean().item()
        if account.note(total, loss_there, metric, time.perf_counter() - start):
            best = copy.deepcopy(module.state_dict())
    module.load_state_dict(best)
    return Trained(account.status, account.best_epoch, account.history)


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


def torch_optimiser(recipe: Recipe, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
    """Optimiser of a recipe, one of torch's."""
    groups, rate, decay = list(groups), recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if recipe.optimiser == "sgd" else recipe.momentum
        return torch.optim.SGD(
            groups, rate, momentum=momentum, weight_decay=decay, nesterov=recipe.optimiser == "nesterov"
        )
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[recipe.optimiser](groups, rate, weight_decay=decay)


def as_index(values: NDArray[Any], device: torch.device) -> Tensor:
    """Class indices as a tensor."""
    return torch.as_tensor(values, dtype=torch.int64, device=device)
