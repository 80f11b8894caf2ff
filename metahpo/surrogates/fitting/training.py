"""Training of the surrogate, from recorded trials to a file: one page, from top to bottom.

Three steps. The kernel, by exact marginal likelihood on random subsets of each task's trials: what does the score of
one task look like? The affinity of tasks, by a forest and in closed form: what do meta-features say of a task's
function? The regimes, by marginal likelihood again: how much of a task do the others explain? The regimes are learnt in
a rehearsal: each task is predicted from other families only, and some configurations are hidden from these, because a
search goes where nobody has been.

Families may be set aside to watch the first and the last, the two that take steps, and to stop them early; they are
source tasks like the others in the end. The steps leave a checkpoint, where one is asked for: see
:mod:`metahpo.surrogates.fitting.training_loop`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace

from metahpo import __version__
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.device import device_named
from metahpo.space.encoding import unit_cube_space
from metahpo.surrogates.fitting.calibration import learn_sharpness
from metahpo.surrogates.fitting.kernel_learning import KernelSettings, learn_kernel
from metahpo.surrogates.fitting.source_tasks import Experience, NewTask, ReferenceSettings
from metahpo.surrogates.fitting.training_batches import hide_configurations, informative, representative, sample_batch
from metahpo.surrogates.fitting.training_loop import Course, Descent, Score
from metahpo.surrogates.fitting.validation import HeldOut, set_aside
from metahpo.surrogates.loss_spread import spread_of
from metahpo.surrogates.mixture.components import Regimes
from metahpo.surrogates.mixture.kernels import ScoreKernel
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate, Provenance
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.source_features import stack

#: Distance of the quartiles of the standard normal distribution.
NORMAL_QUARTILES = 1.349


@dataclass(frozen=True)
class TrainingSettings(ReferenceSettings, KernelSettings):
    """Settings of training; the defaults serve from tens to hundreds of tasks."""

    n_sources: int = 1000
    """Source tasks of the mixture, at most; the kernel is learnt from all tasks."""
    regime_steps: int = 150
    """Steps of the optimiser for the regimes of the mixture."""
    regime_rate: float = 0.05
    """Learning rate of these steps; a third of it in the last third of them."""
    without: tuple[str, ...] = ()
    """Parts of the mixture, of :data:`metahpo.surrogates.mixture.components.PARTS`, to do without: what are they
    worth?
    """
    validation_share: float = 0.0
    """Share of the families that kernel and regimes are not learnt from, but validated on."""
    validation_steps: int = 10
    """Steps between validations, and between writes of the checkpoint."""
    patience: int = 0
    """Validations in a row without a better one that end the steps and go back to the best; 0: no early stopping."""


@own_arithmetic()
def train_surrogate(
    md: MetaDataset,
    space: str | None = None,
    metric: str | None = None,
    random_state: int = 0,
    settings: TrainingSettings | None = None,
    course: Course | None = None,
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
    course : Course, default=None
        Where progress and validations are reported and checkpoints kept; None: nowhere.

    Raises
    ------
    DataError
        Fewer than two tasks whose losses differ, configurations that are not finite, a `validation_share` that leaves
        no two to learn from, `patience` without anything to validate on, a device that is not there, or a training that
        came to numbers that are not finite.
    ArtefactError
        The checkpoint is of another training, or is damaged.
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
        course=course,
    )


@contextmanager
def _numbers_that_serve() -> Iterator[None]:
    """Tell in plain words that a training came to numbers with which nothing can be computed."""
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # torch documents it
        raise DataError(
            f"the training came to numbers that are not finite, or too large: {error} Train with another random_state "
            "or a lower kernel_rate; if that does not help, drop tasks with extreme losses or configurations."
        ) from error


@_numbers_that_serve()
@own_arithmetic()
def train_on_tables(
    tables: Sequence[TaskTable],
    *,
    space: ConfigurationSpace | None = None,
    space_name: str | None = None,
    metric: str = "loss",
    meta_dataset: str = "",
    random_state: int = 0,
    settings: TrainingSettings | None = None,
    course: Course | None = None,
) -> MetaLearnedSurrogate:
    """Learn a surrogate from tables, one a task; `space` None takes them as rows of a plain unit cube.

    Raises
    ------
    DataError, ArtefactError
        See :func:`train_surrogate`.
    """
    settings, course = settings or TrainingSettings(), course or Course()
    usable = informative(tables)
    if len(usable) < 2:
        raise DataError(
            f"a surrogate learns from at least two tasks whose losses differ by more than rounding, but of "
            f"{len(tables)} tasks {len(usable)} are such. Record more tasks, or drop those that are flat."
        )
    broken = [t.task for t in usable if not np.isfinite(t.X).all()]
    if broken:
        raise DataError(
            f"configurations must be finite rows of the unit cube, but those of the tasks {broken[:10]} hold NaN or "
            "infinity. Correct these rows, or drop the tasks."
        )
    if settings.patience and not settings.validation_share:
        raise DataError(f"patience = {settings.patience} needs families to validate on: set a validation_share.")
    known, away = set_aside(usable, settings.validation_share, random_state)
    held_out = HeldOut(away) if away else None
    course.begin(_identity(usable, random_state, settings), settings.validation_steps, settings.patience)
    generator = torch.Generator().manual_seed(random_state)
    rng = np.random.default_rng(random_state)

    score_of_kernel = held_out.score_of_kernel if held_out else None
    kernel = learn_kernel(known, settings, generator, course, "kernel", score_of_kernel)

    # A rehearsal of use: each task is a new one, described by functions of tasks of other families only; and some of
    # its configurations are new, too, to a kernel of its own as to these functions.
    sources = representative(known, settings.n_sources, rng)
    shown = hide_configurations(sources, rng)
    rehearsed = learn_kernel(shown, settings, generator, course, "kernel of a part")
    rehearsal = Experience.of(rehearsed, sources, settings, rng, shown)
    strangers = [rehearsal.stranger(table) for table in away]
    score_of_regimes = partial(held_out.score_of_regimes, rehearsed, strangers) if held_out else None
    regimes = learn_regimes(rehearsed, rehearsal.as_new, settings, generator, course, score_of_regimes)
    sharpness = learn_sharpness(Mixture(rehearsed, regimes), rehearsal.as_new, generator)

    sources = representative(usable, settings.n_sources, rng)
    experience = Experience.of(kernel, sources, settings, rng)
    return MetaLearnedSurrogate(
        space or unit_cube_space(experience.reference.shape[1]),
        kernel,
        regimes,
        experience.affinity,
        sharpness,
        experience.reference,
        experience.weights,
        Provenance(
            space_name=space_name,
            metric=metric,
            tasks=tuple(t.task for t in sources),
            families=tuple(t.family for t in sources),
            meta_dataset=meta_dataset,
            random_state=random_state,
            settings=asdict(settings),
        ),
    )


def learn_regimes(
    kernel: ScoreKernel,
    tasks: Sequence[NewTask],
    settings: TrainingSettings,
    generator: torch.Generator,
    course: Course,
    score: Callable[[Regimes], Score] | None = None,
) -> Regimes:
    """Regimes under which the scores of each task are most likely, given the functions of other families.

    Scores, and not losses as a search sees them, of unknown shift and factor: what a prediction has to hit.
    """
    device = device_named(settings.device)
    records = [new.task for new in tasks]
    regimes = Regimes().double()
    spreads = [spread_of(record.loss.numpy()) for record in records]
    log_spreads = np.log([spread for spread in spreads if spread > 0.0])
    low, middle, high = np.quantile(log_spreads, [0.25, 0.5, 0.75])  # a task that is nearly flat moves them little
    regimes.log_spread = torch.tensor([middle, (high - low) / NORMAL_QUARTILES], dtype=torch.float64)
    regimes.leave_out(settings.without)
    mixture = Mixture(copy.deepcopy(kernel).to(device), regimes.to(device))
    optimizer = torch.optim.Adam(regimes.parameters(), lr=settings.regime_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, 2 * settings.regime_steps // 3), gamma=1 / 3)
    descent = Descent(regimes, optimizer, schedule, generator)
    for _ in course.steps("regimes", settings.regime_steps, descent, score and partial(score, regimes)):
        n = int(torch.randint(2, settings.batch_trials + 1, (1,), generator=generator))
        batch = sample_batch(records, settings.batch_tasks, n, generator, greed=1.0).to(device)
        drawn = [tasks[i] for i in batch.tasks.tolist()]
        trials = stack([new.described(rows) for new, rows in zip(drawn, batch.rows, strict=True)]).to(device)
        log_prior = regimes.log_prior(torch.stack([new.distances for new in drawn]).to(device))
        K = mixture.covariances(trials, trials)
        log_density = mixture.log_density(trials, K, batch.z) + log_prior
        loss = -torch.logsumexp(log_density.flatten(1), 1).mean() / batch.z.shape[1]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        regimes.keep_fixed()
        optimizer.step()
        schedule.step()
    return regimes.cpu().requires_grad_(False)


def _identity(tables: Sequence[TaskTable], random_state: int, settings: TrainingSettings) -> str:
    """Digest of what a training depends on."""
    digest = hashlib.sha256(repr((random_state, asdict(settings), __version__, torch.__version__)).encode())
    for table in tables:
        digest.update(repr((table.task, table.family, table.meta_features)).encode())
        digest.update(np.ascontiguousarray(table.X).tobytes() + table.loss.tobytes())
    return digest.hexdigest()
