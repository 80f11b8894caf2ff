"""The kernel of scores, learnt across tasks by exact marginal likelihood on random subsets of each task's trials.

As in FSBO (Wistuba and Grabocka, ICLR 2021); but of three kernels, from length scales to a network, it is the one that
best predicts configurations kept out: a network needs to have seen more of them than a small design holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from metahpo.device import device_named
from metahpo.surrogates.batches import SourceTask, hide_configurations, sample_batch
from metahpo.surrogates.course import Course, Descent, Score
from metahpo.surrogates.kernels import FEATURE_MAPS, DeepKernel, FeatureMap

#: Trials shown, and trials hidden, of each task by which kernels are compared, at most.
MAX_VALIDATION = 100


@dataclass(frozen=True)
class KernelSettings:
    """Settings of learning the kernel."""

    features: FeatureMap | None = None
    """Kind of the learnt maps; None takes the one that best predicts configurations kept out."""
    kernel_steps: int = 600
    """Steps of the optimiser for the kernel."""
    network_rate: float = 3e-3
    """Highest learning rate of these steps (one cycle) for a kernel with a network."""
    scale_rate: float = 0.02
    """The same for kernels without one."""
    batch_tasks: int = 10
    """Tasks a batch."""
    batch_trials: int = 40
    """Trials a task in the batches of the kernel; in those of the regimes, at most."""
    device: str = "cpu"
    """Where the steps are computed: "cpu", "cuda", "cuda:N", or "auto", a GPU where there is one."""


def choose_features(
    tasks: list[SourceTask],
    settings: KernelSettings,
    generator: torch.Generator,
    rng: np.random.Generator,
    course: Course,
) -> FeatureMap:
    """The kind asked for, or whose kernel, learnt briefly from part of the configurations, best predicts the others."""
    if settings.features is not None:
        return settings.features
    shown, hidden = hide_configurations(tasks, rng)
    brief = replace(settings, kernel_steps=max(1, settings.kernel_steps // 3))
    densities = {}
    for features in FEATURE_MAPS:
        kernel = learn_kernel(shown, features, brief, generator, course, f"kernel of {features}, briefly")
        densities[features] = predictive_density(kernel, shown, hidden)
    return max(densities, key=densities.__getitem__)


def learn_kernel(
    tasks: list[SourceTask],
    features: FeatureMap,
    settings: KernelSettings,
    generator: torch.Generator,
    course: Course,
    stage: str,
    score: Callable[[DeepKernel], Score] | None = None,
) -> DeepKernel:
    """Kernel with features of a kind, under which the scores of single tasks are most likely; on the CPU."""
    device = device_named(settings.device)
    with torch.random.fork_rng(devices=[]):  # layers take their initial weights from the global generator
        torch.manual_seed(generator.initial_seed())
        kernel = DeepKernel(tasks[0].X.shape[1], features).to(device)
    n_distinct = len(np.unique(np.concatenate([t.X.numpy() for t in tasks]), axis=0))
    rate = settings.network_rate if features == "network" else settings.scale_rate
    optimizer = torch.optim.AdamW(kernel.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=settings.kernel_steps)
    descent = Descent(kernel, optimizer, schedule, generator)
    for _ in course.steps(stage, settings.kernel_steps, descent, score and partial(score, kernel)):
        batch = sample_batch(tasks, settings.batch_tasks, settings.batch_trials, generator).to(device)
        place, n = kernel.locate(batch.X.float()), batch.X.shape[1]  # single precision is enough to learn, and quicker
        L = torch.linalg.cholesky(kernel(place, place) + kernel.noise() * torch.eye(n, device=device))
        white = torch.linalg.solve_triangular(L, batch.z.float()[..., None], upper=False)
        log_det = L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        # Tasks of one design tell of the same configurations: there are as many observations as distinct ones.
        loss = (0.5 * white.square().sum((-2, -1)) + log_det).mean() / n - kernel.log_prior() / n_distinct
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(kernel.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return kernel.cpu().double().requires_grad_(False)


def predictive_density(kernel: DeepKernel, shown: list[SourceTask], hidden: list[SourceTask]) -> float:
    """Mean log density of the scores of hidden trials, each given some of those shown of its task."""
    total, count = 0.0, 1e-9
    for known, asked in zip(shown, hidden, strict=True):
        known, asked = known.rows(slice(MAX_VALIDATION)), asked.rows(slice(MAX_VALIDATION))
        place, at = kernel.locate(known.X), kernel.locate(asked.X)
        noise = kernel.noise() * torch.eye(len(known.z), dtype=known.z.dtype)
        L = torch.linalg.cholesky(kernel(place, place) + noise)
        Q = torch.linalg.solve_triangular(L, kernel(place, at), upper=False)
        mean = Q.T @ torch.linalg.solve_triangular(L, known.z[:, None], upper=False)[:, 0]
        variance = kernel.variance() + kernel.noise() - Q.square().sum(0)
        total -= 0.5 * float(((asked.z - mean).square() / variance + variance.log()).sum())
        count += len(asked.z)
    return total / count
