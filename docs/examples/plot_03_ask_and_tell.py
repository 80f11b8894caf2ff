"""
Ask and tell
============

:class:`metahpo.BayesianOptimizer` suggests configurations for any objective: ask for a configuration, measure it, tell
its loss. Here the objective is a function of two numbers, one of them on a logarithmic scale.
"""

import matplotlib.pyplot as plt
import numpy as np
from ConfigSpace import ConfigurationSpace, Float

from metahpo import BayesianOptimizer

space = ConfigurationSpace()
space.add(
    Float("learning_rate", (1e-4, 1.0), log=True, default=0.3),
    Float("momentum", (0.0, 1.0), default=0.5),
)


def loss_of(learning_rate, momentum):
    """A valley whose lowest point is at a learning rate of 0.02 and a momentum of 0.8."""
    return (np.log10(learning_rate / 0.02) + 2.0 * (momentum - 0.8)) ** 2 + 4.0 * (
        momentum - 0.8
    ) ** 2


optimizer = BayesianOptimizer(space, random_state=0)
for _ in range(20):
    configuration = optimizer.ask()
    optimizer.tell(configuration, float(loss_of(**configuration)))
print(optimizer.incumbent)

# %%
# The first trial is the default, the next ones cover the space, and the others look for the lowest loss.
trials = optimizer.history.to_frame()
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
rate, momentum = np.meshgrid(np.logspace(-4, 0, 60), np.linspace(0, 1, 60))
left.contourf(rate, momentum, np.log1p(loss_of(rate, momentum)), levels=15, cmap="Greys_r")
points = left.scatter(
    trials["learning_rate"], trials["momentum"], c=np.arange(1, len(trials) + 1), cmap="autumn"
)
left.set(xscale="log", xlabel="learning_rate", ylabel="momentum")
fig.colorbar(points, ax=left, label="Trial")
right.step(np.arange(1, len(trials) + 1), trials["best_so_far"], where="post")
right.set(xlabel="Trials", ylabel="Lowest loss so far", yscale="log")
plt.show()
