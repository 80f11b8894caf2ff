"""Regrets whose differences are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def made_up_regrets(
    lead: float = 0.0, n_families: int = 40, n_trials: int = 1, spaces: tuple[str, ...] = ("s",), seed: int = 0
) -> pd.DataFrame:
    """Two methods; `ours` is better by `lead` in the mean; families of one to three tasks that share a deviation."""
    rng = np.random.default_rng(seed)
    rows = []
    for family in range(n_families):
        shared = rng.normal(0.0, 0.1)
        for task in range(int(rng.integers(1, 4))):
            for space in spaces:
                level = rng.normal(0.5, 0.1)
                difference = lead + shared + rng.normal(0.0, 0.05)
                for trial in range(1, n_trials + 1):
                    about = {"space": space, "task": f"f{family}t{task}", "family": f"f{family}", "trial": trial}
                    rows.append({**about, "method": "ours", "regret": (level - difference / 2) / trial})
                    rows.append({**about, "method": "theirs", "regret": (level + difference / 2) / trial})
    return pd.DataFrame(rows)


def simulated(
    rng: np.random.Generator, lead: float, n_families: int = 30
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Totals of differences (F,) and numbers of tasks (F,): families of one to three that share a deviation."""
    n_tasks = rng.integers(1, 4, n_families).astype(np.float64)
    shared = lead + rng.normal(0.0, 0.1, n_families)
    return n_tasks * shared + np.sqrt(n_tasks) * rng.normal(0.0, 0.05, n_families), n_tasks
