"""The greedy portfolio: configurations that complement each other on the training tasks, then a Gaussian process.

Symbols: t training tasks, c candidates, d columns; R (t, c) normalised regret of each candidate on each task.

    pick_k = argmin_c  mean_t min( R[t, c], min_{j<k} R[t, pick_j] )

Where tasks do not share configurations, R[t, c] is read at the recorded configuration of t nearest to c.
Sources: Wistuba et al., "Learning hyperparameter optimization initializations", DSAA 2015; Feurer et al., "Auto-sklearn
2.0", JMLR 2022, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from metahpo.evaluation.baselines.sequential_search import ModelRun, PicksFirstRun
from metahpo.evaluation.baselines.sharing import SharedColdSurrogate
from metahpo.evaluation.regret import normalised_regret
from metahpo.metadata.task_table import TaskTable

#: Candidates are a random sample of the distinct training configurations where there are more than this.
MAX_CANDIDATES = 1500


@dataclass(frozen=True)
class GreedyPortfolio:
    """Portfolio of fixed length, then a Gaussian process on what it found.

    Attributes
    ----------
    n_picks : int, default=8
        Length of the portfolio. With 1 it is the best constant configuration.
    """

    n_picks: int = 8

    @property
    def name(self) -> str:
        """`portfolio`, or `constant` where it has one pick."""
        return "constant" if self.n_picks == 1 else "portfolio"

    @property
    def n_replays(self) -> int:
        """1: the picks are determined."""
        return 1

    @property
    def shares_fits(self) -> bool:
        """True: searches with another seed differ where equals are drawn from, which is seldom."""
        return True

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> PortfolioPolicy:
        """Pick the portfolio."""
        candidates = np.unique(np.concatenate([table.X for table in tables]), axis=0)
        if len(candidates) > MAX_CANDIDATES:
            rng = np.random.default_rng(random_state)
            candidates = candidates[rng.choice(len(candidates), MAX_CANDIDATES, replace=False)]
        regret = np.stack(
            [normalised_regret(table.loss)[cdist(candidates, table.X).argmin(axis=1)] for table in tables]
        )
        return PortfolioPolicy(candidates[greedy_picks(regret, self.n_picks)])


@dataclass(frozen=True)
class PortfolioPolicy:
    """The picked configurations, best first; shape (k, d)."""

    picks: NDArray[np.float64]

    def start(self, meta_features: Mapping[str, float] | None, random_state: int) -> PicksFirstRun:
        """Begin at the first pick."""
        rng = np.random.default_rng(random_state)
        return PicksFirstRun(self.picks, ModelRun(rng, SharedColdSurrogate(), n_initial=0))


def greedy_picks(regret: NDArray[np.float64], n_picks: int) -> list[int]:
    """Columns of `regret` (t, c) picked one after the other, each to lower the mean over tasks of the lowest regret."""
    lowest = np.ones(len(regret))
    picks: list[int] = []
    for _ in range(min(n_picks, regret.shape[1])):
        total = np.minimum(lowest[:, None], regret).mean(axis=0)
        total[picks] = np.inf
        picks.append(int(total.argmin()))
        lowest = np.minimum(lowest, regret[:, picks[-1]])
    return picks
