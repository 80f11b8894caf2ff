"""Training of the surrogate, from recorded trials to a file: one page, from top to bottom.

Three steps. The kernel, by exact marginal likelihood on random subsets of each task's trials: what does the score of
one task look like? The affinity of tasks, in closed form: what do meta-features say of a task's function? The regimes,
by marginal likelihood again, of losses as a new task would show them: how much of a task do the others explain? In the
last two, each task is predicted from other families only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.meta_dataset import MetaDataset
from metahpo.space.encoding import unit_cube_space
from metahpo.surrogates.affinity import TaskAffinity
from metahpo.surrogates.batches import SourceTask, informative, sample_batch
from metahpo.surrogates.calibration import learn_sharpness
from metahpo.surrogates.kernel_learning import KernelSettings, choose_features, learn_kernel
from metahpo.surrogates.kernels import DeepKernel
from metahpo.surrogates.meta_learned import MetaLearnedSurrogate, Provenance
from metahpo.surrogates.regimes import Regimes
from metahpo.surrogates.scale import Losses
from metahpo.surrogates.sources import SourceFunctions, reference_configurations, source_weights
from metahpo.surrogates.transfer import Described, Mixture, describe, squared_distances, stack
from metahpo.task_table import TaskTable


@dataclass(frozen=True)
class TrainingSettings(KernelSettings):
    """Settings of training; the defaults serve from tens to hundreds of tasks."""

    n_reference: int = 300
    """Reference configurations of the source functions, at most."""
    regime_steps: int = 150
    """Steps of the optimiser for the regimes of the mixture."""
    regime_rate: float = 0.05
    """Learning rate of these steps; a third of it in the last third of them."""
    without: tuple[str, ...] = ()
    """Parts of the mixture, of :data:`metahpo.surrogates.regimes.PARTS`, to do without: what are they worth?"""


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
    usable = informative(tables)
    if len(usable) < 2:
        raise DataError(
            f"a surrogate learns from at least two tasks with two distinct losses each, but of {len(tables)} tasks "
            f"{len(usable)} are such."
        )
    tasks = [SourceTask.from_table(t) for t in usable]
    generator = torch.Generator().manual_seed(random_state)
    rng = np.random.default_rng(random_state)

    kernel = learn_kernel(tasks, choose_features(tasks, settings, generator, rng), settings, generator)
    Z = torch.tensor(reference_configurations([t.X for t in usable], settings.n_reference, rng))
    W = source_weights(kernel, Z, tasks)
    families = [t.family for t in tasks] if len({t.family for t in tasks}) > 1 else [t.name for t in tasks]
    functions = SourceFunctions(kernel, Z, W)
    affinity = TaskAffinity.learn([t.meta_features for t in usable], families, functions.at_reference.numpy())

    # From here on, each task is seen as a new one: described by the functions of tasks of other families only.
    strangers = torch.tensor([[a != b for b in families] for a in families])
    alpha = torch.from_numpy(affinity.leaving_out(families))
    described = [describe(functions.at(t.X.numpy()), alpha[i], strangers[i]) for i, t in enumerate(tasks)]
    distances = squared_distances(functions.at_reference, alpha, strangers)
    regimes = learn_regimes(kernel, tasks, described, distances, settings, generator)
    sharpness = learn_sharpness(Mixture(kernel, regimes), tasks, described, regimes.log_prior(distances), generator)

    return MetaLearnedSurrogate(
        space or unit_cube_space(Z.shape[1]),
        kernel,
        regimes,
        affinity,
        sharpness,
        Z,
        W,
        Provenance(
            space_name=space_name,
            metric=metric,
            tasks=tuple(t.name for t in tasks),
            families=tuple(t.family for t in tasks),
            meta_dataset=meta_dataset,
            random_state=random_state,
            settings=asdict(settings),
        ),
    )


def learn_regimes(
    kernel: DeepKernel,
    tasks: list[SourceTask],
    described: list[Described],
    distances: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
) -> Regimes:
    """Regimes under which what is recorded of each task is most likely, given the functions of other families.

    Two views of the same trials count alike: their losses, as a search would see them, of unknown shift and factor; and
    their scores, which are to be predicted.
    """
    regimes = Regimes().double()
    log_spreads = torch.stack([t.loss.std() for t in tasks]).log()
    regimes.log_spread = torch.stack([log_spreads.mean(), log_spreads.std()])
    regimes.leave_out(settings.without)
    mixture = Mixture(kernel, regimes)
    optimizer = torch.optim.Adam(regimes.parameters(), lr=settings.regime_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, 2 * settings.regime_steps // 3), gamma=1 / 3)
    for _ in range(settings.regime_steps):
        n = int(torch.randint(2, settings.batch_trials + 1, (1,), generator=generator))
        batch = sample_batch(tasks, settings.batch_tasks, n, generator, greed=1.0)
        trials = stack([described[i].rows(rows) for i, rows in zip(batch.tasks.tolist(), batch.rows, strict=True)])
        log_prior = regimes.log_prior(distances[batch.tasks])
        views = (
            mixture.condition(trials, Losses.standardise(batch.loss)).log_evidence,
            mixture.log_density(trials, batch.z),
        )
        log_likelihood = torch.stack([torch.logsumexp((view + log_prior).flatten(1), 1) for view in views])
        loss = -log_likelihood.sum(0).mean() / batch.X.shape[1]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        regimes.keep_fixed()
        optimizer.step()
        schedule.step()
    return regimes.requires_grad_(False)
