"""Assembly of the trials of a build into meta-datasets, one for each kind of task."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.building.protocol import task_key
from metahpo.building.reliability import reliabilities
from metahpo.building.repetition import shared_design_losses
from metahpo.datasets.cache import read_sidecar, read_task
from metahpo.exceptions import DataError, StoreError
from metahpo.learners.registry import learner_named
from metahpo.metadata.fit_losses import standard_errors
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.metafeatures.others import MetaFeatureGroup, meta_features_named
from metahpo.numerics.rounding import rounded
from metahpo.processes import check_n_jobs
from metahpo.space.configuration import to_json
from metahpo.tasks.metric import recorded_metric_names
from metahpo.tasks.row_sketch import row_sketch
from metahpo.tasks.task import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus

#: Trials whose content is in memory at a time (about 5 kB each).
TRIALS_AT_A_TIME = 50_000
#: Significant bits of released losses, those of single fits and of learning curves among them (a relative error of at
#: most 6.1e-5), and of standard errors and seconds (at most 9.8e-4). That is more precise than the measurements.
BITS_OF_LOSS, BITS_OF_SPREAD = 14, 10


def assemble(
    folder: Path | str,
    kind: TaskKind,
    *,
    name: str,
    version: str = "1",
    n_jobs: int = -1,
    meta_features: Sequence[str] = (),
) -> MetaDataset:
    """Build the meta-dataset of one kind of task, of all learners that have no pending trials on a task.

    Parameters
    ----------
    folder : path
        Folder of a build.
    kind : {"classification", "regression"}
    name, version : str
        Name and version of the meta-dataset.
    n_jobs : int, default=-1
        joblib workers for the meta-features.
    meta_features : sequence of str, default=()
        Meta-features of other packages to record too: see
        :func:`metahpo.metafeatures.others.register_meta_features`.

    Raises
    ------
    StoreError
        No build in that folder.
    DataError
        No learner is complete on a task of that kind.
    """
    check_n_jobs(n_jobs)
    assembly = Assembly(folder, kind)
    tasks, features = assembly.describe(n_jobs, {group: meta_features_named(group) for group in meta_features})
    trials = pd.concat([rows for _, rows in assembly.trials()], ignore_index=True)
    if trials["learning_curve"].isna().all():
        trials = trials.drop(columns="learning_curve")
    return MetaDataset(tasks, trials, features, assembly.spaces, name=name, version=version, protocol=assembly.protocol)


class Assembly:
    """The tables of a meta-dataset, from what is complete in a build: learners on tasks of one kind.

    Learners may be complete on different tasks. A learner that has a pending trial on a task is left out there.

    See :func:`assemble` for the parameters and what is raised. Memory holds the identities of all recorded trials, but
    the content of `TRIALS_AT_A_TIME` only.

    Attributes
    ----------
    tasks : list of PlannedTask
        The tasks of that kind on which a learner has made every planned trial, in the order of the plan.
    learners : dict of str to tuple of str
        Key of the task -> the learners that have made every planned trial on it.
    names : dict of str to str
        Key of the task -> its name.
    spaces : dict of str to ConfigurationSpace
        Search space of each learner that is complete on a task.
    protocol : str
        Name of the protocol of the trials.
    metrics : list of str
        Metrics that were recorded, the default first.
    """

    def __init__(self, folder: Path | str, kind: TaskKind) -> None:
        self._folder, self._kind = Path(folder), kind
        self._plan = Plan.load(self._folder / PLAN_FILE)
        recorded = TrialStore(self._folder).identities()
        of_kind = [task for task in self._plan.tasks if task.kind == kind]
        self.learners = {task.key: self._plan.complete_learners(recorded, task) for task in of_kind}
        self.tasks = [task for task in of_kind if self.learners[task.key]]
        if not self.tasks:
            raise DataError(
                f"no learner is complete on a {kind} task of the build in {str(folder)!r}; `metahpo status` shows what "
                "is pending."
            )
        self.names = _names(self._plan, self.tasks)
        complete = {learner for task in self.tasks for learner in self.learners[task.key]}
        self.spaces = {name: learner_named(name, kind).space for name in self._plan.learners if name in complete}
        self.protocol = self._plan.protocol.name
        self.metrics = recorded_metric_names(self._plan.protocol.metrics, kind)

    def describe(
        self, n_jobs: int = -1, meta_features: Mapping[str, MetaFeatureGroup] | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Tasks table and meta-features, one row a task; `meta_features` are of other packages, by name.

        Raises
        ------
        StoreError, DataError
            A dataset is no longer in the cache, or damaged.
        """
        work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
            joblib.delayed(_describe)(self._plan, task, meta_features or {}) for task in self.tasks
        )
        progress = tqdm(work, total=len(self.tasks), desc="meta-features", disable=not sys.stderr.isatty())
        about, features = zip(*progress, strict=True)
        reliability = _reliability(self._plan, self._folder, self._kind, self.learners)
        rows = [row | reliability.get(task.key, {}) for task, row in zip(self.tasks, about, strict=True)]
        index = pd.Index([self.names[task.key] for task in self.tasks], name="task")
        return pd.DataFrame(rows, index=index), pd.DataFrame(list(features), index=index)

    def trials(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Name and trials table of each task, one after the other.

        The column ``learning_curve`` is always there, with None where no curve was recorded. The losses of single fits
        are those of the default metric; of the others there are means and standard errors. All are rounded: see
        `BITS_OF_LOSS`.

        Raises
        ------
        StoreError
            The store cannot be read, or has changed since the complete tasks were found.
        """
        store, metrics = TrialStore(self._folder), self.metrics
        for some in _batches(self._plan, self.tasks):
            found = {trial.key.identity: trial for trial in store.of_tasks({task.key for task in some})}
            for task in some:
                repeats: dict[tuple[str, str], list[Trial | None]] = {}
                for key in self._plan.trials([task], self.learners[task.key]):
                    of_configuration = repeats.setdefault((key.learner, to_json(key.configuration)), [])
                    of_configuration.append(found.pop(key.identity, None))
                if not all(map(all, repeats.values())):
                    raise StoreError(
                        f"trials of task {task.key!r} were asked for again while the meta-dataset was made; run them "
                        "with `metahpo build run`, then start the same command again."
                    )
                name = self.names[task.key]
                rows = [
                    _row([trial for trial in of_configuration if trial is not None], name, metrics)
                    for of_configuration in repeats.values()
                ]
                yield name, _rounded(pd.DataFrame(rows))


def _batches(plan: Plan, tasks: Sequence[PlannedTask]) -> Iterator[list[PlannedTask]]:
    """Groups of consecutive tasks with about `TRIALS_AT_A_TIME` trials each."""
    batch: list[PlannedTask] = []
    size = 0
    for task in tasks:
        n_trials = sum(plan.n_trials_of(learner, task) for learner in plan.learners)
        if batch and size + n_trials > TRIALS_AT_A_TIME:
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += n_trials
    if batch:
        yield batch


def _describe(
    plan: Plan, planned: PlannedTask, others: Mapping[str, MetaFeatureGroup]
) -> tuple[dict[str, Any], Mapping[str, float]]:
    """Row of the tasks table for a task, and its meta-features, which are those of the measured rows."""
    task = read_task(plan.cache, planned.dataset)
    measured, n_test_rows = plan.protocol.described_rows(task, planned.size)
    sidecar = read_sidecar(plan.cache, planned.dataset)
    about = {
        "family": task.family,
        "kind": task.kind,
        "modality": task.modality,
        "key": planned.key,
        "dataset": planned.dataset,
        "size": planned.size,
        "data_id": task.data_id,
        "n_rows": measured.n_rows,
        "n_test_rows": n_test_rows,
        "n_features": measured.X.shape[1],
        "n_classes": len(measured.classes),
        "n_rows_of_dataset": task.n_rows,
        "fingerprint": task.fingerprint,
        "row_sketch": row_sketch(task),
        "licence": sidecar.get("licence"),
        "source": sidecar.get("source"),
    }
    return about, extract(measured, others=others).values


def _reliability(
    plan: Plan, folder: Path, kind: TaskKind, learners: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Task -> columns of the task table: ``fits.LEARNER`` and ``reliability.LEARNER`` of each of its `learners`."""
    columns: dict[str, dict[str, float]] = {}
    of_kind = replace(plan, tasks=tuple(task for task in plan.tasks if task.kind == kind), opened=None)
    for (_, learner), losses in shared_design_losses(of_kind, folder).items():
        for key, reliability in reliabilities(losses).items():
            if learner not in learners[key]:
                continue
            columns.setdefault(key, {})[f"fits.{learner}"] = losses[key].shape[1]
            columns[key][f"reliability.{learner}"] = reliability
    return columns


def _names(plan: Plan, tasks: list[PlannedTask]) -> dict[str, str]:
    """Task names: names of datasets, with the key if two share a name, and with the size if there is one."""
    names = {t.dataset: str(read_sidecar(plan.cache, t.dataset)["name"]) for t in tasks}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    unique = {key: f"{name}_{key}" if name in shared else name for key, name in names.items()}
    return {t.key: task_key(unique[t.dataset], t.size) for t in tasks}


def _row(repeats: Sequence[Trial], task: str, metrics: Sequence[str]) -> dict[str, Any]:
    """A configuration on a task. It failed if any of its repeats failed."""
    trial = next((t for t in repeats if t.status is not TrialStatus.SUCCESS), repeats[0])
    row: dict[str, Any] = {
        "task": task,
        "space": trial.key.learner,
        "configuration": to_json(trial.key.configuration),
        "status": str(trial.status),
        "seconds": _mean([s for t in repeats for s in t.fit_seconds]),
        "predict_seconds": _mean([s for t in repeats for s in t.predict_seconds]),
        "message": trial.message,
    }
    for metric in metrics:
        succeeded = trial.status is TrialStatus.SUCCESS
        losses = [loss for t in repeats for loss in t.fold_losses.get(metric, ())] if succeeded else []
        row[f"loss.{metric}"] = _mean(losses)
        row[f"se.{metric}"] = float(standard_errors(np.array([losses], dtype=np.float64))[0])
        if metric == metrics[0]:
            row[f"folds.{metric}"] = rounded(losses, BITS_OF_LOSS)
    row["learning_curve"] = _learning_curve(repeats[0], metrics[0])
    return row


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _rounded(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with losses, standard errors and seconds in single precision, rounded: see `BITS_OF_LOSS`."""
    numbers = trials.select_dtypes("float64").columns
    return trials.assign(**{name: rounded(trials[name], _bits_of(name)) for name in numbers})


def _bits_of(column: str) -> int:
    return BITS_OF_LOSS if column.startswith("loss.") else BITS_OF_SPREAD


def _learning_curve(trial: Trial, metric: str) -> NDArray[np.float32] | None:
    """Loss after each epoch, in the metric if the learner recorded it, else in the loss that the learner minimised."""
    curves = trial.learning_curve
    curve = curves.get(metric, curves.get("validation_loss", ()))
    return rounded(curve, BITS_OF_LOSS) if len(curve) else None
