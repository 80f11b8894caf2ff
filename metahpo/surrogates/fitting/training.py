"""Training of the meta-learned surrogate on recorded trials.

There are three steps.

1. The kernel is learnt by exact marginal likelihood on random subsets of the trials of each task.
2. The similarity of tasks is learnt with a forest and in closed form. It predicts the function of a task from its
   meta-features.
3. The mixture components are learnt by marginal likelihood, with leave-family-out training: each task is predicted from
   tasks of other families only. Some configurations are hidden from the source functions, because a search visits
   configurations that no source task has recorded.

A share of the families can be set aside to validate steps 1 and 3 and to stop them early. The final source tasks
include these families. The training can write checkpoints: see :mod:`metahpo.surrogates.fitting.training_loop`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from scipy.linalg import LinAlgError

from metahpo import __version__
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset, check_meta_dataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.numerics.seed import check_whole_seed
from metahpo.space.encoding import unit_cube_space
from metahpo.surrogates.fitting.calibration_learning import learn_calibration
from metahpo.surrogates.fitting.component_learning import ComponentSettings, learn_components
from metahpo.surrogates.fitting.kernel_learning import learn_kernel
from metahpo.surrogates.fitting.source_tasks import ReferenceSettings, SourceTasks
from metahpo.surrogates.fitting.training_batches import hide_configurations, informative, representative
from metahpo.surrogates.fitting.training_loop import TrainingLoop
from metahpo.surrogates.fitting.validation import HeldOut, set_aside
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.mixture_file import STORED, Provenance


@dataclass(frozen=True)
class TrainingSettings(ReferenceSettings, ComponentSettings):
    """Settings of training. The defaults are meant for tens to hundreds of tasks."""

    n_sources: int = 1000
    """Most source tasks of the mixture. The kernel is learnt from all tasks."""
    validation_share: float = 0.0
    """Share of the families that is set aside to validate kernel and components."""
    validation_steps: int = 10
    """Steps between validations, and between writes of the checkpoint."""
    patience: int = 0
    """Number of validations without improvement after which steps stop; 0 disables early stopping."""


@own_arithmetic()
def train_surrogate(
    md: MetaDataset,
    space: str | None = None,
    metric: str | None = None,
    random_state: int = 0,
    settings: TrainingSettings | None = None,
    training_loop: TrainingLoop | None = None,
) -> MetaLearnedSurrogate:
    """Learn a surrogate from a meta-dataset.

    Parameters
    ----------
    md : MetaDataset
    space : str or None, default=None
        Search space; None: all learners together, in the CASH space, where the learner is a hyperparameter, too.
    metric : str or None, default=None
        None takes the default metric of the meta-dataset.
    random_state : int, default=0
        The same meta-dataset, settings and number give the same surrogate.
    settings : TrainingSettings, default=None
        None takes the defaults.
    training_loop : TrainingLoop, default=None
        Shows progress, records validations and writes checkpoints. None does none of these.

    Raises
    ------
    DataError
        Fewer than two tasks whose losses differ, configurations that are not finite, a `validation_share` that leaves
        no two to learn from, `patience` without anything to validate on, a device that is not there, or a training that
        came to numbers that are not finite. Or no meta-dataset, or a `random_state` that is no whole number.
    ArtefactError
        The checkpoint is of another training, or is damaged.
    UnknownNameError
        No such space or metric.
    """
    check_meta_dataset(md)
    return train_on_tables(
        md.tables(space, metric),
        space=md.space(space),
        space_name=space,
        metric=md.metric(metric),
        meta_dataset=f"{md.name} {md.version}",
        random_state=random_state,
        settings=settings,
        training_loop=training_loop,
    )


@contextmanager
def _numbers_that_serve() -> Iterator[None]:
    """Turn a failed Cholesky factorisation into a DataError with a remedy."""
    try:
        yield
    except (torch.linalg.LinAlgError, LinAlgError) as error:  # type: ignore[attr-defined]  # torch documents it
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
    training_loop: TrainingLoop | None = None,
) -> MetaLearnedSurrogate:
    """Learn a surrogate from tables, one for each task. If `space` is None, their rows are points of a unit cube.

    Raises
    ------
    DataError, ArtefactError
        See :func:`train_surrogate`.
    """
    check_whole_seed(random_state)
    settings, training_loop = settings or TrainingSettings(), training_loop or TrainingLoop()
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
    training_loop.begin(_identity(usable, random_state, settings), settings.validation_steps, settings.patience)
    generator = torch.Generator().manual_seed(random_state)
    rng = np.random.default_rng(random_state)

    validate_kernel = held_out.kernel_densities if held_out else None
    kernel = learn_kernel(known, settings, generator, training_loop, "kernel", validate_kernel)

    # Leave-family-out training: each task is predicted from source functions of other families only. Neither these
    # functions nor their kernel have seen the hidden configurations.
    sources = representative(known, settings.n_sources, rng)
    shown = hide_configurations(sources, rng)
    partial_kernel = learn_kernel(shown, settings, generator, training_loop, "kernel of a part")
    partial_sources = SourceTasks.of(partial_kernel, sources, settings, rng, shown)
    validation_tasks = [partial_sources.held_out_task(table) for table in away]
    validate_components = partial(held_out.component_densities, partial_kernel, validation_tasks) if held_out else None
    components = learn_components(
        partial_kernel, partial_sources.held_out_tasks, settings, generator, training_loop, validate_components
    )
    calibration = learn_calibration(Mixture(partial_kernel, components), partial_sources.held_out_tasks, generator)

    sources = representative(usable, settings.n_sources, rng)
    with torch.no_grad():  # what is learnt is rounded once, so that the saved surrogate predicts the same
        kernel.maps.copy_(kernel.maps.to(STORED))
    source_tasks = SourceTasks.of(kernel, sources, settings, rng)
    return MetaLearnedSurrogate(
        space or unit_cube_space(source_tasks.reference.shape[1]),
        kernel,
        components.float(),
        source_tasks.similarity,
        calibration,
        source_tasks.reference,
        source_tasks.weights.to(STORED).double(),
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


def _identity(tables: Sequence[TaskTable], random_state: int, settings: TrainingSettings) -> str:
    """Digest of the data and settings that a training depends on."""
    digest = hashlib.sha256(repr((random_state, asdict(settings), __version__, torch.__version__)).encode())
    for table in tables:
        digest.update(repr((table.task, table.family, table.meta_features)).encode())
        digest.update(np.ascontiguousarray(table.X).tobytes() + table.loss.tobytes())
    return digest.hexdigest()
