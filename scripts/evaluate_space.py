"""How well narrowed spaces hold the best configuration of a task, by recorded trials and leave-family-out.

Each recorded task is predicted from tasks of other families. For each learner and share: on how many tasks the box
holds the best recorded configuration, on how many it holds one that is as good within a standard error, and the share
of the space's volume that the box has, in the median.
"""

import argparse
import json

import numpy as np
import pandas as pd

from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.narrow_space import best_shares, box, holds, volume
from metahpo.surrogates.improvement import ImprovementModel, improvement_path


def measured(md: MetaDataset, model: ImprovementModel, learner: str, shares: list[float], most: int) -> pd.DataFrame:
    """One row a task and share: whether the box holds the best and a good configuration, and its volume."""
    families = md.tasks["family"].astype(str).reindex(list(model.tasks)).to_numpy()
    configurations = [json.loads(text) for text in model.configurations]
    rows = []
    chosen = np.random.default_rng(0).permutation(len(model.tasks))[:most]
    for task in chosen:
        others = families != families[task]
        weights = model.weights_like(int(task)) * others
        weights = weights / weights.sum() if weights.sum() > 0.0 else others / others.sum()
        kept = np.flatnonzero(others)
        mass = best_shares(weights[kept], -model.change[kept])
        change, noise = model.change[task], model.standard_error[task]
        good = np.flatnonzero(change >= change.max() - noise[change.argmax()])
        for share in shares:
            narrow = box(md.spaces[learner], configurations, mass, share)
            inside = holds(narrow, configurations)
            rows.append(
                (share, bool(inside[change.argmax()]), bool(inside[good].any()), volume(narrow, md.spaces[learner]))
            )
    return pd.DataFrame(rows, columns=["share", "holds the best", "holds a good one", "volume"])


def main() -> None:
    """Print one row a learner and share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="meta-datasets, by folder or name")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.9])
    parser.add_argument("--tasks", type=int, default=1000, help="of so many tasks at most (default: 1000)")
    options = parser.parse_args()
    for folder in map(release.locate, options.folders):
        md = MetaDataset.load(folder)
        for learner in md.spaces:
            path = improvement_path(folder, learner, md.metrics[0])
            if not path.is_file():
                continue
            rows = measured(md, ImprovementModel.load(path), learner, options.shares, options.tasks)
            for share, own in rows.groupby("share"):
                print(
                    f"{md.name} {learner} share {share}: best {own['holds the best'].mean():.2f}, good "
                    f"{own['holds a good one'].mean():.2f}, volume {own['volume'].median():.3f} ({len(own)} tasks)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
