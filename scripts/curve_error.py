"""How well final losses of partly trained configurations are predicted on task families that nothing was learnt from.

Most configurations of a task are cut after a share of their epochs; a few have finished. The script prints:

- the median error of the predicted final losses, and of the last losses taken for the final ones, both divided by the
  interquartile range of the task's final losses;
- how often the 80 % interval holds;
- rank correlations with the true final losses within a task: of the last losses, of the predicted ones, and of the
  scores that a surrogate expects. The surrogate takes the predicted losses as uncertain observations, as the optimiser
  does.
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.optimization.optimizer import without_outliers
from metahpo.surrogates.fitting.training import train_surrogate
from metahpo.surrogates.learning_curves import LearningCurves
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate

#: Half of an 80 % interval, in standard deviations.
HALF = float(norm.ppf(0.9))
#: Configurations that a task must have beside those known.
FEWEST = 5


def errors_on(
    table: TaskTable,
    curves: list[NDArray[np.float64]],
    model: LearningCurves,
    surrogate: MetaLearnedSurrogate,
    share: float,
    n_known: int,
) -> dict[str, float] | None:
    """Errors on one task; None where there is too little to tell."""
    X = table.X[np.isfinite(table.loss)]  # trials that failed have no curve
    order = np.random.default_rng(0).permutation(
        [i for i, curve in enumerate(curves) if len(curve) > 3 and np.isfinite(curve).all()]
    )
    known, partly = order[:n_known], order[n_known:]
    seen = [curves[i][: max(1, round(share * len(curves[i])))] for i in partly]
    ends, final = (np.array([curves[i][-1] for i in some]) for some in (known, partly))
    last = np.array([curve[-1] for curve in seen])
    low, high = np.percentile(final, [25, 75]) if len(final) >= FEWEST else (0.0, 0.0)
    if not high > low:
        return None
    predicted = [
        model.predict(curve, len(curves[i]), np.append(ends, np.delete(last, k)))
        for k, (curve, i) in enumerate(zip(seen, partly, strict=True))
    ]
    mean, std = np.array(predicted).T
    observed = X[order], without_outliers(np.append(ends, mean))
    noise = np.append(np.zeros(n_known), std)
    expected = surrogate.posterior(X[partly], observed, table.meta_features, noise).mixture_mean()
    return {
        "last": float(np.median(np.abs(last - final)) / (high - low)),
        "predicted": float(np.median(np.abs(mean - final)) / (high - low)),
        "covered": float(np.mean(np.abs(final - mean) < HALF * std)),
        "last, rank": float(spearmanr(last, final).statistic),
        "predicted, rank": float(spearmanr(mean, final).statistic),
        "surrogate, rank": float(spearmanr(expected, final).statistic),
    }


def main() -> None:
    """Print a table: means over tasks and splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder or name of a meta-dataset with learning curves")
    parser.add_argument("--space", default="mlp")
    parser.add_argument("--metric", default="neg_log_loss", help="whose losses the curves are: r2 for regression")
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    found = []
    for split in range(options.splits):
        train, test = md.split(0.5, random_state=split)
        model = LearningCurves.of(train, options.space, random_state=split)
        surrogate = train_surrogate(train, options.space, options.metric, random_state=split)
        tables, curves = test.tables(options.space, options.metric), test.learning_curves(options.space)
        for share, n_known, table in product((0.25, 0.5), (0, 10), tables):
            row = errors_on(table, curves[table.task], model, surrogate, share, n_known)
            if row is not None:
                found.append({"epochs seen": share, "trials known": n_known, **row})
    means = pd.DataFrame(found).groupby(["epochs seen", "trials known"]).mean()
    print(means.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
