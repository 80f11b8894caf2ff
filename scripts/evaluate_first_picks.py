"""What first recommendations are worth on recorded tasks whose families are left out: nothing is trained.

`python scripts/evaluate_first_picks.py texts` compares picks with the library's default, for each learner:

- `metahpo`: the decision against the default; `no_meta_features`: the same without meta-features;
- `constant`: the one configuration of the largest mean reduction of error over the experience;
- `best of K`: the best of the default and the first picks, and `random N`: the best of the default and of random
  configurations. One half of the fits chooses these, and the other half judges them. All fits judge the other picks.

A win is a change of more than one standard error of the paired difference.

`--together` compares five picks over all learners together with five picks of each learner, by the normalised regret
among all recorded configurations of the tasks on which the learners are compared. Its last row picks all recorded
configurations. One half of the fits chooses the best pick, the other half judges it, so noise keeps this row above 0.
"""

import argparse

import joblib
import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.ranking import signed_rank_p
from metahpo.evaluation.recorded_outcomes import RecordedOutcome, groups_of_tasks, joint_text, recorded_outcomes
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
    p = signed_rank_p(gap.to_numpy())
    mean, low, high = mean_intervals(pd.DataFrame({"gap": gap})).loc["gap"]
    return f"{one} against {other}: mean {mean:+.4f} (95 % over families: {low:+.4f} to {high:+.4f}), p = {p:.3f}"


def together(md: MetaDataset, tasks: list[str]) -> list[dict[str, object]]:
    """Regret on some tasks of the best of five picks (over all learners, of each learner), and of the best of all."""
    singles = {s: {o.task: o for o in recorded_outcomes(md, s, tasks)} for s in md.spaces}
    rows: list[dict[str, object]] = []
    for outcome in recorded_outcomes(md, None, tasks):
        half, place = half_means(outcome.fits), {text: i for i, text in enumerate(outcome.model.configurations)}
        picks = {"all together": outcome.model.on(outcome.meta_features).picks(max(PICKS))}
        for space, own in ((s, found[outcome.task]) for s, found in singles.items() if outcome.task in found):
            five = own.model.on(own.meta_features).picks(max(PICKS))
            picks[space] = [place[joint_text(space, own.model.configurations[i])] for i in five]
        picks["every configuration"] = list(range(len(half[0])))
        for name, places in picks.items():
            regrets = []
            for chosen, judged in ((half[0], half[1]), (half[1], half[0])):
                least, most = np.nanmin(judged), np.nanmax(judged)
                error = judged[places[int(np.nanargmin(chosen[places]))]]
                regrets.append((np.nan_to_num(error, nan=most) - least) / (most - least))
            rows.append({"picks": name, "task": outcome.task, "regret": float(np.mean(regrets))})
    return rows


def main() -> None:
    """Print the table and the comparisons."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--together", action="store_true", help="compare picks over all learners with one learner's")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    if options.together:
        found = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(together)(md, tasks) for tasks in groups_of_tasks(md)
        )
        regrets = pd.DataFrame([row for rows in found for row in rows]).groupby("picks", sort=False)["regret"]
        print(regrets.agg(["size", "mean", "median"]).to_string(float_format="{:.4f}".format))
        return
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
