"""Batches of training: some tasks, and of each as many of its recorded trials as the batch asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SourceTask:
    """A task to learn from: configurations X (n, d) and scores z (n,), with the family it belongs to."""

    name: str
    family: str
    X: Tensor
    z: Tensor


@dataclass(frozen=True)
class Batch:
    """B tasks with n trials each: task numbers (B,), row numbers (B, n), configurations (B, n, d), scores (B, n)."""

    tasks: Tensor
    rows: Tensor
    X: Tensor
    z: Tensor


def sample_batch(tasks: list[SourceTask], n_tasks: int, n_trials: int, generator: torch.Generator) -> Batch:
    """Draw tasks, and trials of each, without replacement; both are cut to what there is."""
    n_trials = min(n_trials, min(len(t.z) for t in tasks))
    chosen = torch.randperm(len(tasks), generator=generator)[:n_tasks]
    rows = torch.stack([torch.randperm(len(tasks[i].z), generator=generator)[:n_trials] for i in chosen.tolist()])
    X = torch.stack([tasks[i].X[r] for i, r in zip(chosen.tolist(), rows, strict=True)])
    z = torch.stack([tasks[i].z[r] for i, r in zip(chosen.tolist(), rows, strict=True)])
    return Batch(chosen, rows, X, z)
