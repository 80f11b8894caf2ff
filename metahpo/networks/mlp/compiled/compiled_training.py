"""Training of lanes on a CPU: each alone at its own size, on as many threads as are asked for.

Stacks are for a GPU, which one network leaves idle. A core is kept busy by one: what a stack saves there, the cost of
telling it what to do, compiled code has not, and it pads nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from metahpo.networks.batched.batched_training import Pool, validation
from metahpo.networks.batched.grouping import planned_bytes, too_large
from metahpo.networks.batched.optimiser_step import Coefficients
from metahpo.networks.batched.random_streams import Stream
from metahpo.networks.batched.training_configuration import Lane, Outcome, Progress, State
from metahpo.networks.batched.training_history import Account
from metahpo.networks.mlp.compiled.epoch import predict, train_epoch
from metahpo.networks.mlp.compiled.layer import Array
from metahpo.networks.mlp.compiled.passes import Net, Rows
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, MLPShape


def train_on_cpu(
    lanes: Sequence[Lane],
    pool: Pool,
    dtype: torch.dtype = torch.float32,
    memory_bytes: int | None = None,
    n_jobs: int = 1,
) -> list[Outcome]:
    """Train any lanes, the dearest first.

    Parameters
    ----------
    lanes : sequence of Lane
        Of shapes :class:`~metahpo.networks.mlp.mlp_shape.MLPShape`.
    pool : Pool
        On the CPU.
    dtype : torch.dtype, default=float32
    memory_bytes : int or None, default=None
        What a lane may need at most; None: half of what is free.
    n_jobs : int, default=1
        Threads, each with a lane of its own.

    Returns
    -------
    list of Outcome
        In the order of `lanes`; those of :func:`metahpo.networks.batched.grouping.train_lanes` up to rounding, and the
        same to the bit whatever lanes there are beside.

    Raises
    ------
    MemoryError
        A lane does not fit.
    """
    budget = planned_bytes(pool.target.device, memory_bytes)
    for lane in lanes:
        if lane.shape.bytes(lane.steps_and_batch[1]) > budget:
            raise too_large(lane.shape, f"{budget / 2**30:.1f} GiB may be used")
    kind = np.float64 if dtype == torch.float64 else np.float32
    rows = _rows(pool, kind)
    order = sorted(range(len(lanes)), key=lambda i: -_seconds(lanes[i]))
    # A product is too small to be shared, and lanes share the cores.
    with _libraries().limit(limits=1, user_api="blas"):
        work = Parallel(n_jobs=min(n_jobs, len(lanes)), prefer="threads")(
            delayed(_train)(lanes[i], pool, rows, kind) for i in order
        )
    outcomes = dict(zip(order, work, strict=True))
    return [outcomes[i] for i in range(len(lanes))]


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finding them takes milliseconds


def _seconds(lane: Lane) -> float:
    n_steps, batch = lane.steps_and_batch
    return float(lane.shape.lane_seconds(batch)) * n_steps * lane.recipe.epochs


def _rows(pool: Pool, kind: type[np.floating]) -> Rows:
    numbers, codes = (x.numpy() for x in pool.inputs)
    n = len(pool.target)
    classes = pool.target.numpy() if pool.classifies else np.zeros(n, dtype=np.int64)
    values = np.zeros((0, 0)) if pool.classifies else pool.target.numpy()
    weight = np.zeros(0) if pool.weight is None else pool.weight.numpy()
    numbers, values, weight = (np.ascontiguousarray(x, dtype=kind) for x in (numbers, values, weight))
    return Rows(numbers, np.ascontiguousarray(codes), np.ascontiguousarray(classes), values, weight)


def _train(lane: Lane, pool: Pool, rows: Rows, kind: type[np.floating]) -> Outcome:
    shape, recipe, account, stream = lane.shape, lane.recipe, Account.of(lane), Stream(lane)
    net = _net(shape, pool.classifies)
    beginning = lane.beginning()
    weights, first, second = (
        _flat(state, shape.parameters, kind)
        for state in (beginning.parameters, beginning.first_moment, beginning.second_moment)
    )
    running = _flat(beginning.statistics, shape.statistics, kind).reshape(-1, 2, shape.width)
    best = weights.copy(), running.copy()
    terms = Coefficients([recipe])
    constants = np.array([terms.average, terms.look_ahead, terms.forget, terms.decay, terms.l1], dtype=kind)[:, 0]
    n_steps, _ = lane.steps_and_batch
    noise = stream.noise(shape.width) if shape.dropout else np.empty(0, dtype=np.float32)
    steps, epoch = beginning.steps, beginning.epochs
    held_out = torch.as_tensor(lane.validation)
    while account.status is None:
        start = time.perf_counter()
        coming = terms.of_epoch(np.array([steps]), np.array([epoch]), n_steps)[:, :, 0].T
        train_loss = train_epoch(
            net,
            (weights, first, second, running),
            rows,
            stream.orders(epoch),
            noise,
            stream.offsets(epoch),
            recipe.label_smoothing,
            constants,
            np.ascontiguousarray(coming, dtype=kind),
        )
        loss = metric = np.array([np.nan])
        if len(lane.validation):
            output = torch.from_numpy(predict(net, weights, running, rows, lane.validation))
            _, target, weight = pool.batch(held_out[None])
            loss, metric = validation(output[None], target, weight)
        steps, epoch = steps + n_steps, epoch + 1
        if account.note(train_loss, loss[0], metric[0], time.perf_counter() - start):
            best = weights.copy(), running.copy()
    last = Progress(
        _named(weights, shape.parameters),
        _named(running, shape.statistics),
        _named(first, shape.parameters),
        _named(second, shape.parameters),
        steps,
        epoch,
    )
    parameters, statistics = _named(best[0], shape.parameters), _named(best[1], shape.statistics)
    return Outcome(account.status, parameters, statistics, account.best_epoch, last, account.history)


def _net(shape: MLPShape, classifies: bool) -> Net:
    return Net(
        shape.n_numbers,
        shape.n_categorical,
        shape.n_codes,
        shape.n_outputs,
        shape.depth,
        shape.width,
        shape.embedding_size,
        ACTIVATIONS.index(shape.activation),
        NORMALISATIONS.index(shape.normalisation),
        shape.residual,
        float(shape.dropout),
        classifies,
    )


def _flat(state: State, shapes: dict[str, tuple[int, ...]], kind: type[np.floating]) -> Array:
    """All arrays of a state one behind the other."""
    return np.concatenate([np.empty(0), *(state[name].ravel() for name in shapes)]).astype(kind)


def _named(flat: NDArray[np.floating], shapes: dict[str, tuple[int, ...]]) -> State:
    """Inverse of :func:`_flat`."""
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(flat.ravel(), edges[:-1]) if shapes else []
    return {name: part.reshape(shape).copy() for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
