"""Whether promises come true: calibration of the change against the default, on recorded tasks of families left out.

`python scripts/evaluate_calibration.py tabular_classification` prints two tables, for each learner:

- how often configurations beat the default whose `p_better_than_default` was near .5, .7 and .9;
- how often the change lies inside its interval of 80 %.

Both are for all configurations and for the five picks.

The families are left out in five groups. What comes true is the recorded mean over the fits of a task.
"""

import argparse

import joblib
import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.recorded_outcomes import groups_of_tasks, recorded_outcomes
from metahpo.metadata.meta_dataset import MetaDataset

#: Picks whose intervals are judged on their own.
PICKS = 5
#: Centres of the ranges of probabilities, and half of their width.
CENTRES, HALF_WIDTH = (0.5, 0.7, 0.9), 0.1


def of_group(md: MetaDataset, space: str, tasks: list[str]) -> pd.DataFrame:
    """Promise and outcome of every configuration on some tasks, from experience that knows none of their families."""
    found = []
    for outcome in recorded_outcomes(md, space, tasks):
        promised = outcome.model.on(outcome.meta_features)
        low, high = promised.interval()
        rows = pd.DataFrame({"p": promised.p_better(), "low": low, "high": high, "change": outcome.changes()})
        rows["pick"] = np.isin(np.arange(len(rows)), promised.picks(PICKS))
        found.append(rows.drop(index=outcome.default).assign(learner=space))
    return pd.concat(found)


def probabilities(rows: pd.DataFrame) -> pd.DataFrame:
    """How often promises came true, by learner and probability."""
    near = pd.concat([rows[(rows["p"] - centre).abs() <= HALF_WIDTH].assign(near=centre) for centre in CENTRES])
    near["true"] = near["change"] > 0.0
    table = near.groupby(["learner", "near"]).agg(
        promised=("p", "mean"), came_true=("true", "mean"), cases=("p", "size")
    )
    together = near.groupby("near").agg(promised=("p", "mean"), came_true=("true", "mean"), cases=("p", "size"))
    return pd.concat([table, pd.concat({"together": together}, names=["learner"])])


def coverage(rows: pd.DataFrame) -> pd.Series:
    """Share of changes inside their intervals, by learner."""
    inside = rows["change"].between(rows["low"], rows["high"])
    return pd.concat([inside.groupby(rows["learner"]).mean(), pd.Series({"together": inside.mean()})])


def main() -> None:
    """Print the tables."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    parts = joblib.Parallel(n_jobs=options.jobs)(
        joblib.delayed(of_group)(md, space, tasks)
        for space in options.learners or md.spaces
        for tasks in groups_of_tasks(md)
    )
    rows = pd.concat([*parts])
    both = {"all": rows, "picks": rows[rows["pick"]]}
    for table in (
        pd.concat({name: probabilities(some) for name, some in both.items()}, axis=1),
        pd.DataFrame({name: coverage(some) for name, some in both.items()}),
    ):
        print(table.to_string(float_format="{:.2f}".format), end="\n\n")


if __name__ == "__main__":
    main()
