"""Training of the surrogate, from recorded trials to a file: one page, from top to bottom.

Two stages, both by exact marginal likelihood on random subsets of the trials of each task, as a new task would show
them. First the kernel: what does the score of one task look like? (As FSBO: Wistuba and Grabocka, ICLR 2021.) Then the
variances of the mixture: how much of a task do the others explain? Each task is there predicted from the tasks of
other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.meta_dataset import MetaDataset, TaskTable
from metahpo.space.encoding import unit_cube_space
from metahpo.surrogates.batches import SourceTask, sample_batch
from metahpo.surrogates.kernels import DeepKernel
from metahpo.surrogates.meta_learned import MetaLearnedSurrogate, Provenance
from metahpo.surrogates.score import normal_scores
from metahpo.surrogates.sources import reference_configurations, source_weights
from metahpo.surrogates.transfer import Variances, describe, log_evidence


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of training; the defaults serve from tens to hundreds of tasks."""

    n_reference: int = 300
    """Reference configurations of the source functions, at most."""
    kernel_steps: int = 600
    """Steps of the optimiser for the kernel."""
    kernel_rate: float = 3e-3
    """Highest learning rate of these steps (one cycle)."""
    variance_steps: int = 250
    """Steps of the optimiser for the variances of the mixture."""
    variance_rate: float = 0.05
    """Learning rate of these steps."""
    batch_tasks: int = 10
    """Tasks a batch."""
    batch_trials: int = 40
    """Trials a task in the batches of the kernel; those of the variances draw from 4 to 32."""


def train_surrogate(
    md: MetaDataset,
    space: str | None = None,
    metric: str | None = None,
    random_state: int = 0,
    settings: TrainingSettings | None = None,
) -> MetaLearnedSurrogate:
    """Learn a surrogate from a meta-dataset.

    Parameters
    ----------
    md : MetaDataset
    space : str or None, default=None
        Search space; None: all learners together, in the joint space.
    metric : str or None, default=None
        None takes the default metric of the meta-dataset.
    random_state : int, default=0
        The same meta-dataset, settings and number give the same surrogate.
    settings : TrainingSettings, default=None
        None takes the defaults.

    Raises
    ------
    DataError
        Fewer than two tasks with at least two distinct losses.
    UnknownNameError
        No such space or metric.
    """
    return train_on_tables(
        md.tables(space, metric),
        space=md.space(space),
        space_name=space,
        metric=md.metric(metric),
        meta_dataset=f"{md.name} {md.version}",
        random_state=random_state,
        settings=settings,
    )


def train_on_tables(
    tables: Sequence[TaskTable],
    *,
    space: ConfigurationSpace | None = None,
    space_name: str | None = None,
    metric: str = "loss",
    meta_dataset: str = "",
    random_state: int = 0,
    settings: TrainingSettings | None = None,
) -> MetaLearnedSurrogate:
    """Learn a surrogate from tables, one a task; `space` None takes them as rows of a plain unit cube.

    Raises
    ------
    DataError
        Fewer than two tasks with at least two distinct losses.
    """
    settings = settings or TrainingSettings()
    usable = [t for t in tables if len(np.unique(t.loss[np.isfinite(t.loss)])) > 1]
    if len(usable) < 2:
        raise DataError(
            f"a surrogate learns from at least two tasks with two distinct losses each, but of {len(tables)} tasks "
            f"{len(usable)} are such."
        )
    tasks = [
        SourceTask(t.task, t.family, torch.tensor(t.X).float(), torch.tensor(normal_scores(t.loss)).float())
        for t in usable
    ]
    generator = torch.Generator().manual_seed(random_state)

    kernel = learn_kernel(tasks, settings, generator)
    rng = np.random.default_rng(random_state)
    Z = torch.tensor(reference_configurations([t.X for t in usable], settings.n_reference, rng))
    tasks = [SourceTask(t.name, t.family, t.X.double(), t.z.double()) for t in tasks]
    with torch.no_grad():
        W = source_weights(kernel, Z, [t.X for t in tasks], [t.z for t in tasks])
    variances = learn_variances(kernel, Z, W, tasks, settings, generator)

    return MetaLearnedSurrogate(
        space or unit_cube_space(Z.shape[1]),
        kernel,
        variances,
        Z,
        W,
        Provenance(
            space_name=space_name,
            metric=metric,
            tasks=tuple(t.name for t in tasks),
            families=tuple(t.family for t in tasks),
            meta_feature_names=meta_feature_names(usable),
            meta_dataset=meta_dataset,
            random_state=random_state,
            settings=asdict(settings),
        ),
    )


def learn_kernel(tasks: list[SourceTask], settings: TrainingSettings, generator: torch.Generator) -> DeepKernel:
    """Kernel under which the scores of single tasks are most likely."""
    with torch.random.fork_rng(devices=[]):  # layers take their initial weights from the global generator
        torch.manual_seed(generator.initial_seed())
        kernel = DeepKernel(tasks[0].X.shape[1])
    optimizer = torch.optim.AdamW(kernel.parameters(), lr=settings.kernel_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.kernel_rate, total_steps=settings.kernel_steps)
    for _ in range(settings.kernel_steps):
        batch = sample_batch(tasks, settings.batch_tasks, settings.batch_trials, generator)
        place = kernel.locate(batch.X)
        noise = kernel.log_noise.exp() + 1e-4
        L = torch.linalg.cholesky(kernel(place, place) + noise * torch.eye(batch.X.shape[1]))
        white = torch.linalg.solve_triangular(L, batch.z[..., None], upper=False)
        log_det = L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        loss = (0.5 * white.square().sum((-2, -1)) + log_det).mean() / batch.X.shape[1]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(kernel.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return kernel.double().requires_grad_(False)


def learn_variances(
    kernel: DeepKernel,
    Z: Tensor,
    W: Tensor,
    tasks: list[SourceTask],
    settings: TrainingSettings,
    generator: torch.Generator,
) -> Variances:
    """Variances under which each task is most likely, given the functions of the tasks of other families."""
    families = [t.family for t in tasks]
    strangers = torch.tensor([[a != b for b in families] for a in families])
    at_Z = kernel.locate(Z)
    functions = [kernel(kernel.locate(t.X), at_Z) @ W for t in tasks]
    variances = Variances().double()
    optimizer = torch.optim.Adam(variances.parameters(), lr=settings.variance_rate)
    for _ in range(settings.variance_steps):
        n = int(torch.randint(4, 33, (1,), generator=generator))
        batch = sample_batch(tasks, settings.batch_tasks, n, generator)
        M = torch.stack([functions[i][rows] for i, rows in zip(batch.tasks.tolist(), batch.rows, strict=True)])
        known = strangers[batch.tasks]
        trials = describe(kernel.locate(batch.X), M, known)
        evidence = log_evidence(kernel, variances, trials, batch.z).masked_fill(~known, -torch.inf)
        loss = -(torch.logsumexp(evidence, 1) - known.sum(1).log()).mean() / batch.X.shape[1]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return variances.requires_grad_(False)


def meta_feature_names(tables: Sequence[TaskTable]) -> tuple[str, ...]:
    """Meta-features that some task has, in the order of the first to have them."""
    return tuple(dict.fromkeys(name for t in tables for name in t.meta_features or ()))
