"""
Compare methods on recorded tasks
=================================

:func:`metahpo.evaluate` replays methods on task families that they did not learn from. Nothing is trained on data: each
trial is looked up. The library's default is the first trial of every method. The quick methods below take seconds; the
default comparison adds the surrogate, which is trained for each fold.
"""

import matplotlib.pyplot as plt

from metahpo import MetaDataset, evaluate

md = MetaDataset.load("tabular_classification")
report = evaluate(
    md, ["portfolio", "random_search"], n_trials=15, spaces=["svm"], random_state=0
)
summary = report.summary()
print(summary[summary["trial"].isin([1, 5, 15])].round(4).to_string(index=False))

# %%
# Normalised regret is 0 for the best recorded configuration of a task, and 1 for the worst.
fig, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for method, rows in summary.groupby("method", sort=False):
    ax.plot(rows["trial"], rows["regret"], marker=".", label=method)
    ax.fill_between(
        rows["trial"],
        rows["regret"] - rows["standard_error"],
        rows["regret"] + rows["standard_error"],
        alpha=0.2,
    )
ax.set(xlabel="Trials", ylabel="Mean normalised regret", yscale="log")
ax.legend(frameon=False)
plt.show()

# %%
# Differences come with 95 % intervals over families, and with the tasks on which the method does worst.
print(report.paired().round(3).to_string(index=False))
print(report.where_it_hurts(n=3).round(3).to_string(index=False))
