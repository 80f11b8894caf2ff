"""
Data unlike all that is known
=============================

``rec.novelty`` is the share of recorded tasks that are more familiar than the table at hand. Above 0.95, meta-features
are not used: the library's default comes first, and then configurations that served all recorded tasks.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, make_classification

import metahpo

rng = np.random.default_rng(0)
hard = make_classification(
    n_samples=400, n_features=60, n_informative=30, n_classes=8, random_state=0
)
tables = {
    "breast cancer": load_breast_cancer(return_X_y=True),
    "make_classification": make_classification(n_samples=400, random_state=0),
    "60 columns, 8 classes": hard,
    "heavy tails": (np.exp(6.0 * rng.normal(size=(300, 40))), rng.integers(0, 10, 300)),
}
novelty = {}
for name, (X, y) in tables.items():
    rec = metahpo.recommend(X, y, learner="svm", n=2)
    novelty[name] = rec.novelty
    print(f"{name}: novelty {rec.novelty:.2f}", *rec.notes, sep="\n    ")

# %%
fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
ax.barh(list(novelty)[::-1], list(novelty.values())[::-1])
ax.axvline(0.95, color="k", linestyle="--", linewidth=1)
ax.set(xlabel="Novelty (dashed: 0.95)", xlim=(0, 1))
plt.show()
