"""
Evaluate a method of your own
=============================

A method is an object with a name, a number of replays, and three steps: ``learn`` returns a policy, ``start`` of the
policy begins on a task, and ``suggest`` picks a configuration. This method tries the configurations in the order of
their mean rank on the training tasks.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import rankdata

from metahpo import MetaDataset, evaluate


@dataclass(frozen=True)
class MeanRank:
    """Configurations by their mean rank on the tasks learnt from."""

    name: str = "mean_rank"
    n_replays: int = 1
    ranks: dict | None = None

    def learn(self, tables, space_name, random_state):
        """Remember the mean rank of each configuration."""
        found: dict = {}
        for table in tables:
            for row, rank in zip(
                table.X, rankdata(table.loss, nan_policy="omit") / len(table.loss)
            ):
                found.setdefault(row.tobytes(), []).append(rank)
        return MeanRank(ranks={row: float(np.nanmean(r)) for row, r in found.items()})

    def start(self, meta_features, random_state):
        """The same on each task."""
        return self

    def suggest(self, X_obs, loss_obs, X_pool):
        """The row of the pool with the lowest mean rank."""
        return int(np.argmin([self.ranks.get(row.tobytes(), 1.0) for row in X_pool]))


md = MetaDataset.load("tabular_regression")
report = evaluate(
    md,
    [MeanRank(), "portfolio", "random_search"],
    n_trials=10,
    spaces=["boosting"],
    random_state=0,
)
comparison = report.comparison()
print(comparison.round(3).to_string(index=False))

# %%
summary = report.summary()
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for method, rows in summary.groupby("method", sort=False):
    ax.plot(rows["trial"], rows["regret"], marker="o", label=method)
ax.set(xlabel="Trials", ylabel="Mean normalised regret", yscale="log")
ax.legend(frameon=False)
plt.show()
