"""Conversion of estimators to batched models, and of trained models back to estimators."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from joblib import effective_n_jobs
from numpy.typing import NDArray

from metahpo.networks.batched.batched_training import Pool, predict_rows
from metahpo.networks.batched.grouping import train_models
from metahpo.networks.batched.stacked_network import StackedParameters
from metahpo.networks.batched.training_configuration import BatchedModel, Progress, TrainingConfiguration
from metahpo.networks.mlp.mlp_network import StackedMLP, stacking_order
from metahpo.networks.mlp.mlp_shape import MLPShape
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.device import device_named

if TYPE_CHECKING:
    from metahpo.networks.mlp.mlp_estimator import NetworkEstimator


@dataclass(frozen=True, eq=False)
class Table:
    """Encoded rows: numbers (n, d), codes (n, q), target (n,), and weights (n,) or None.

    Jobs that hold the same table object share its rows in memory.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]
    target: NDArray[Any]
    weight: NDArray[np.float64] | None
    n_codes: int

    def followed_by(self, other: Table) -> Table:
        """The rows of both tables. If this table has weights, the rows of `other` have weight one."""
        weight = None if self.weight is None else np.concatenate([self.weight, np.ones(len(other.target))])
        numbers, codes, target = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("numbers", "codes", "target")
        )
        return Table(numbers, codes, target, weight, self.n_codes)

    def fingerprint(self) -> bytes:
        """Equal for equal tables."""
        digest = hashlib.sha256(repr((self.numbers.shape, self.codes.shape, self.n_codes)).encode())
        for part in (self.numbers, self.codes, self.target, self.weight):
            digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.digest()


#: Rows to learn from, and rows held out.
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Job:
    """An estimator and its training data. `stops` tells whether the held-out rows stop training, or are only recorded.

    `splits` are the rows to learn from and those held out, of each member, or one for all of them.
    """

    estimator: NetworkEstimator
    table: Table
    splits: Sequence[Split]
    stops: bool = True
    starts: Sequence[Progress] = ()
    one_epoch: bool = False


def shape_of(estimator: NetworkEstimator, table: Table) -> MLPShape:
    """Shape of an estimator's network on a table."""
    return MLPShape(
        n_numbers=table.numbers.shape[1],
        n_categorical=table.codes.shape[1],
        n_codes=table.n_codes,
        n_outputs=estimator.n_network_outputs,
        depth=estimator.depth,
        width=estimator.width,
        embedding_size=estimator.embedding_size,
        activation=estimator.activation,
        normalisation=estimator.normalisation,
        residual=estimator.residual,
        dropout=estimator.dropout,
    )


def training_configuration_of(estimator: NetworkEstimator) -> TrainingConfiguration:
    """Training configuration of an estimator, the seed of its current fit included."""
    return TrainingConfiguration(
        optimiser=estimator.optimiser,
        learning_rate=estimator.learning_rate,
        momentum=estimator.momentum,
        weight_decay=estimator.weight_decay,
        l1=estimator.l1,
        batch_size=estimator.batch_size,
        schedule=estimator.schedule,
        label_smoothing=getattr(estimator, "label_smoothing", 0.0),
        epochs=estimator.epochs,
        patience=estimator.patience,
        seed=estimator.seed_,
    )


def share_tables(jobs: Sequence[Job]) -> list[Job]:
    """The same jobs. Equal tables become one object, so their rows are in memory once."""
    known: dict[bytes, Table] = {}
    return [replace(job, table=known.setdefault(job.table.fingerprint(), job.table)) for job in jobs]


def train_jobs(jobs: Sequence[Job], dtype: torch.dtype = torch.float32, memory_bytes: int | None = None) -> None:
    """Train estimators as batched models and store the results in them.

    Parameters
    ----------
    jobs : sequence of Job
        On any tables; those of equal numbers of columns and outputs, on one device, train together.
    dtype : torch.dtype, default=float32
    memory_bytes : int or None, default=None
        Of the host: see :func:`metahpo.networks.mlp.compiled.compiled_training.train_on_cpu`.
    """
    alike: dict[tuple[Any, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        table = job.table
        columns = (table.numbers.shape[1], table.codes.shape[1])
        alike[(*columns, job.estimator.n_network_outputs, job.estimator.device)].append(job)
    for group in alike.values():
        _train(group, dtype, memory_bytes)


def _train(jobs: Sequence[Job], dtype: torch.dtype, memory_bytes: int | None) -> None:
    device = device_named(jobs[0].estimator.device)
    if device.type == "cpu":  # only this way of training needs the compiler
        from metahpo.networks.mlp.compiled.compiled_training import compile_ahead, train_on_cpu

        compile_ahead(dtype)
    start = time.perf_counter()
    tables = list(dict.fromkeys(job.table for job in jobs))
    firsts = dict(zip(tables, np.cumsum([0, *(len(t.target) for t in tables)]).tolist(), strict=False))
    pool = _pool(tables, device, dtype)
    rows: dict[tuple[int, bytes], NDArray[np.int64]] = {}
    models = []
    for job in jobs:
        first = firsts[job.table]
        splits: list[Split] = []
        for split in job.splits:
            train, held_out = (rows.setdefault((first, r.tobytes()), r + first) for r in split)
            splits.append((train, held_out))
        configuration = training_configuration_of(job.estimator)
        if job.one_epoch:
            configuration = replace(configuration, epochs=1, schedule="constant")
        models += [
            BatchedModel(
                shape_of(job.estimator, job.table),
                replace(configuration, seed=configuration.seed + member),
                *splits[member % len(splits)],
                job.starts[member] if job.starts else None,
                job.stops,
            )
            for member in range(job.estimator.members)
        ]
    if device.type == "cpu":
        asked = [job.estimator.n_jobs for job in jobs]
        n_jobs = max(effective_n_jobs(1 if n is None else n) for n in asked)
        outcomes = train_on_cpu(models, pool, dtype, memory_bytes, n_jobs)
    else:
        outcomes = train_models(models, pool, StackedMLP, dtype, order=stacking_order)
    seconds = time.perf_counter() - start
    done = iter(outcomes)
    for job in jobs:
        own = [next(done) for _ in range(job.estimator.members)]
        share = sum(sum(outcome.history["seconds"]) for outcome in own)
        job.estimator.finish(own, seconds if len(jobs) == 1 else share)


def _pool(tables: Sequence[Table], device: torch.device, dtype: torch.dtype) -> Pool:
    numbers = torch.as_tensor(np.concatenate([t.numbers for t in tables]), dtype=dtype, device=device)
    codes = torch.as_tensor(np.concatenate([t.codes for t in tables]), device=device)
    target = torch.as_tensor(np.concatenate([t.target for t in tables]), device=device)
    weight = None
    if any(t.weight is not None for t in tables):
        parts = [np.ones(len(t.target)) if t.weight is None else t.weight for t in tables]
        weight = torch.as_tensor(np.concatenate(parts), dtype=dtype, device=device)
    return Pool([numbers, codes], target[:, None].to(dtype) if target.is_floating_point() else target, weight)


@torch.no_grad()
def outputs(estimator: NetworkEstimator, table: Table) -> NDArray[np.float64]:
    """Outputs (members, n, n_outputs) of a trained estimator.

    They are computed in float64, so that the output of a row does not depend on other rows.
    """
    device = device_named(estimator.device)
    members = len(estimator.outcomes_)
    network = StackedMLP([shape_of(estimator, table)] * members, torch.float64, device)
    weights, statistics = (
        StackedParameters(shapes, members, torch.float64, device) for shapes in (network.parameters, network.statistics)
    )
    for member, outcome in enumerate(estimator.outcomes_):
        weights.write(member, outcome.parameters)
        statistics.write(member, outcome.statistics)
    inputs = [
        torch.as_tensor(table.numbers, device=device)[None],
        torch.as_tensor(table.codes, device=device)[None],
    ]
    output = predict_rows(network, weights, statistics, inputs)
    return output.cpu().numpy()


@own_arithmetic()
def fit_together(
    estimators: Sequence[NetworkEstimator],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    watched: tuple[Any, Any] | None = None,
    memory_bytes: int | None = None,
) -> None:
    """Fit estimators as batched models; each gets the result that it would get alone.

    Parameters
    ----------
    estimators : sequence of NetworkEstimator
        All classifiers or all regressors.
    X, y, sample_weight
        See :meth:`NetworkEstimator.fit`.
    watched : tuple of (X, y), default=None
        Rows that nothing is learnt from, whose loss and metric are written down after each epoch; of no use to
        estimators that hold rows out themselves.
    memory_bytes : int or None, default=None
        Memory that may be planned with; None: half of what is free.
    """
    jobs = [e._first_job(X, y, sample_weight, watched) for e in estimators]
    train_jobs(share_tables(jobs), memory_bytes=memory_bytes)
