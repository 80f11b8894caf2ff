"""What first recommendations are worth on recorded tasks whose families are left out: nothing is trained.

`python scripts/evaluate_first_picks.py texts` compares picks with the library's default, for each learner:

- `metahpo`: the decision against the default; `no_meta_features`: the same without meta-features;
- `constant`: the one configuration of the largest mean reduction of error over the experience;
- `best of K`: the best of the default and the first picks, and `random N`: the best of the default and of random
  configurations. They are chosen by one half of the fits, and every pick is judged by the other half.

A win is a change of more than one standard error of the paired difference.
"""

import argparse

import joblib
import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from metahpo.evaluation.recorded_outcomes import RecordedOutcome, groups_of_tasks, recorded_outcomes
from metahpo.evaluation.statistics import mean_intervals
from metahpo.metadata.fit_losses import half_means
from metahpo.metadata.meta_dataset import MetaDataset

#: Picks that the best is chosen of; random configurations, and how often they are drawn.
PICKS, RANDOM, DRAWS = (3, 5), (5, 15), 50


def of_outcome(outcome: RecordedOutcome, learner: str, rng: np.random.Generator) -> pd.DataFrame:
    """Change of every pick on a task, a row a pick."""
    promised, half = outcome.model.on(outcome.meta_features), half_means(outcome.fits)
    firsts = promised.picks(max(PICKS))
    change, margin = outcome.changes(), outcome.standard_error / float(outcome.errors[outcome.default])
    rows = {
        "metahpo": change[firsts[0]],
        "no_meta_features": change[outcome.model.on(None).picks(1)[0]],
        "constant": change[int(np.argmax(outcome.model.change.mean(axis=0)))],
    }
    halves = [(half[0], outcome.changes(half[1])), (half[1], outcome.changes(half[0]))]

    def best_of(places: list[int]) -> float:
        those = [outcome.default, *places]
        return float(np.mean([judged[those[int(np.nanargmin(chosen[those]))]] for chosen, judged in halves]))

    others = np.delete(np.arange(len(change)), outcome.default)
    for k in PICKS:
        rows[f"best of {k}"] = best_of(firsts[:k])
    for n in (n for n in RANDOM if n <= len(others)):
        drawn = [best_of(rng.choice(others, n, replace=False).tolist()) for _ in range(DRAWS)]
        rows[f"random {n}"] = float(np.mean(drawn))
    table = pd.DataFrame({"pick": rows.keys(), "change": np.nan_to_num(list(rows.values()), nan=-1.0)})
    table["won"], table["lost"] = table["change"] > margin, table["change"] < -margin
    return table.assign(learner=learner, task=outcome.task, family=outcome.family)


def of_group(md: MetaDataset, learner: str, tasks: list[str], seed: int) -> pd.DataFrame:
    """Changes of the picks on some tasks."""
    rng = np.random.default_rng(seed)
    return pd.concat([of_outcome(outcome, learner, rng) for outcome in recorded_outcomes(md, learner, tasks)])


def against(rows: pd.DataFrame, one: str, other: str) -> str:
    """Change of a pick less that of another: interval over families, and paired test."""
    table = rows.rename(columns={"learner": "space"}).set_index(["space", "family", "task", "pick"])["change"].unstack()
    gap = table[one] - table[other]
    p = float(wilcoxon(gap).pvalue) if (gap != 0.0).any() else 1.0
    mean, low, high = mean_intervals(pd.DataFrame({"gap": gap})).loc["gap"]
    return f"{one} against {other}: mean {mean:+.4f} (95 % over families: {low:+.4f} to {high:+.4f}), p = {p:.3f}"


def main() -> None:
    """Print the table and the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    parts = joblib.Parallel(n_jobs=options.jobs)(
        joblib.delayed(of_group)(md, learner, tasks, group)
        for learner in options.learners or md.spaces
        for group, tasks in enumerate(groups_of_tasks(md))
    )
    rows = pd.concat([*parts], ignore_index=True)
    table = rows.groupby(["learner", "pick"], sort=False).agg(
        tasks=("task", "size"), wins=("won", "mean"), losses=("lost", "mean"),
        mean=("change", "mean"), median=("change", "median"), worst=("change", "min"),
    )  # fmt: skip
    print(table.to_string(float_format="{:.3f}".format))
    for pair in (("metahpo", "no_meta_features"), ("metahpo", "constant"), ("best of 3", "random 15")):
        if set(pair) <= set(rows["pick"]):
            print(against(rows, *pair))


if __name__ == "__main__":
    main()
