"""
A search with experience and without
====================================

:class:`metahpo.MetaSearchCV` has the interface of ``GridSearchCV``. It starts from recorded trials on other tables.
With ``warm_start=False`` the same search starts from nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor

from metahpo import MetaSearchCV

X, y = load_diabetes(return_X_y=True)

best = {}
for name, warm in (("with experience", True), ("without", False)):
    search = MetaSearchCV(
        HistGradientBoostingRegressor(), n_trials=8, cv=3, warm_start=warm, random_state=0
    ).fit(X, y)
    best[name] = np.maximum.accumulate(search.cv_results_["mean_test_score"])
    print(f"{name}: best R2 {search.best_score_:.3f} with {search.best_params_}")

# %%
# The first trial of the search with experience is its recommendation.
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, curve in best.items():
    ax.step(np.arange(1, len(curve) + 1), curve, where="post", marker="o", label=name)
ax.set(xlabel="Trials", ylabel="Best R2 so far (3 folds)")
ax.legend(frameon=False)
plt.show()
