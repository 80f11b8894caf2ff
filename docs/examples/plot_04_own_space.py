"""
Search a space of your own
==========================

A space of your own names hyperparameters as the pipeline does, ``step__parameter``. The experience with the learner
in the pipeline is used as far as the spaces overlap. Conditions of ConfigSpace are obeyed.
"""

import matplotlib.pyplot as plt
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo import MetaSearchCV

X, y = load_wine(return_X_y=True)
pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA()), ("svc", SVC())])

space = ConfigurationSpace()
kernel = Categorical("svc__kernel", ["rbf", "linear"], default="rbf")
gamma = Float("svc__gamma", (1e-4, 10.0), log=True, default=0.1)
space.add(
    Integer("pca__n_components", (1, 13), default=13),
    Float("svc__C", (1e-2, 1e3), log=True, default=1.0),
)
space.add(kernel, gamma, EqualsCondition(gamma, kernel, "rbf"))

search = MetaSearchCV(pipeline, space, n_trials=20, cv=3, random_state=0).fit(X, y)
print(search.best_params_, round(search.best_score_, 3))

# %%
# The notes say what the experience is used for. The search learns the number of components from its trials alone.
print("\n".join(search.notes_))

# %%
# ``cv_results_`` has one row a trial, as in scikit-learn.
results = search.cv_results_
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, marker in (("rbf", "o"), ("linear", "s")):
    chosen = results["param_svc__kernel"] == name
    ax.scatter(
        results["param_pca__n_components"][chosen],
        results["mean_test_score"][chosen],
        marker=marker,
        label=name,
    )
ax.set(xlabel="pca__n_components", ylabel="Accuracy (3 folds)")
ax.legend(title="svc__kernel", frameon=False)
plt.show()
