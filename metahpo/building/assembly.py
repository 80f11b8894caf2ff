"""From the trials of a build to a meta-dataset for each kind of task."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from tqdm import tqdm

from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.space.configuration import to_json
from metahpo.tasks.cache import read_sidecar, read_task
from metahpo.tasks.metric import metric_names
from metahpo.tasks.task import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial


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
    by_task: dict[str, list[Trial | None]] = {}
    for key in plan.trials():
        by_task.setdefault(key.task, []).append(recorded.get(key.identity))
    complete = [t for t in plan.tasks if t.kind == kind and all(by_task[t.key])]
    if not complete:
        raise DataError(
            f"no {kind} task of the build in {str(folder)!r} is complete; `metahpo status` shows what is owed."
        )
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(joblib.delayed(_describe)(plan, t) for t in complete)
    described = list(tqdm(work, total=len(complete), desc="meta-features", disable=not sys.stderr.isatty()))
    names = _names(plan, complete)
    index = pd.Index([names[t.key] for t in complete], name="task")
    trials = pd.DataFrame(
        [_row(trial, names[t.key], kind) for t in complete for trial in by_task[t.key] if trial is not None]
    )
    if not trials["learning_curve"].map(len).any():
        trials = trials.drop(columns="learning_curve")
    return MetaDataset(
        pd.DataFrame([about for about, _ in described], index=index),
        trials,
        pd.DataFrame([features for _, features in described], index=index),
        {learner: learner_named(learner, kind).space for learner in plan.learners},
        name=name,
        version=version,
        protocol=plan.protocol.name,
    )


def _describe(plan: Plan, planned: PlannedTask) -> tuple[dict[str, Any], Mapping[str, float]]:
    """What the tasks table says of a task, and its meta-features: those of the rows that were measured."""
    task = read_task(plan.cache, planned.key)
    measured = plan.protocol.prepare(task)
    sidecar = read_sidecar(plan.cache, planned.key)
    about = {
        "family": task.family,
        "kind": task.kind,
        "modality": task.modality,
        "key": planned.key,
        "data_id": task.data_id,
        "n_rows": measured.n_rows,
        "n_features": measured.X.shape[1],
        "n_classes": len(measured.classes),
        "n_rows_of_dataset": task.n_rows,
        "fingerprint": task.fingerprint,
        "licence": sidecar.get("licence"),
        "source": sidecar.get("source"),
    }
    return about, extract(measured).values


def _names(plan: Plan, tasks: list[PlannedTask]) -> dict[str, str]:
    """Dataset names; with the key where two datasets share one."""
    names = {t.key: str(read_sidecar(plan.cache, t.key)["name"]) for t in tasks}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {key: f"{name}_{key}" if name in shared else name for key, name in names.items()}


def _row(trial: Trial, task: str, kind: TaskKind) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task": task,
        "space": trial.key.learner,
        "configuration": to_json(trial.key.configuration),
        "status": str(trial.status),
        "seconds": sum(trial.fit_seconds) / len(trial.fit_seconds) if trial.fit_seconds else float("nan"),
        "message": trial.message,
    }
    for metric in metric_names(kind):
        row[f"loss.{metric}"] = trial.loss(metric)
        row[f"folds.{metric}"] = list(trial.fold_losses.get(metric, ()))
    row["learning_curve"] = _learning_curve(trial, metric_names(kind)[0])
    return row


def _learning_curve(trial: Trial, metric: str) -> list[float]:
    """Loss after each epoch: of the metric, or, where it was not followed, that which the learner minimised."""
    curves = trial.learning_curve
    return list(curves.get(metric, curves.get("validation_loss", ())))
