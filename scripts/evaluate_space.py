"""How well narrowed spaces hold the best configuration of a task, by recorded trials and leave-family-out.

`python scripts/evaluate_space.py tabular_1200_regression`: families are left out in groups. What is learnt from the
other families narrows the space of a learner for each task that is left out. For each learner and share: on how many
tasks the box holds the best recorded configuration, on how many it holds one that is as good within a standard error,
and the share of the space's volume that the box has, in the median.
"""

import argparse
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from metahpo.metadata.families import family_groups
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.narrow_space import best_shares, box, holds, volume
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.improvement import ImprovementModel

#: Groups of families, each of which is left out in turn.
GROUPS = 5


def left_out_models(md: MetaDataset, learner: str) -> Iterator[tuple[list[str], ImprovementModel]]:
    """Tasks of each group of families, and the improvement that is learnt without these families."""
    families = md.tasks["family"].astype(str)
    group = family_groups(families.tolist(), GROUPS, np.random.default_rng(0))
    for number in np.unique(group):
        model = learn_improvement(md.drop(families=sorted(set(families[group == number]))), learner)
        if model is not None:
            yield list(md.tasks.index[group == number]), model


def measured(md: MetaDataset, learner: str, shares: list[float]) -> pd.DataFrame:
    """One row a task and share: whether the box holds the best and a good configuration, and its volume."""
    whole = learn_improvement(md, learner)
    if whole is None:  # too few tasks, or no shared design
        return pd.DataFrame()
    rows = []
    for tasks, model in left_out_models(md, learner):
        configurations = [json.loads(text) for text in model.configurations]
        shared = [whole.configurations.index(text) for text in model.configurations]
        for task in (name for name in tasks if name in whole.tasks):
            place = whole.tasks.index(task)
            known = {} if md.meta_features is None else md.meta_features.loc[task].to_dict()
            prediction = model.on({str(name): value for name, value in known.items()})
            mass = best_shares(prediction.weights, -prediction.change)
            change, noise = whole.change[place, shared], whole.standard_error[place, shared]
            good = np.flatnonzero(change >= change.max() - noise[change.argmax()])
            for share in shares:
                narrow = box(md.spaces[learner], configurations, mass, share)
                inside = holds(narrow, configurations)
                rows.append((
                    learner, share, bool(inside[change.argmax()]), bool(inside[good].any()),
                    volume(narrow, md.spaces[learner]),
                ))  # fmt: skip
    return pd.DataFrame(rows, columns=["learner", "share", "holds the best", "holds a good one", "volume"])


def main() -> None:
    """Print one row a learner and share, and one of all learners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="meta-datasets, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.9])
    options = parser.parse_args()
    for folder in options.folders:
        md = MetaDataset.load(folder)
        parts = [measured(md, learner, options.shares) for learner in options.learners or md.spaces]
        rows = pd.concat([part for part in parts if len(part)])
        for learner, of_learner in [*rows.groupby("learner"), ("all", rows)]:
            for share, own in of_learner.groupby("share"):
                print(
                    f"{md.name} {learner} share {share}: best {own['holds the best'].mean():.2f}, good "
                    f"{own['holds a good one'].mean():.2f}, volume {own['volume'].median():.3f} ({len(own)} tasks)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
