"""How well narrowed spaces hold the best configuration of a task, by recorded trials and leave-family-out.

`python scripts/evaluate_space.py tabular_1200_regression`: families are left out in groups. What is learnt from the
other families narrows the space of a learner for each task that is left out. For each learner and share: on how many
tasks the box holds the best recorded configuration, on how many it holds one that is as good within a standard error,
and the share of the space's volume that the box has, in the median.

`--oracle` adds a lower bound. One half of the fits of the very task is known. The box is the smallest around its best
configurations. The other half tells which configuration is the best. No experience with other tasks knows as much. So a
smaller box that holds the best as often is out of reach.
"""

import argparse
import json

import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.recorded_outcomes import groups_of_tasks, recorded_outcomes
from metahpo.metadata.fit_losses import half_means
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.narrow_space import best_shares, box, holds, volume

#: Numbers of best configurations that the oracle's boxes hold.
TOLD = (1, 2, 4, 8, 16)


def measured(md: MetaDataset, learner: str, shares: list[float]) -> pd.DataFrame:
    """One row a task and share: whether the box holds the best and a good configuration, and its volume."""
    rows = []
    for outcome in (outcome for tasks in groups_of_tasks(md) for outcome in recorded_outcomes(md, learner, tasks)):
        configurations = [json.loads(text) for text in outcome.model.configurations]
        prediction = outcome.model.on(outcome.meta_features)
        mass = best_shares(prediction.weights, -prediction.change)
        errors = outcome.errors
        best = int(np.nanargmin(errors))
        good = np.flatnonzero(errors <= errors[best] + outcome.standard_error)
        for share in shares:
            narrow = box(md.spaces[learner], configurations, mass, share)
            inside = holds(narrow, configurations)
            held = bool(inside[best]), bool(inside[good].any())
            rows.append((learner, share, *held, volume(narrow, md.spaces[learner])))
    return pd.DataFrame(rows, columns=["learner", "share", "holds the best", "holds a good one", "volume"])


def of_oracle(md: MetaDataset, learner: str) -> pd.DataFrame:
    """One row a task, half of its fits, and number of configurations in the box of that half."""
    rows = []
    for outcome in (outcome for tasks in groups_of_tasks(md) for outcome in recorded_outcomes(md, learner, tasks)):
        configurations = [json.loads(text) for text in outcome.model.configurations]
        first, second = half_means(outcome.fits)
        for known, judge in ((first, second), (second, first)):
            best, order = int(np.nanargmin(judge)), np.argsort(known, kind="stable")  # failures come last
            for k in TOLD:
                mass = np.zeros(len(configurations))
                mass[order[:k]] = 1.0 / k
                narrow = box(md.spaces[learner], configurations, mass, 1.0)
                held = bool(holds(narrow, [configurations[best]])[0])
                rows.append((learner, k, held, volume(narrow, md.spaces[learner])))
    return pd.DataFrame(rows, columns=["learner", "told", "holds the best", "volume"])


def main() -> None:
    """Print one row a learner and share, and one of all learners; then those of the oracle."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="meta-datasets, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.9])
    parser.add_argument("--oracle", action="store_true", help="add boxes that know one half of the fits of the task")
    options = parser.parse_args()
    for folder in options.folders:
        md = MetaDataset.load(folder)
        learners = options.learners or list(md.spaces)
        rows = pd.concat([measured(md, learner, options.shares) for learner in learners])
        for learner, of_learner in [*rows.groupby("learner"), ("all", rows)]:
            for share, own in of_learner.groupby("share"):
                print(
                    f"{md.name} {learner} share {share}: best {own['holds the best'].mean():.2f}, good "
                    f"{own['holds a good one'].mean():.2f}, volume {own['volume'].median():.3f} ({len(own)} tasks)",
                    flush=True,
                )
        if options.oracle:
            told = pd.concat([of_oracle(md, learner) for learner in learners])
            for learner, of_learner in [*told.groupby("learner"), ("all", told)]:
                for k, own in of_learner.groupby("told"):
                    print(
                        f"{md.name} {learner} around the best {k} of half of the fits: best "
                        f"{own['holds the best'].mean():.2f}, volume {own['volume'].median():.3f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
