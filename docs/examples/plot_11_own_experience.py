"""
Learn from trials of your own
=============================

Experience can come from any tables of tasks and trials. This example invents twelve tasks whose best learning rate
depends on their size, learns a surrogate from eleven of them, and starts a search on the twelfth.
"""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace, Float

from metahpo import BayesianOptimizer, MetaDataset, train_surrogate

space = ConfigurationSpace()
space.add(
    Float("rate", (1e-4, 1.0), log=True, default=0.5), Float("decay", (0.0, 1.0), default=0.5)
)
rng = np.random.default_rng(0)
sizes = {f"task{t:02}": 10.0**size for t, size in enumerate(np.linspace(2, 5, 12))}


def loss_of(configuration, size):
    """Large tasks want small rates."""
    best = -0.5 - 0.6 * (np.log10(size) - 2.0)
    return (np.log10(configuration["rate"]) - best) ** 2 + (configuration["decay"] - 0.3) ** 2


design = [dict(configuration) for configuration in space.sample_configuration(24)]
trials = pd.DataFrame(
    [
        {
            "task": task,
            "space": "net",
            "configuration": json.dumps(configuration),
            "status": "success",
            "seconds": 1.0,
            "loss.error": loss_of(configuration, size) + 0.01 * rng.normal(),
        }
        for task, size in sizes.items()
        for configuration in design
    ]
)
tasks = pd.DataFrame(
    {"family": list(sizes), "kind": "regression"}, index=pd.Index(list(sizes), name="task")
)
features = pd.DataFrame({"log_size": np.log10(list(sizes.values()))}, index=tasks.index)
md = MetaDataset(tasks, trials, features, {"net": space}, name="mine")

new = "task07"
surrogate = train_surrogate(md.drop(tasks=[new]), "net", random_state=0)
known = {"log_size": float(np.log10(sizes[new]))}
print("relies most on", list(surrogate.task_weights(meta_features=known).items())[:3])

# %%
# The warm search is given the surrogate and the meta-features of the new task; the cold one is given nothing.
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
searches = {"warm": {"surrogate": surrogate, "meta_features": known}, "cold": {}}
for name, arguments in searches.items():
    optimizer = BayesianOptimizer(space, random_state=0, **arguments)
    for _ in range(12):
        configuration = optimizer.ask()
        optimizer.tell(configuration, loss_of(configuration, sizes[new]))
    best = optimizer.history.best_so_far()
    ax.step(np.arange(1, len(best) + 1), best, where="post", marker="o", label=name)
ax.set(xlabel="Trials", ylabel="Lowest loss so far", yscale="log")
ax.legend(frameon=False)
plt.show()
