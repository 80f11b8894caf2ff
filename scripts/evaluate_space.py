"""How well narrowed spaces hold the best configuration of a task, by recorded trials and leave-family-out.

`python scripts/evaluate_space.py tabular_regression`: families are left out in groups. What is learnt from the
other families narrows the space of a learner for each task that is left out. For each learner and share: on how many
tasks the box holds the best recorded configuration, on how many it holds one that is as good within a standard error,
and the share of the space's volume that the box has, in the median.

`--oracle` adds a lower bound. One half of the fits of the very task is known. The box is the smallest around its best
configurations. The other half tells which configuration is the best. No experience with other tasks knows as much. So a
smaller box that holds the best as often is out of reach.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.recorded_outcomes import RecordedOutcome, groups_of_tasks, recorded_outcomes
from metahpo.metadata.fit_losses import half_means
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.narrow_space import best_shares, box, holds, volume

#: Numbers of best configurations that the oracle's boxes hold.
TOLD = (1, 2, 4, 8, 16)

#: Learners, each with one held-out task.
Outcomes = Sequence[tuple[str, RecordedOutcome]]


def measured(md: MetaDataset, outcomes: Outcomes, shares: Sequence[float]) -> Iterator[tuple[Any, ...]]:
    """One row a learner, task and share: whether the box holds the best and a good configuration, and its volume."""
    for learner, outcome in outcomes:
        configurations = [json.loads(text) for text in outcome.model.configurations]
        prediction = outcome.model.on(outcome.meta_features)
        mass = best_shares(prediction.weights, -prediction.change)
        errors = outcome.errors
        best = int(np.nanargmin(errors))
        good = np.flatnonzero(errors <= errors[best] + outcome.standard_error)
        for share in shares:
            narrow = box(md.spaces[learner], configurations, mass, share)
            inside = holds(narrow, configurations)
            yield learner, share, inside[best], inside[good].any(), volume(narrow, md.spaces[learner])


def of_oracle(md: MetaDataset, outcomes: Outcomes) -> Iterator[tuple[Any, ...]]:
    """One row a learner, task, half of its fits, and number of configurations in the box of that half."""
    for learner, outcome in outcomes:
        configurations = [json.loads(text) for text in outcome.model.configurations]
        first, second = half_means(outcome.fits)
        for known, judge in ((first, second), (second, first)):
            best, order = int(np.nanargmin(judge)), np.argsort(known, kind="stable")  # failures come last
            for k in TOLD:
                mass = np.zeros(len(configurations))
                mass[order[:k]] = 1.0 / k
                narrow = box(md.spaces[learner], configurations, mass, 1.0)
                yield learner, k, holds(narrow, configurations)[best], volume(narrow, md.spaces[learner])


def summary(rows: pd.DataFrame) -> Iterator[tuple[str, Any, int, pd.Series]]:
    """Learner, or "all", a value of the second column, number of rows, their means and the median of the volume."""
    for learner, of_learner in [*rows.groupby("learner"), ("all", rows)]:
        for value, own in of_learner.groupby(rows.columns[1]):
            held = own.drop(columns=["learner", rows.columns[1], "volume"]).astype(float)
            yield str(learner), value, len(own), pd.Series({**held.mean(), "volume": own["volume"].median()})


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
        outcomes = [
            (learner, outcome)
            for learner in options.learners or md.spaces
            for tasks in groups_of_tasks(md)
            for outcome in recorded_outcomes(md, learner, tasks)
        ]
        columns = ["learner", "share", "best", "good", "volume"]
        for learner, share, n, of in summary(pd.DataFrame(measured(md, outcomes, options.shares), columns=columns)):
            told = f"best {of['best']:.2f}, good {of['good']:.2f}, volume {of['volume']:.3f} ({n} tasks)"
            print(f"{md.name} {learner} share {share}: {told}", flush=True)
        if not options.oracle:
            continue
        columns = ["learner", "told", "best", "volume"]
        for learner, k, _, of in summary(pd.DataFrame(of_oracle(md, outcomes), columns=columns)):
            told = f"best {of['best']:.2f}, volume {of['volume']:.3f}"
            print(f"{md.name} {learner} around the best {k} of half of the fits: {told}", flush=True)


if __name__ == "__main__":
    main()
