"""
Recommend for a new table
=========================

A recommendation needs no training on the table. This example asks for five SVM configurations, and then checks them by
cross-validation. The breast cancer table is not part of the experience that ships.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score

import metahpo

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
rec = metahpo.recommend(X, y, learner="svm", n=5)
print(rec)

# %%
# Each recommendation comes with the share of recorded configurations that it is expected to beat, and an interval that
# should hold that share four times out of five.
frame = rec.to_frame()
print(frame[["expected_percentile", "lower", "upper", "reason"]].round(0).to_string())

# %%
# ``rec.estimator(i)`` is a pipeline that takes the rows as they are. We can see how good each recommendation is.
# Which one is the best on a table is not known before it is measured: that is why there are several.
scores = np.array(
    [
        cross_val_score(rec.estimator(i), X, y, cv=3, scoring="balanced_accuracy")
        for i in range(len(rec))
    ]
)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
rows = np.arange(len(rec))
error = [
    frame["expected_percentile"] - frame["lower"],
    frame["upper"] - frame["expected_percentile"],
]
left.errorbar(frame["expected_percentile"], rows, xerr=error, fmt="o", capsize=3)
left.set(
    xlabel="Expected percentile (80 % interval)",
    yticks=rows,
    yticklabels=[f"{i + 1}" for i in rows],
)
left.set_ylabel("Recommendation")
left.invert_yaxis()
right.barh(
    rows,
    scores.mean(axis=1),
    xerr=scores.std(axis=1) / np.sqrt(3),
    color="tab:orange",
    height=0.5,
)
right.set(xlabel="Balanced accuracy, 3 folds", xlim=(0.9, 1.0))
for row, reason in enumerate(frame["reason"]):
    if reason == "library default":
        right.text(0.901, row, "library default", va="center")
plt.show()
