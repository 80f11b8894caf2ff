"""Training of models on a CPU, each at its own size and in its own thread.

Stacks are for GPUs, which one small network does not use fully. One network uses a CPU core fully. On a CPU, a stack
would save only the overhead of calls, which compiled code does not have, and it would add padding.
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
from metahpo.networks.batched.training_configuration import (
    BatchedModel,
    Outcome,
    Progress,
    State,
    TrainingConfiguration,
)
from metahpo.networks.batched.training_history import TrainingHistory
from metahpo.networks.mlp.compiled.epoch import predict, train_epoch
from metahpo.networks.mlp.compiled.layer import Array
from metahpo.networks.mlp.compiled.passes import Net, Rows
from metahpo.networks.mlp.mlp_shape import ACTIVATIONS, NORMALISATIONS, MLPShape


def train_on_cpu(
    models: Sequence[BatchedModel],
    pool: Pool,
    dtype: torch.dtype = torch.float32,
    memory_bytes: int | None = None,
    n_jobs: int = 1,
) -> list[Outcome]:
    """Train any models, the most expensive ones first.

    Parameters
    ----------
    models : sequence of BatchedModel
        Of shapes :class:`~metahpo.networks.mlp.mlp_shape.MLPShape`.
    pool : Pool
        On the CPU.
    dtype : torch.dtype, default=float32
    memory_bytes : int or None, default=None
        Most memory of one model. None takes half of the free memory.
    n_jobs : int, default=1
        Number of threads, each of which trains one model at a time.

    Returns
    -------
    list of Outcome
        In the order of `models`; those of :func:`metahpo.networks.batched.grouping.train_models` up to rounding, and
        the same to the bit whatever models there are beside.

    Raises
    ------
    MemoryError
        A model does not fit.
    """
    budget = planned_bytes(pool.target.device, memory_bytes)
    for model in models:
        if model.shape.bytes(model.steps_and_batch[1]) > budget:
            raise too_large(model.shape, f"{budget / 2**30:.1f} GiB may be used")
    kind = np.float64 if dtype == torch.float64 else np.float32
    rows = _rows(pool, kind)
    order = sorted(range(len(models)), key=lambda i: -_seconds(models[i]))
    # One product is too small for several threads. The cores are used by different models.
    with _libraries().limit(limits=1, user_api="blas"):
        work = Parallel(n_jobs=min(n_jobs, len(models)), prefer="threads")(
            delayed(_train)(models[i], pool, rows, kind) for i in order
        )
    outcomes = dict(zip(order, work, strict=True))
    return [outcomes[i] for i in range(len(models))]


@cache
def compile_ahead(dtype: torch.dtype) -> None:
    """Compile what training calls, or read it from the disk: the seconds of a first training would hold seconds of it.

    A network of one weight a layer is trained for one epoch on two rows.
    """
    shape = MLPShape(1, 0, 0, 2, 1, 1, 1, ACTIVATIONS[0], NORMALISATIONS[0], residual=False, dropout=0.0)
    pool = Pool([torch.zeros((2, 1), dtype=dtype), torch.zeros((2, 0), dtype=torch.int64)], torch.tensor([0, 1]))
    rows = np.arange(2)
    train_on_cpu([BatchedModel(shape, TrainingConfiguration(epochs=1), rows, rows)], pool, dtype)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finding them takes milliseconds


def _seconds(model: BatchedModel) -> float:
    n_steps, batch = model.steps_and_batch
    return float(model.shape.model_seconds(batch)) * n_steps * model.configuration.epochs


def _rows(pool: Pool, kind: type[np.floating]) -> Rows:
    numbers, codes = (x.numpy() for x in pool.inputs)
    n = len(pool.target)
    classes = pool.target.numpy() if pool.classifies else np.zeros(n, dtype=np.int64)
    values = np.zeros((0, 0)) if pool.classifies else pool.target.numpy()
    weight = np.zeros(0) if pool.weight is None else pool.weight.numpy()
    numbers, values, weight = (np.ascontiguousarray(x, dtype=kind) for x in (numbers, values, weight))
    return Rows(numbers, np.ascontiguousarray(codes), np.ascontiguousarray(classes), values, weight)


def _train(model: BatchedModel, pool: Pool, rows: Rows, kind: type[np.floating]) -> Outcome:
    shape, configuration, history, stream = model.shape, model.configuration, TrainingHistory.of(model), Stream(model)
    net = _net(shape, pool.classifies)
    beginning = model.beginning()
    weights, first, second = (
        _flat(state, shape.parameters, kind)
        for state in (beginning.parameters, beginning.first_moment, beginning.second_moment)
    )
    running = _flat(beginning.statistics, shape.statistics, kind).reshape(-1, 2, shape.width)
    best = weights.copy(), running.copy()
    terms = Coefficients([configuration])
    constants = np.array([terms.average, terms.look_ahead, terms.forget, terms.decay, terms.l1], dtype=kind)[:, 0]
    n_steps, _ = model.steps_and_batch
    noise = stream.noise(shape.width) if shape.dropout else np.empty(0, dtype=np.float32)
    steps, epoch = beginning.steps, beginning.epochs
    held_out = torch.as_tensor(model.validation)
    while history.status is None:
        start = time.perf_counter()
        coming = terms.of_epoch(np.array([steps]), np.array([epoch]), n_steps)[:, :, 0].T
        train_loss = train_epoch(
            net,
            (weights, first, second, running),
            rows,
            stream.orders(epoch),
            noise,
            stream.offsets(epoch),
            configuration.label_smoothing,
            constants,
            np.ascontiguousarray(coming, dtype=kind),
        )
        loss = metric = np.array([np.nan])
        if len(model.validation):
            output = torch.from_numpy(predict(net, weights, running, rows, model.validation))
            _, target, weight = pool.batch(held_out[None])
            loss, metric = validation(output[None], target, weight)
        steps, epoch = steps + n_steps, epoch + 1
        if history.note(train_loss, loss[0], metric[0], time.perf_counter() - start):
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
    return Outcome(history.status, parameters, statistics, history.best_epoch, last, history.curves)


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
    """All arrays of a state, concatenated."""
    return np.concatenate([np.empty(0), *(state[name].ravel() for name in shapes)]).astype(kind)


def _named(flat: NDArray[np.floating], shapes: dict[str, tuple[int, ...]]) -> State:
    """Inverse of :func:`_flat`."""
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(flat.ravel(), edges[:-1]) if shapes else []
    return {name: part.reshape(shape).copy() for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
