"""
Use experience for a network of your own
========================================

The hyperparameters of a network of your own have names and ranges of their own. The experience with the network of the
package is used as far as the names, their aliases and the ranges overlap. A report says what was taken, what was
clipped, and what was left out.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from metahpo import BayesianOptimizer, Recommender
from metahpo.metafeatures.extraction import extract
from metahpo.surrogates.mapped import MappedSurrogate
from metahpo.tasks import as_task

torch.set_num_threads(1)
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
scaler = StandardScaler().fit(X_train)
rows, targets = torch.tensor(scaler.transform(X_train)).float(), torch.tensor(y_train)
test_rows, test_targets = torch.tensor(scaler.transform(X_test)).float(), torch.tensor(y_test)


def error_of(lr, weight_decay, drop_rate, hidden_size, n_layers, batch_size, grad_clip):
    """Cross-entropy on the test rows after three epochs."""
    torch.manual_seed(0)
    sizes = [rows.shape[1], *[hidden_size] * n_layers]
    layers = [
        part
        for n_in, n_out in pairwise(sizes)
        for part in (nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(drop_rate))
    ]
    network = nn.Sequential(*layers, nn.Linear(hidden_size, 2))
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(3):
        for batch in torch.randperm(len(rows)).split(batch_size):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(rows[batch]), targets[batch]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), grad_clip)
            optimiser.step()
    network.eval()
    with torch.no_grad():
        return float(nn.functional.cross_entropy(network(test_rows), test_targets))


space = ConfigurationSpace()
space.add(
    Float("lr", (1e-6, 1.0), log=True, default=1e-4),
    Float("weight_decay", (1e-6, 0.1), log=True, default=1e-4),
    Float("drop_rate", (0.0, 0.8), default=0.5),
    Integer("hidden_size", (8, 256), log=True, default=16),
    Integer("n_layers", (1, 4), default=1),
    Categorical("batch_size", [16, 64, 256], default=64),
    Float("grad_clip", (0.1, 10.0), log=True, default=1.0),
)

# %%
# The report has a row for each hyperparameter of either space. ``grad_clip`` is not known: the search learns of it from
# the trials alone.
recommender = Recommender.shipped("classification", learner="mlp")
surrogate = recommender.surrogate("mlp", recommender.trained_metrics("mlp")[0])
mapped = MappedSurrogate(surrogate, space)
print(mapped.mapping)

# %%
# Both searches have ten trials. One of them begins with what is recommended for the table, placed in the space.
task = as_task(X_train, y_train)
recommended = recommender.recommend(task, "mlp", n=2)
searches = {
    "with experience": BayesianOptimizer(
        space, mapped, extract(task).values, initial=mapped.place(recommended), random_state=0
    ),
    "cold": BayesianOptimizer(space, random_state=0),
}
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, search in searches.items():
    for _ in range(10):
        configuration = search.ask()
        search.tell(configuration, error_of(**configuration))
    best = search.history.best_so_far()
    print(f"{name}: {best[0]:.3f} after one trial, {best[-1]:.3f} after ten")
    ax.step(np.arange(1, len(best) + 1), best, where="post", marker="o", label=name)
ax.set(xlabel="Trials", ylabel="Lowest cross-entropy so far")
ax.legend(frameon=False)
plt.show()
