"""A quick look: an evaluation of a minute, on some of the tasks. Its numbers are rough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.training import TrainingSettings

#: Tasks, trials and folds of a quick look, at most.
MAX_TASKS, TRIALS, FOLDS = 30, 10, 2
#: Less training than a surrogate deserves.
SETTINGS = TrainingSettings(n_reference=80, kernel_steps=60, component_steps=40)


def quick_look(
    md: MetaDataset,
    methods: Sequence[str | Method] | None,
    spaces: Sequence[str | None] | None,
    random_state: int = 0,
) -> tuple[MetaDataset, dict[str, Any]]:
    """Some tasks of a meta-dataset, and arguments of :func:`metahpo.evaluate` for a quick look at them.

    Whole families are taken, at random, and the first search space unless some are named.
    """
    families = md.tasks["family"].unique()
    order = np.random.default_rng(random_state).permutation(len(families))
    kept: list[str] = []
    for family in families[order]:
        own = [str(task) for task in md.tasks.index[md.tasks["family"] == family]]
        if len(kept) + len(own) <= MAX_TASKS or len(set(md.tasks.loc[kept, "family"])) < FOLDS:
            kept += own
    some = md.drop(tasks=[str(task) for task in md.tasks.index if task not in kept])
    chosen = ["metahpo", "portfolio", "random_search"] if methods is None else list(methods)
    return some, {
        "methods": [MetaLearned(settings=SETTINGS) if method == "metahpo" else method for method in chosen],
        "spaces": [next(iter(md.spaces))] if spaces is None else spaces,
        "n_trials": TRIALS,
        "n_folds": FOLDS,
    }
