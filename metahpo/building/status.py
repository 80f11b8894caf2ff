"""The status of a build: finished and pending trials, causes of failures, and expected remaining time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.building.plan import PLAN_FILE, Plan
from metahpo.building.reliability import reliabilities
from metahpo.building.repetition import shared_design_losses
from metahpo.datasets.cache import read_refusals, read_sidecars
from metahpo.space.configuration import Configuration, to_json
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import TrialStatus

#: Seconds of recent trials for the rate.
RATE_SECONDS = 900.0


@dataclass(frozen=True)
class BuildStatus:
    """State of a build at one moment.

    Attributes
    ----------
    table : DataFrame
        One row for each task and learner, which are its index. Its columns are planned, done, pending, one for each
        status that occurs, and ``hours``: the time of one worker for the pending trials, if they take as long as the
        recorded ones. It is NaN if no trial is recorded.
    refusals : dict of str to str
        Tasks with pending trials that could not be measured -> reason.
    left_out : dict of str to str
        Requested datasets that are missing or damaged in the cache -> reason.
    trials_per_hour : float
        Recent rate of all workers; NaN if no trial was finished within the last quarter of an hour.
    reliability : DataFrame or None
        One row a kind of task and learner whose shared design is measured on a task: ``tasks`` of which that holds,
        ``fits`` (median), ``reliability`` (median), and ``reliable``, the share of tasks that reach the protocol's
        goal. None where it was not asked for.
    """

    table: pd.DataFrame
    refusals: dict[str, str]
    left_out: dict[str, str]
    trials_per_hour: float
    reliability: pd.DataFrame | None = None

    @property
    def by_learner(self) -> pd.DataFrame:
        """Trials by learner, and ``all`` of them."""
        counts = self.table.drop(columns="hours").groupby(level="learner", sort=False).sum()
        counts.loc["all"] = counts.sum()
        return counts

    @property
    def by_task(self) -> pd.DataFrame:
        """Tasks by learners: trials done of those planned, as text."""
        counts = self.table["done"].astype(str) + "/" + self.table["planned"].astype(str)
        return counts.unstack("learner", sort=False)

    @property
    def pending(self) -> int:
        """Number of pending trials that can be run, without those of refused tasks."""
        refused = self.table.index.get_level_values("task").isin(list(self.refusals))
        return int(self.table.loc[~refused, "pending"].sum())

    @property
    def work_hours(self) -> float:
        """Hours that one worker needs for the pending trials; NaN if no trial is recorded."""
        pending = self.table[self.table["pending"] > 0]
        return float(pending["hours"].sum(min_count=1)) if len(pending) else 0.0

    def __str__(self) -> str:
        lines = [self.by_learner.to_string()]
        if self.reliability is not None and len(self.reliability):
            lines += ["", self.reliability.to_string(float_format="{:.2f}".format), ""]
        for task, reason in self.refusals.items():
            lines.append(f"task {task} cannot be measured, it is tried again at the next start: {reason}")
        lines += [f"dataset {key} is in no plan: {reason}" for key, reason in self.left_out.items()]
        if not self.pending:
            lines.append("no trials are pending" + (" but those of these tasks" if self.refusals else ""))
            return "\n".join(lines)
        rate, work = self.trials_per_hour, self.work_hours
        lines.append(
            f"{rate:.0f} trials an hour; {_hours(self.pending / rate)} to go"
            if rate > 0
            else f"no trial was finished in the last {RATE_SECONDS / 60:.0f} minutes: nothing seems to be running"
        )
        lines.append(
            f"work for one worker: {_hours(work)}, as long as trials take on the average of what is recorded"
            if work == work
            else "nothing is recorded yet to estimate hours by"
        )
        return "\n".join(lines)


def status(folder: Path | str, *, reliability: bool = False) -> BuildStatus:
    """State of a build.

    Parameters
    ----------
    folder : path
    reliability : bool, default=False
        Whether to estimate how reliable the ranks of configurations are so far, which reads every trial.

    Raises
    ------
    StoreError
        No build in that folder.
    """
    folder = Path(folder)
    plan = Plan.load(folder / PLAN_FILE)  # first, because it raises the error if there is no build
    state = status_of(plan, TrialStore(folder))
    return replace(state, reliability=reliability_of(plan, folder)) if reliability else state


def reliability_of(plan: Plan, folder: Path) -> pd.DataFrame:
    """The table :attr:`BuildStatus.reliability` of a build."""
    rows = []
    for (kind, learner), losses in shared_design_losses(replace(plan, opened=None), folder).items():
        found = np.array(list(reliabilities(losses).values()), dtype=np.float64)
        found = np.where(np.isnan(found), 0.0, found)  # unknown reliability counts as none
        fits = [of_task.shape[1] for of_task in losses.values()]
        goal = plan.protocol.min_reliability
        rows.append((kind, learner, len(fits), np.median(fits), np.median(found), (found >= goal).mean()))
    columns = ["kind", "learner", "tasks", "fits", "reliability", "reliable"]
    return pd.DataFrame(rows, columns=columns).set_index(["kind", "learner"])


def status_of(plan: Plan, store: TrialStore) -> BuildStatus:
    """State of a plan, from the records of a store. Records of other plans do not count.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    cells = [(task.key, learner) for task in plan.tasks for learner in plan.learners]
    designs = [plan.design(learner, task) for task in plan.tasks for learner in plan.learners]
    recorded = store.to_frame()
    of_plan = ((recorded["protocol"] == plan.protocol.name) & (recorded["fidelity"] == 1.0)).to_numpy()
    cell = _cell_numbers(recorded, cells)
    n_repeats = np.array([plan.n_repeats(learner, task) for task in plan.tasks for learner in plan.learners])
    of_plan = of_plan & (cell >= 0) & (recorded["seed"].to_numpy() < n_repeats[cell])
    of_plan = of_plan & _is_planned(designs, cell, recorded["configuration"])
    done, cell = recorded[of_plan], cell[of_plan]

    index = pd.MultiIndex.from_tuples(cells, names=["task", "learner"])
    planned = [plan.n_trials_of(learner, task) for task in plan.tasks for learner in plan.learners]
    table = pd.DataFrame({"planned": planned}, index=index)
    table["done"] = np.bincount(cell, minlength=len(cells))
    table["pending"] = table["planned"] - table["done"]
    for name in map(str, TrialStatus):
        count = np.bincount(cell[(done["status"] == name).to_numpy()], minlength=len(cells))
        if count.any() or name == "success":
            table[name] = count
    seconds = np.bincount(cell, weights=done["seconds"].to_numpy(), minlength=len(cells))
    table["hours"] = _hours_of_pending(table, pd.Series(seconds, index=index))
    pending_tasks = set(table.index[table["pending"] > 0].get_level_values("task"))
    refusals = {task: refusal.reason for task, refusal in store.refusals().items() if task in pending_tasks}
    return BuildStatus(table, refusals, _left_out(plan), _rate(done["finished"].to_numpy()))


def _left_out(plan: Plan) -> dict[str, str]:
    if not Path(plan.cache).is_dir():  # gone, or on another machine: the trials are here all the same
        return {}
    planned = {task.key for task in plan.tasks}
    damaged = {key: reason for key, reason in read_sidecars(plan.cache)[1].items() if key not in planned}
    return damaged | {key: str(refusal["reason"]) for key, refusal in read_refusals(plan.cache).items()}


def _cell_numbers(recorded: pd.DataFrame, cells: Sequence[tuple[str, str]]) -> NDArray[np.intp]:
    """Number of the cell (task and learner) of each record; -1 if the cell is not in the plan."""
    number = {cell: i for i, cell in enumerate(cells)}
    tasks, learners = recorded["task"].cat, recorded["learner"].cat
    of_words = np.array(
        [[number.get((t, k), -1) for k in learners.categories] for t in tasks.categories], dtype=np.intp
    )
    if not of_words.size:
        return np.empty(0, dtype=np.intp)
    return np.asarray(of_words[tasks.codes.to_numpy(), learners.codes.to_numpy()])


def _is_planned(
    designs: Sequence[Sequence[Configuration]], cell: NDArray[np.intp], configuration: pd.Series
) -> NDArray[np.bool_]:
    """Whether the configuration of each record is in the design of its cell."""
    texts = configuration.cat.categories
    code = {text: i for i, text in enumerate(texts)}
    codes_of: dict[int, NDArray[np.int64]] = {}
    planned = [np.empty(0, dtype=np.int64)]
    for i, design in enumerate(designs):
        if id(design) not in codes_of:  # most cells share theirs
            found = (code.get(to_json(c)) for c in design)
            codes_of[id(design)] = np.array([c for c in found if c is not None], dtype=np.int64)
        planned.append(codes_of[id(design)] + i * len(texts))
    return np.isin(configuration.cat.codes.to_numpy().astype(np.int64) + cell * len(texts), np.concatenate(planned))


def _hours_of_pending(table: pd.DataFrame, seconds: pd.Series) -> pd.Series:
    """Hours of pending trials, at the mean time of their task and learner, of their learner, or of all trials."""
    mean = seconds / table["done"].where(table["done"] > 0)
    totals = pd.DataFrame({"seconds": seconds, "done": table["done"]}).groupby(level="learner").transform("sum")
    of_learner = totals["seconds"] / totals["done"].where(totals["done"] > 0)
    of_all = float(seconds.sum()) / max(1, int(table["done"].sum())) or float("nan")
    return mean.fillna(of_learner).fillna(of_all) * table["pending"] / 3600.0


def _rate(finished: NDArray[np.float64]) -> float:
    """Trials an hour over the last `RATE_SECONDS`, or over the time since the first where that is less."""
    now = time.time()
    lately = finished[finished > now - RATE_SECONDS]
    if not len(lately):
        return float("nan")
    return len(lately) / max(now - float(lately.min()), 1.0) * 3600.0


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes"
