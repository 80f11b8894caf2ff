"""
What the surrogate expects, before and after trials
===================================================

The surrogate predicts a score for each configuration: the rank of its loss among the recorded configurations of a task,
mapped to the standard normal distribution. Low is good. Before any trial the prediction comes from other tasks; each
trial makes it narrower.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import metahpo

X, y = load_breast_cancer(return_X_y=True)
rec = metahpo.recommend(X, y, learner="svm")
surrogate = metahpo.Recommender.shipped("classification", learner="svm").surrogate(
    "svm", rec.metric
)


def configuration_with(C):
    """An SVM with a Gaussian kernel of the library's width."""
    return {"C": float(C), "class_weight": "balanced", "kernel": "rbf", "gamma_rule": "scale"}


def loss_with(C):
    """One minus the balanced accuracy of three folds."""
    pipeline = make_pipeline(StandardScaler(), SVC(C=C, class_weight="balanced"))
    return 1.0 - cross_val_score(pipeline, X, y, cv=3, scoring="balanced_accuracy").mean()


tried = [0.01, 0.3, 3.0, 1000.0]
observed = ([configuration_with(C) for C in tried], np.array([loss_with(C) for C in tried]))
grid = np.logspace(-2, 3, 80)
at = [configuration_with(C) for C in grid]

# %%
# The bands hold the score with a probability of 80 %.
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, seen, title in (
    (axes[0], None, "Before any trial"),
    (axes[1], observed, "After four trials"),
):
    posterior = surrogate.posterior(at, seen, rec.meta_features)
    ax.fill_between(grid, posterior.quantile(0.1), posterior.quantile(0.9), alpha=0.3)
    ax.plot(grid, posterior.mixture_mean())
    ax.set(xscale="log", xlabel="C", title=title)
for C in tried:
    axes[1].axvline(C, color="k", linewidth=0.8, linestyle=":")
axes[0].set_ylabel("Score (low is good)")
plt.show()
