"""How well final losses of partly trained configurations are predicted on task families that nothing was learnt from.

For a share of the epochs seen and a number of finished trials known on the task: the median error of the predicted
final loss, and that of taking the last loss for it, over the interquartile range of the task's final losses; their rank
correlations with the true ones within a task; and how often the 80 % interval holds.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

from metahpo.meta_dataset import MetaDataset
from metahpo.surrogates.learning_curves import LearningCurves

#: Half of an 80 % interval, in standard deviations.
HALF = float(norm.ppf(0.9))


def errors_on(md: MetaDataset, space: str, model: LearningCurves, share: float, n_known: int) -> list[dict[str, float]]:
    """One row a task."""
    rng, rows = np.random.default_rng(0), []
    for curves in md.learning_curves(space).values():
        complete = [c for c in curves if len(c) > 3 and np.isfinite(c).all()]
        if len(complete) < n_known + 5:
            continue
        order = rng.permutation(len(complete))
        known = [complete[i][-1] for i in order[:n_known]]
        seen = [complete[i][: max(1, round(share * len(complete[i])))] for i in order[n_known:]]
        final = np.array([complete[i][-1] for i in order[n_known:]])
        predicted = [model.predict(c, len(complete[i]), known) for c, i in zip(seen, order[n_known:], strict=True)]
        mean, std = np.array(predicted).T
        last = np.array([c[-1] for c in seen])
        low, high = np.percentile(final, [25, 75])
        if high > low:
            rows.append(
                {
                    "last": float(np.median(np.abs(last - final))) / (high - low),
                    "predicted": float(np.median(np.abs(mean - final))) / (high - low),
                    "last, rank": float(spearmanr(last, final).statistic),
                    "predicted, rank": float(spearmanr(mean, final).statistic),
                    "covered": float(np.mean(np.abs(final - mean) < HALF * std)),
                }
            )
    return rows


def main() -> None:
    """Print a table: means over tasks and splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder or name of a meta-dataset with learning curves")
    parser.add_argument("--space", default="mlp")
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    found = []
    for split in range(options.splits):
        train, test = md.split(0.5, random_state=split)
        model = LearningCurves.of(train, options.space, random_state=split)
        for share in (0.25, 0.5):
            for n_known in (0, 10):
                rows = errors_on(test, options.space, model, share, n_known)
                found += [{"epochs seen": share, "trials known": n_known, **row} for row in rows]
    table = pd.DataFrame(found).groupby(["epochs seen", "trials known"]).mean()
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
