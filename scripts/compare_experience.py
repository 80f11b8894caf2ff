"""What newer experience is worth: first picks of surrogates of two meta-datasets on tasks of the newer one.

`python scripts/compare_experience.py OLD NEW`: families of the newer meta-dataset are left out of both, in groups. The
surrogates of each learner that both have choose one recorded configuration of every task that is left out. Its regret
is honest: the mean over the halves of the fits, none of which has chosen it, normalised by the best and the worst
configuration of the half. Where the search spaces differ, the older surrogate is mapped to the newer space.
"""

import argparse
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.ranking import signed_rank_p
from metahpo.metadata.families import family_groups
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.training import train_surrogate
from metahpo.surrogates.mapped import MappedSurrogate
from metahpo.surrogates.surrogate import on_task

#: Groups of families, each of which is left out in turn.
GROUPS = 5


def honest_regret(halves: tuple[NDArray[np.float64], NDArray[np.float64]], chosen: int) -> float:
    """Regret of a configuration, the mean over two halves of the fits; a failed one counts as the worst."""
    regrets = []
    for losses in halves:
        worst, best = np.nanmax(losses), np.nanmin(losses)
        own = losses[chosen] if np.isfinite(losses[chosen]) else worst
        regrets.append((own - best) / (worst - best) if worst > best else 0.0)
    return float(np.mean(regrets))


def regrets_of_group(
    old: MetaDataset, new: MetaDataset, learner: str, tasks: list[str], families: list[str]
) -> list[dict[str, Any]]:
    """Regrets of the first picks on some tasks, of surrogates that know none of their families."""
    known = [family for family in families if family in set(old.tasks["family"])]
    former = train_surrogate(old.drop(families=known) if known else old, learner)
    latter = train_surrogate(new.drop(families=families), learner)
    halves = new.half_losses(learner)
    rows = []
    for table in new.tables(learner):
        if table.task not in tasks or not np.isfinite(table.loss).any():
            continue
        features = table.meta_features
        mapped = MappedSurrogate(former, new.space(learner))
        for name, surrogate in (("old", on_task(mapped, features)), ("new", on_task(latter, features))):
            chosen = int(np.argmin(surrogate.posterior(table.X).mixture_mean()))
            regret = honest_regret(halves[table.task], chosen)
            rows.append({"learner": learner, "task": table.task, "experience": name, "regret": regret})
    return rows


def main() -> None:
    """Print mean regrets, their ratio, and the paired test."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="older meta-dataset, by folder or name")
    parser.add_argument("new", help="newer meta-dataset")
    parser.add_argument("--learners", nargs="+", help="default: those that both have")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    old, new = MetaDataset.load(options.old), MetaDataset.load(options.new)
    learners = options.learners or [name for name in new.spaces if name in old.spaces]
    family = new.tasks["family"].astype(str)
    group = family_groups(family.tolist(), GROUPS, np.random.default_rng(0))
    work = [
        (old, new, learner, list(new.tasks.index[group == g]), sorted(set(family[group == g])))
        for learner in learners
        for g in np.unique(group)
    ]
    found = joblib.Parallel(n_jobs=options.jobs, verbose=5)(joblib.delayed(regrets_of_group)(*one) for one in work)
    rows = pd.DataFrame([row for part in found for row in part])
    table = rows.set_index(["learner", "task", "experience"])["regret"].unstack("experience")
    for learner, own in [*table.groupby(level="learner"), ("all", table)]:
        p = signed_rank_p((own["old"] - own["new"]).to_numpy())
        means = own.mean()
        print(
            f"{learner}: {len(own)} tasks, regret {means['old']:.4f} old, {means['new']:.4f} new, ratio "
            f"{means['new'] / means['old']:.2f}, p = {p:.3f}"
        )


if __name__ == "__main__":
    main()
