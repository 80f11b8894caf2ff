"""Replay: a method searches a task's recorded configurations as if it ran them.

What a search leaves is the list of rows that it picked. Regrets, seconds and everything else are computed from it. A
search ends where it has picked the lowest loss that it can be told: the incumbent stays from then on, whatever the
method picks next, so that all that is computed from the list is the same.

Symbols: n recorded configurations, T trials.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.baseline import Policy, Run
from metahpo.evaluation.regret import normalised_regret, regret_so_far
from metahpo.exceptions import PluginError
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic


@dataclass(frozen=True)
class Replay:
    """Result of one method on one held-out task.

    Attributes
    ----------
    regret : ndarray of shape (n_trials,)
        Normalised regret of the incumbent after 1 .. n_trials trials, averaged over the replays.
    first_picks : tuple of int
        Row of the first configuration tried, one a replay.
    suggest_seconds : float
        Mean seconds of one suggestion.
    """

    regret: NDArray[np.float64]
    first_picks: tuple[int, ...]
    suggest_seconds: float


@own_arithmetic()
def replay(
    policy: Policy,
    table: TaskTable,
    n_trials: int,
    n_replays: int = 1,
    random_state: int = 0,
) -> Replay:
    """Let a policy pick `n_trials` of a task's recorded configurations, each once.

    A failed trial counts as a trial, with regret 1. Where the best of the configurations is found sooner, or fewer were
    recorded, the search ends there, and its incumbent stands. Random numbers depend on `random_state`, the task's name
    and the replay, not on the order of tasks.

    Parameters
    ----------
    policy : Policy
    table : TaskTable
    n_trials, n_replays, random_state : int

    Raises
    ------
    PluginError
        The policy picks what is no row of the pool.
    """
    regret = normalised_regret(table.loss)
    curves, first_picks = [], []
    started, n_suggestions = time.perf_counter(), 0
    for k in range(n_replays):
        picked: list[int] = []
        search(policy, table, n_trials, task_seed(random_state, table.task, k), picked)
        n_suggestions += len(picked)
        first_picks.append(picked[0])
        curves.append(regret_so_far(regret[picked], table.loss[picked], n_trials))
    return Replay(np.mean(curves, axis=0), tuple(first_picks), (time.perf_counter() - started) / n_suggestions)


def search(
    policy: Policy, table: TaskTable, n_trials: int, seed: int, tried: list[int], default: int | None = None
) -> None:
    """Let a policy pick up to `n_trials` of a task's recorded configurations, each once, and append them to `tried`.

    The search ends at the first configuration with the lowest loss: nothing that follows could replace it. What was
    picked before an error is in `tried`.

    Parameters
    ----------
    policy : Policy
    table : TaskTable
    n_trials : int
    seed : int
        Given to the policy.
    tried : list of int
        Empty.
    default : int, default=None
        Row that every method tries first; None: the method chooses.

    Raises
    ------
    PluginError
        The policy picks what is no row of the pool.
    """
    run = policy.start(table.meta_features, seed)
    if default is not None:
        tried.append(default)
    left = [row for row in range(len(table.loss)) if row != default]
    is_best = table.loss == np.min(table.loss, where=np.isfinite(table.loss), initial=np.inf)
    while len(tried) < n_trials and left and not is_best[tried[-1:]].any():
        tried.append(left.pop(suggestion(run, table, tried, left)))


def suggestion(run: Run, table: TaskTable, tried: list[int], left: list[int]) -> int:
    """Place in `left` of the configuration that a run picks.

    Raises
    ------
    PluginError
        It picks what is no row of the pool.
    """
    picked: Any = run.suggest(table.X[tried], table.loss[tried], table.X[left])
    try:
        row = index(picked)
    except TypeError:
        row = -1
    if isinstance(picked, bool) or not 0 <= row < len(left):
        raise PluginError(
            f"a method must pick a row of the pool, a whole number from 0 to {len(left) - 1}, but gave {picked!r}; "
            "see Run.suggest."
        )
    return row


def task_seed(random_state: int, task: str, k: int) -> int:
    """Seed of the k-th replay on a task."""
    return int(np.random.SeedSequence([random_state, zlib.crc32(task.encode()), k]).generate_state(1)[0])
