"""The grouping of models into stacks that fit into memory."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from metahpo.networks.batched.batched_training import MakeNetwork, Pool, train_stack
from metahpo.networks.batched.training_configuration import BatchedModel, Outcome

#: Share of the free memory that a stack may plan with.
MEMORY_SHARE = 0.5


def train_models(
    models: Sequence[BatchedModel],
    pool: Pool,
    make_network: MakeNetwork,
    dtype: torch.dtype = torch.float32,
    order: Callable[[Any], Any] = lambda shape: 0,
    memory_bytes: int | None = None,
) -> list[Outcome]:
    """Train any models, in stacks that take the least time.

    Parameters
    ----------
    models : sequence of BatchedModel
    pool : Pool
    make_network : callable
        Shapes of models -> their stacked network.
    order : callable
        Sort key of a shape, which orders the models of a stack.
    memory_bytes : int or None, default=None
        Most memory of a stack. None takes half of the free memory of the pool's device, which is also the upper limit.

    Returns
    -------
    list of Outcome
        In the order of `models`.

    Raises
    ------
    MemoryError
        A single model does not fit.
    """
    budget = planned_bytes(pool.target.device, memory_bytes)
    outcomes: dict[int, Outcome] = {}
    for stack in stacks(models, budget):
        chosen = sorted(stack, key=lambda i: order(models[i].shape))
        for i, outcome in zip(chosen, _halving([models[i] for i in chosen], pool, make_network, dtype), strict=True):
            outcomes[i] = outcome
    return [outcomes[i] for i in range(len(models))]


def stacks(models: Sequence[BatchedModel], memory_bytes: int) -> list[list[int]]:
    """Partition models into stacks such that the sum of estimated seconds is least.

    Models of a stack have the same number of batches and the same batch size. A stack pads every model to its largest
    one. Few stacks waste time on padding, and many stacks waste time on dispatch.
    """
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, model in enumerate(models):
        alike[*model.steps_and_batch, len(model.validation)].append(i)
    return [stack for (_, batch, _), group in alike.items() for stack in _cheapest(models, group, batch, memory_bytes)]


def _cheapest(models: Sequence[BatchedModel], group: list[int], batch: int, memory_bytes: int) -> list[list[int]]:
    """Best partition into groups of neighbours, for models sorted by their own cost (dynamic programming)."""
    group = sorted(group, key=lambda i: models[i].shape.model_seconds(batch))
    shapes = [models[i].shape for i in group]
    best = [0.0] + [float("inf")] * len(group)
    cut = [0] * (len(group) + 1)
    for stop in range(1, len(group) + 1):
        joined = shapes[stop - 1]
        for start in range(stop - 1, -1, -1):
            joined = joined.joined(shapes[start])
            size = stop - start
            if size > 1 and size * joined.bytes(batch) > memory_bytes:
                break
            cost = best[start] + joined.stack_seconds + size * joined.model_seconds(batch)
            if cost < best[stop]:
                best[stop], cut[stop] = cost, start
    parts, stop = [], len(group)
    while stop:
        parts.append(group[cut[stop] : stop])
        stop = cut[stop]
    return parts


def _halving(models: list[BatchedModel], pool: Pool, make_network: MakeNetwork, dtype: torch.dtype) -> list[Outcome]:
    try:
        return train_stack(models, pool, make_network, dtype)
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(models) == 1:
            raise too_large(models[0].shape, str(error)) from error
    middle = len(models) // 2
    return [o for half in (models[:middle], models[middle:]) for o in _halving(half, pool, make_network, dtype)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out; on a CPU torch raises a bare RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def too_large(shape: Any, reason: str) -> MemoryError:
    """Error for a single model that does not fit into memory."""
    return MemoryError(f"a network of shape {shape} does not fit into memory: {reason}; choose a smaller one.")


def planned_bytes(device: torch.device, memory_bytes: int | None) -> int:
    """Memory that training may plan with: half of what is free, and no more than `memory_bytes`."""
    budget = int(MEMORY_SHARE * free_bytes(device))
    return budget if memory_bytes is None else min(budget, memory_bytes)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, or of the host."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
