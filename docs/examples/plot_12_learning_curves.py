"""
The end of a learning curve from its beginning
==============================================

If trials are trained by epochs, the first losses say something about the last one. ``LearningCurves`` learns from
recorded curves how to predict it.
"""

import matplotlib.pyplot as plt
import numpy as np

from metahpo import MetaDataset
from metahpo.surrogates.learning_curves import LearningCurves

md = MetaDataset.load("networks_classification")
new = md.tasks.index[0]
long = [curve for curve in md.learning_curves("mlp")[new] if len(curve) >= 20]
curves = sorted(long, key=lambda curve: curve[-1])[:12:3]
learning_curves = LearningCurves.of(md.drop(families=[md.tasks.at[new, "family"]]), "mlp")

# %%
# Each curve is cut after a quarter of its epochs. The bar is the predicted final loss with one standard deviation.
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
cuts = [curve[: len(curve) // 4] for curve in curves]
for i, (curve, cut) in enumerate(zip(curves, cuts)):
    others = [other[-1] for j, other in enumerate(cuts) if j != i]
    final = learning_curves.predict(cut, len(curve), others)
    (line,) = ax.plot(np.arange(1, len(curve) + 1) / len(curve), curve, alpha=0.35)
    ax.plot(np.arange(1, len(cut) + 1) / len(curve), cut, color=line.get_color(), linewidth=2)
    ax.errorbar(
        1.02 + 0.015 * i, final.mean, final.std, fmt="o", color=line.get_color(), capsize=3
    )
    print(
        f"last seen {cut[-1]:.3f}, predicted {final.mean:.3f} +- {final.std:.3f}, came true {curve[-1]:.3f}"
    )
ax.set(xlabel="Share of the epochs", ylabel="Loss on held-out rows")
plt.show()
