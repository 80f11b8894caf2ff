"""A quick look: an evaluation of a minute, on some of the tasks. Its numbers are rough, and its report says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.catalogue import method_named
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.recommended import Recommended
from metahpo.evaluation.settings import EvaluationSettings
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.training import TrainingSettings

#: Tasks of a quick look, at most.
MAX_TASKS = 30
#: Protocol of a quick look, unless another one is asked for.
QUICK_PROTOCOL = EvaluationSettings(n_trials=10, n_folds=2)
#: Methods, where none are named.
METHODS = ("metahpo", "portfolio", "random_search")
#: Less training than a surrogate deserves.
TRAINING = TrainingSettings(n_reference=80, kernel_steps=60, component_steps=40)


@dataclass(frozen=True, eq=False)
class QuickLook:
    """What a quick look evaluates.

    Attributes
    ----------
    md : MetaDataset
        Some of the tasks.
    methods : tuple of Method
        Those that train a surrogate make fewer steps.
    settings : EvaluationSettings
        They say in words what the sample is.
    """

    md: MetaDataset
    methods: tuple[Method, ...]
    settings: EvaluationSettings


def quick_look(
    md: MetaDataset, methods: Sequence[str | Method] | None = None, settings: EvaluationSettings = QUICK_PROTOCOL
) -> QuickLook:
    """Sample tasks, methods and spaces for an evaluation of a minute.

    Whole families are taken, at random, and the first search space unless some are named.

    Parameters
    ----------
    md : MetaDataset
    methods : sequence of str or Method, default=None
        None: :data:`METHODS`.
    settings : EvaluationSettings, default=QUICK_PROTOCOL

    Raises
    ------
    UnknownNameError
        A method that does not exist.
    """
    families = md.tasks["family"].unique()
    order = np.random.default_rng(settings.random_state).permutation(len(families))
    kept: list[str] = []
    for family in families[order]:
        own = [str(task) for task in md.tasks.index[md.tasks["family"] == family]]
        if len(kept) + len(own) <= MAX_TASKS or len(set(md.tasks.loc[kept, "family"])) < 2:
            kept += own
    some = md.drop(tasks=[str(task) for task in md.tasks.index if task not in kept])
    spaces = (next(iter(md.spaces)),) if settings.spaces is None else settings.spaces
    chosen = [method_named(m) if isinstance(m, str) else m for m in (METHODS if methods is None else methods)]
    learners = f"{len(spaces)} of {len(md.spaces)} learners" if None not in spaces else "all learners together"
    sample = (
        f"a quick look at {len(some.tasks)} of {len(md.tasks)} tasks ({some.tasks['family'].nunique()} of "
        f"{len(families)} families, drawn at random) and {learners}, with surrogates that were trained in "
        f"{TRAINING.kernel_steps} instead of {TrainingSettings().kernel_steps} steps: these numbers are rough"
    )
    return QuickLook(some, tuple(_in_short(method) for method in chosen), settings.but(spaces=spaces, sample=sample))


def _in_short(method: Method) -> Method:
    if isinstance(method, MetaLearned | Recommended) and method.settings is None:
        return replace(method, settings=TRAINING)
    return method
