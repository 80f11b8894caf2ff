"""Repeated measurement until ranks are reliable.

Tasks are opened in waves, and each wave is measured until it is reliable.

A wave is some tasks of the plan. Its trials run once. Then the reliability of each task and learner is estimated, and
those that need more fits get more repeats, as many as the Spearman-Brown formula expects, until they are reliable or
have the most fits that the protocol allows. The added repeats become part of the plan, so a resumed build continues
with them.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
from metahpo.building.reliability import fits_needed, reliabilities
from metahpo.space.configuration import to_json
from metahpo.tasks.metric import DEFAULT_METRIC, METRICS
from metahpo.tasks.target import TaskKind
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialStatus


def run_until_reliable(plan: Plan, folder: Path, run: Callable[[Plan], None], wave: int | None = None) -> Plan:
    """Run a plan wave by wave, with more repeats where ranks are not reliable.

    Parameters
    ----------
    plan : Plan
    folder : path
        Folder of the build.
    run : callable
        Runs the pending trials of a plan, and saves it in the folder: :func:`metahpo.building.builder.run_plan`.
    wave : int, default=None
        Tasks that are opened at once; None opens all.

    Returns
    -------
    Plan
        With all repeats that were added.
    """
    n_tasks, wave = len(plan.tasks), wave or len(plan.tasks)
    opened = 0
    while opened < n_tasks:
        recorded = set(TrialStore(folder).identities())
        while opened < n_tasks:  # waves without work are skipped together
            opened = min(n_tasks, opened + wave)
            plan = replace(plan, opened=opened)
            if next(plan.pending(recorded), None) is not None:
                break
        run(plan)
        while (more := with_more_repeats(replace(Plan.load(folder / PLAN_FILE), opened=opened), folder)) is not None:
            plan = more
            run(plan)
    return replace(plan, opened=None)


def with_more_repeats(plan: Plan, folder: Path) -> Plan | None:
    """The plan with more repeats for opened tasks whose ranks are not reliable yet; None where none needs any.

    A task and learner with pending trials is left as it is.
    """
    protocol = plan.protocol
    tasks = {task.key: task for task in plan.tasks[: plan.opened]}
    repeats: dict[str, dict[str, int]] = defaultdict(dict)
    failed: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for (_, learner), losses in shared_design_losses(plan, folder).items():
        for key, reliability in reliabilities(losses).items():
            n_fits, n_repeats = losses[key].shape[1], plan.n_repeats(learner, tasks[key])
            if n_fits == 0 or reliability >= protocol.min_reliability:
                continue
            fits_of_repeat = n_fits // n_repeats
            most = max(1, protocol.max_fits // fits_of_repeat)
            needed = -(-fits_needed(reliability, n_fits, protocol.min_reliability) // fits_of_repeat)
            if n_repeats < most:
                repeats[key][learner] = min(most, max(n_repeats + 1, needed))
                failed[key][learner] = np.flatnonzero(np.isnan(losses[key]).any(axis=1)).tolist()
    if not repeats:
        return None
    return plan.with_repeats(repeats, failed)


def with_recorded_repeats(plan: Plan, folder: Path) -> Plan:
    """The plan with the repeats that are recorded, for trials that came from other builds.

    Parameters
    ----------
    plan : Plan
        Without repeats.
    folder : path
        Folder of the trials.

    Returns
    -------
    Plan
        With as many repeats of a task and learner as are complete. A configuration that failed is not repeated.
    """
    tasks = {task.key: task for task in plan.tasks}
    recorded: dict[tuple[str, str], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    failed: dict[tuple[str, str], set[int]] = defaultdict(set)
    for trial, place in _placed_trials(plan, tasks, folder):
        recorded[trial.key.task, trial.key.learner][trial.key.seed].add(place)
        if trial.status != TrialStatus.SUCCESS:
            failed[trial.key.task, trial.key.learner].add(place)
    repeats: dict[str, dict[str, int]] = defaultdict(dict)
    not_repeated: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for (name, learner), of_repeat in recorded.items():
        repeated = set(range(len(plan.designs[tasks[name].kind][learner]))) - failed[name, learner]
        n_repeats = next(r for r in itertools.count(1) if r not in of_repeat or not of_repeat[r] >= repeated)
        if n_repeats > 1:
            repeats[name][learner], not_repeated[name][learner] = n_repeats, sorted(failed[name, learner])
    return plan.with_repeats(repeats, not_repeated)


def shared_design_losses(plan: Plan, folder: Path) -> dict[tuple[TaskKind, str], dict[str, NDArray[np.float64]]]:
    """Losses of the shared design in the default metric, of opened tasks without pending trials.

    Returns
    -------
    dict
        (kind, learner) -> task -> losses of shape (n_configurations, n_fits). A configuration that failed in any repeat
        is NaN in all fits; no fits where all failed.
    """
    tasks = {task.key: task for task in plan.tasks[: plan.opened]}
    found: dict[tuple[str, str], dict[tuple[int, int], NDArray[np.float64]]] = defaultdict(dict)
    for trial, place in _placed_trials(plan, tasks, folder):
        key = trial.key
        if key.seed < plan.n_repeats(key.learner, tasks[key.task]):
            metric = DEFAULT_METRIC[tasks[key.task].kind]
            losses = METRICS[metric].capped(np.asarray(trial.fold_losses.get(metric, ()), dtype=np.float64))
            found[key.learner, key.task][place, key.seed] = losses
    losses_of: dict[tuple[TaskKind, str], dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for (learner, name), trials in found.items():
        task = tasks[name]
        n_repeats, n = plan.n_repeats(learner, task), len(plan.designs[task.kind][learner])
        left_out = set(plan.not_repeated.get(name, {}).get(learner, ()))
        expected = {(i, r) for i in range(n) for r in range(n_repeats) if not r or i not in left_out}
        if trials.keys() >= expected:
            losses_of[task.kind, learner][name] = _as_matrix(trials, n, n_repeats)
    return losses_of


def _placed_trials(plan: Plan, tasks: Mapping[str, PlannedTask], folder: Path) -> Iterator[tuple[Trial, int]]:
    """Recorded trials of some tasks of a plan, each with the place of its configuration in the shared design."""
    places = {
        (kind, learner): {to_json(configuration): i for i, configuration in enumerate(design)}
        for kind, designs in plan.designs.items()
        for learner, design in designs.items()
    }
    for trial in TrialStore(folder).of_tasks(set(tasks)):
        key = trial.key
        if key.protocol == plan.protocol.name and key.learner in plan.learners:
            place = places[tasks[key.task].kind, key.learner].get(to_json(key.configuration))
            if place is not None:
                yield trial, place


def _as_matrix(trials: Mapping[tuple[int, int], NDArray[np.float64]], n: int, n_repeats: int) -> NDArray[np.float64]:
    n_fits = max(len(losses) for losses in trials.values())
    matrix = np.full((n, n_repeats, n_fits), np.nan)
    for (place, repeat), losses in trials.items():
        if len(losses) == n_fits:
            matrix[place, repeat] = losses
    matrix[np.isnan(matrix).any(axis=(1, 2))] = np.nan
    return matrix.reshape(n, -1)
