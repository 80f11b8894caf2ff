"""
Which hyperparameters matter on a table
=======================================

A surrogate can say how much of the expected performance depends on each hyperparameter, on this table and before any
trial. It also names the recorded tasks that say so.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer

import metahpo

X, y = load_breast_cancer(return_X_y=True)
rec = metahpo.recommend(X, y, learner="svm")
explanation = rec.explain()
print(explanation)

# %%
# Left: shares of the variance of the expected score over the search space. Right: how much each meta-feature counted in
# the search for similar tasks.
frame = explanation.to_frame().head(8)[::-1]
names = frame["hyperparameter"] + frame["with"].map(
    lambda other: f" x {other}", na_action="ignore"
).fillna("")
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.barh(names, 100 * frame["share"])
left.set(xlabel="Share of variance (%)", title="Hyperparameters and pairs")
features = dict(list(explanation.meta_features.items())[:8])
right.barh(
    list(features)[::-1], [100 * share for share in features.values()][::-1], color="tab:orange"
)
right.set(xlabel="Share (%)", title="Meta-features")
plt.show()
