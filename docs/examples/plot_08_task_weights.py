"""
From meta-features to evidence
==============================

Before the first trial, meta-features say on which recorded tasks a prediction relies. Every trial then is evidence for
tasks that rank the configurations in the same way. This example takes one recorded task out of an experience of 24
tasks, learns from the others, and prints how the weights change with the trials.
"""

import matplotlib.pyplot as plt
import pandas as pd

from metahpo import MetaDataset, train_surrogate

md = MetaDataset.load("tabular_classification")
md = md.drop(tasks=[task for task in md.tasks.index if task not in set(md.tasks.index[:24])])
held_out = md.tasks.index[5]
surrogate = train_surrogate(
    md.drop(families=[md.tasks.at[held_out, "family"]]), "linear", random_state=0
)

table = next(table for table in md.tables("linear") if table.task == held_out)
weights = {}
for n in (0, 1, 3, 10, 30):
    observed = (table.X[:n], table.loss[:n]) if n else None
    weights[n] = surrogate.task_weights(observed, table.meta_features)
frame = pd.DataFrame(weights).fillna(0.0)
frame = frame.loc[frame.max(axis=1).sort_values(ascending=False).index[:6]]
print(f"held out: {held_out}")
print((100 * frame).round(1).to_string())

# %%
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for task, row in frame.iterrows():
    ax.plot(range(len(row)), 100 * row, marker="o", label=task)
ax.set(
    xticks=range(len(weights)),
    xticklabels=list(weights),
    xlabel="Trials observed",
    ylabel="Weight of a task (%)",
)
ax.legend(frameon=False, bbox_to_anchor=(1.02, 1.0), loc="upper left", title="Recorded task")
plt.show()
