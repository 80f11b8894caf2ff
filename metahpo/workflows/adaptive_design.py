"""The adaptive design: after the shared design, surrogates of other tasks choose more configurations for each task.

The shared Sobol design covers a space evenly, so few of its configurations lie in the good region. The adaptive design
adds configurations there. Surrogates are trained on tasks of other families and conditioned on the trials of the task.
The configurations with the largest expected improvement become part of the plan, so a resumed build runs the same
trials.
"""

from __future__ import annotations

import json
from pathlib import Path

from metahpo.building.assembly import assemble
from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.processes import check_n_jobs
from metahpo.space.configuration import Configuration
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate

#: Most folds of task families. A surrogate is trained for each fold.
N_FOLDS = 5

#: Task -> learner -> configurations.
Proposals = dict[str, dict[str, list[Configuration]]]


def extend_plan(folder: Path | str, k: int, *, n_jobs: int = -1, settings: TrainingSettings | None = None) -> Plan:
    """Extend the plan of a build by `k` configurations of each learner on each complete task that has none yet.

    Parameters
    ----------
    folder : path
        Folder of a build. Tasks with pending trials of the shared design are left as they are.
    k : int
        Configurations of each learner on each task.
    n_jobs : int, default=-1
        joblib workers for the meta-features.
    settings : TrainingSettings, default=None
        Of the surrogates.

    Raises
    ------
    StoreError
        No build in that folder.
    DataError
        `k` is not positive, or no kind of task has complete tasks of two families, one to learn from for the other.
    """
    check_n_jobs(n_jobs)
    if k < 1:
        raise DataError(f"an adaptive design adds at least one configuration a task, but k = {k}.")
    folder = Path(folder)
    plan = Plan.load(folder / PLAN_FILE)
    proposed: Proposals = {}
    waiting = {task.key for task in plan.tasks} - plan.adaptive.keys()
    for kind in sorted({task.kind for task in plan.tasks if task.key in waiting}):
        try:
            md = assemble(folder, kind, name="design", n_jobs=n_jobs)
        except DataError:  # no task of this kind is complete
            continue
        if md.tasks["family"].nunique() > 1:
            keys = dict(zip(map(str, md.tasks.index), md.tasks["key"], strict=True))
            proposals = propose(md, k, settings)
            proposed |= {keys[task]: of_task for task, of_task in proposals.items() if keys[task] in waiting}
    if waiting and not proposed:
        raise DataError(
            f"an adaptive design learns from tasks of other families, and the build in {str(folder)!r} has no complete "
            "tasks of two families; add datasets to the build."
        )
    return plan.with_adaptive(proposed)


@own_arithmetic()
def propose(md: MetaDataset, k: int, settings: TrainingSettings | None = None) -> Proposals:
    """Choose `k` configurations for each task and learner, each as if the earlier ones were still running.

    Parameters
    ----------
    md : MetaDataset
        Tasks of at least two families.
    k : int
    settings : TrainingSettings, default=None

    Returns
    -------
    dict
        Task -> learner -> configurations, none of them recorded on the task.
    """
    proposals: Proposals = {str(task): {} for task in md.tasks.index}
    n_folds = min(N_FOLDS, md.tasks["family"].nunique())
    for learner, space in md.spaces.items():
        for others, held_out in md.folds(n_folds):
            surrogate = train_surrogate(others, learner, settings=settings)
            for table in held_out.tables(learner):
                rows = md.trials[(md.trials["task"] == table.task) & (md.trials["space"] == learner)]
                optimizer = BayesianOptimizer(space, surrogate, table.meta_features, random_state=0)
                for text, loss in zip(rows["configuration"], rows[f"loss.{md.metric(None)}"], strict=True):
                    optimizer.tell(json.loads(text), loss)
                proposals[table.task][learner] = [optimizer.ask() for _ in range(k)]
    return proposals
