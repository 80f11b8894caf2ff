"""Replay: a method searches a task's recorded configurations as if it ran them.

Symbols: n recorded configurations, T trials.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.evaluation.baselines.baseline import Policy
from metahpo.evaluation.regret import normalised_regret, regret_so_far
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.arithmetic import own_arithmetic


@dataclass(frozen=True)
class Replay:
    """What one method did on one held-out task.

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
    judged: NDArray[np.float64] | None = None,
) -> Replay:
    """Let a policy pick `n_trials` of a task's recorded configurations, each once.

    A failed trial counts as a trial, with regret 1. Where fewer than `n_trials` configurations were recorded all of
    them are tried. Random numbers depend on `random_state`, the task's name and the replay, not on the order of tasks.

    Parameters
    ----------
    policy : Policy
    table : TaskTable
        The losses that the policy is told, and by which the incumbent is chosen.
    n_trials, n_replays, random_state : int
    judged : ndarray of shape (n,), default=None
        Losses by which the incumbent is judged, of other fits than those of `table` (honest regret); None: those of
        `table`.
    """
    regret = normalised_regret(table.loss if judged is None else judged)
    curves, first_picks = [], []
    started, n_suggestions = time.perf_counter(), 0
    for k in range(n_replays):
        picked = _picked(policy, table, min(n_trials, len(regret)), task_seed(random_state, table.task, k))
        n_suggestions += len(picked)
        first_picks.append(picked[0])
        curves.append(regret_so_far(regret[picked], table.loss[picked], n_trials))
    return Replay(np.mean(curves, axis=0), tuple(first_picks), (time.perf_counter() - started) / n_suggestions)


def mean_replay(replays: Iterable[Replay]) -> Replay:
    """Mean of several replays of one method on one task."""
    all_of_them = list(replays)
    return Replay(
        np.mean([r.regret for r in all_of_them], axis=0),
        tuple(pick for r in all_of_them for pick in r.first_picks),
        float(np.mean([r.suggest_seconds for r in all_of_them])),
    )


def _picked(policy: Policy, table: TaskTable, n_trials: int, seed: int) -> list[int]:
    run = policy.start(table.meta_features, seed)
    tried: list[int] = []
    left = list(range(len(table.loss)))
    while len(tried) < n_trials:
        tried.append(left.pop(run.suggest(table.X[tried], table.loss[tried], table.X[left])))
    return tried


def task_seed(random_state: int, task: str, k: int) -> int:
    """Seed of the k-th replay on a task."""
    return int(np.random.SeedSequence([random_state, zlib.crc32(task.encode()), k]).generate_state(1)[0])
