"""From the trials of a build to a meta-dataset for each kind of task."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from tqdm import tqdm

from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.building.protocol import task_key
from metahpo.building.reliability import reliabilities
from metahpo.building.repetition import shared_design_losses
from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.space.configuration import to_json
from metahpo.tasks.cache import read_sidecar, read_task
from metahpo.tasks.metric import metric_names
from metahpo.tasks.task import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus


def assemble(folder: Path | str, kind: TaskKind, *, name: str, version: str = "1", n_jobs: int = -1) -> MetaDataset:
    """Meta-dataset of the tasks of one kind on which every planned trial has been made.

    Parameters
    ----------
    folder : path
        Folder of a build.
    kind : {"classification", "regression"}
    name, version : str
        What the meta-dataset is to be called.
    n_jobs : int, default=-1
        joblib workers for the meta-features.

    Raises
    ------
    StoreError
        No build in that folder.
    DataError
        No task of that kind is complete.
    """
    folder = Path(folder)
    plan = Plan.load(folder / PLAN_FILE)
    recorded = {trial.key.identity: trial for trial in TrialStore(folder)}
    by_task: dict[str, dict[tuple[str, str], list[Trial | None]]] = {}
    for key in plan.trials():
        repeats = by_task.setdefault(key.task, {}).setdefault((key.learner, to_json(key.configuration)), [])
        repeats.append(recorded.get(key.identity))
    complete = [t for t in plan.tasks if t.kind == kind and all(map(all, by_task[t.key].values()))]
    if not complete:
        raise DataError(
            f"no {kind} task of the build in {str(folder)!r} is complete; `metahpo status` shows what is owed."
        )
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(joblib.delayed(_describe)(plan, t) for t in complete)
    described = list(tqdm(work, total=len(complete), desc="meta-features", disable=not sys.stderr.isatty()))
    names = _names(plan, complete)
    reliability = _reliability(plan, folder, kind)
    index = pd.Index([names[t.key] for t in complete], name="task")
    trials = pd.DataFrame(
        [
            _row([trial for trial in repeats if trial is not None], names[t.key], kind)
            for t in complete
            for repeats in by_task[t.key].values()
        ]
    )
    if not trials["learning_curve"].map(len).any():
        trials = trials.drop(columns="learning_curve")
    return MetaDataset(
        pd.DataFrame(
            [about | reliability.get(t.key, {}) for t, (about, _) in zip(complete, described, strict=True)], index=index
        ),
        trials,
        pd.DataFrame([features for _, features in described], index=index),
        {learner: learner_named(learner, kind).space for learner in plan.learners},
        name=name,
        version=version,
        protocol=plan.protocol.name,
    )


def _describe(plan: Plan, planned: PlannedTask) -> tuple[dict[str, Any], Mapping[str, float]]:
    """What the tasks table says of a task, and its meta-features: those of the rows that were measured."""
    task = read_task(plan.cache, planned.dataset)
    prepared = plan.protocol.prepare(task)
    train, test = plan.protocol.splits(prepared, planned.size)[0]
    measured = prepared.take(train)
    sidecar = read_sidecar(plan.cache, planned.dataset)
    about = {
        "family": task.family,
        "kind": task.kind,
        "modality": task.modality,
        "key": planned.dataset,
        "size": planned.size,
        "data_id": task.data_id,
        "n_rows": measured.n_rows,
        "n_test_rows": len(test),
        "n_features": measured.X.shape[1],
        "n_classes": len(measured.classes),
        "n_rows_of_dataset": task.n_rows,
        "fingerprint": task.fingerprint,
        "licence": sidecar.get("licence"),
        "source": sidecar.get("source"),
    }
    return about, extract(measured).values


def _reliability(plan: Plan, folder: Path, kind: TaskKind) -> dict[str, dict[str, float]]:
    """Task -> columns of the task table: ``fits.LEARNER`` and ``reliability.LEARNER``."""
    columns: dict[str, dict[str, float]] = {}
    for (of_kind, learner), losses in shared_design_losses(plan, folder).items():
        if of_kind == kind:
            for key, reliability in reliabilities(losses).items():
                columns.setdefault(key, {})[f"fits.{learner}"] = losses[key].shape[1]
                columns[key][f"reliability.{learner}"] = reliability
    return columns


def _names(plan: Plan, tasks: list[PlannedTask]) -> dict[str, str]:
    """Task names: those of datasets, with the key where two share one, and with the size where there is one."""
    names = {t.dataset: str(read_sidecar(plan.cache, t.dataset)["name"]) for t in tasks}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    unique = {key: f"{name}_{key}" if name in shared else name for key, name in names.items()}
    return {t.key: task_key(unique[t.dataset], t.size) for t in tasks}


def _row(repeats: Sequence[Trial], task: str, kind: TaskKind) -> dict[str, Any]:
    """A configuration on a task: it failed where any of its repeats did."""
    trial = next((t for t in repeats if t.status is not TrialStatus.SUCCESS), repeats[0])
    seconds = [s for t in repeats for s in t.fit_seconds]
    row: dict[str, Any] = {
        "task": task,
        "space": trial.key.learner,
        "configuration": to_json(trial.key.configuration),
        "status": str(trial.status),
        "seconds": sum(seconds) / len(seconds) if seconds else float("nan"),
        "message": trial.message,
    }
    for metric in metric_names(kind):
        succeeded = trial.status is TrialStatus.SUCCESS
        losses = [loss for t in repeats for loss in t.fold_losses.get(metric, ())] if succeeded else []
        row[f"loss.{metric}"] = sum(losses) / len(losses) if losses else float("nan")
        row[f"folds.{metric}"] = losses
    row["learning_curve"] = _learning_curve(repeats[0], metric_names(kind)[0])
    return row


def _learning_curve(trial: Trial, metric: str) -> list[float]:
    """Loss after each epoch: of the metric, or, where it was not followed, that which the learner minimised."""
    curves = trial.learning_curve
    return list(curves.get(metric, curves.get("validation_loss", ())))
