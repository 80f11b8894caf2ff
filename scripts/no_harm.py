"""What misleading experience does: the surrogate with wrong records to learn from, against a cold Gaussian process.

`python scripts/no_harm.py tabular_classification --space svm --foreign linear`: regrets on held-out task families of
the surrogate as it is, with the meta-features of its source tasks dealt out at random, and with the losses of its
source tasks taken from another space, so that they agree with one another and tell nothing; then each against the cold
process, by the signed-rank test over families.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
from metahpo.evaluation.baselines.own_method import MetaLearned, MetaLearnedPolicy
from metahpo.evaluation.cross_validation import evaluate
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable

Mislead = Callable[[Sequence[TaskTable], np.random.Generator], list[TaskTable]]


@dataclass(frozen=True)
class Misled:
    """The project's method, learning from tables that something was done to."""

    name: str
    mislead: Mislead
    n_replays: int = 1

    def learn(self, tables: Sequence[TaskTable], space_name: str, random_state: int) -> MetaLearnedPolicy:
        """Train on what was made of the tables."""
        return MetaLearned().learn(self.mislead(tables, np.random.default_rng(random_state)), space_name, random_state)


def scrambled(tables: Sequence[TaskTable], rng: np.random.Generator) -> list[TaskTable]:
    """Every table with the meta-features of another one."""
    order = rng.permutation(len(tables)).tolist()
    return [replace(table, meta_features=tables[i].meta_features) for table, i in zip(tables, order, strict=True)]


def with_losses_of(others: Sequence[TaskTable]) -> Mislead:
    """Every table with losses of a table of another space, in their order, repeated where it has fewer."""

    def mislead(tables: Sequence[TaskTable], rng: np.random.Generator) -> list[TaskTable]:
        order = np.resize(rng.permutation(len(others)), len(tables)).tolist()
        return [replace(t, loss=np.resize(others[i].loss, len(t.loss))) for t, i in zip(tables, order, strict=True)]

    return mislead


def main() -> None:
    """Print the regrets, and the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--space", required=True)
    parser.add_argument("--foreign", required=True, help="space whose losses mislead")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--random-state", type=int, default=0)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    foreign = Misled("losses of another space", with_losses_of(md.tables(options.foreign)))
    methods: list[Method] = [
        ColdGaussianProcess(),
        MetaLearned(),
        Misled("scrambled meta-features", scrambled),
        foreign,
    ]
    report = evaluate(
        md,
        methods=methods,
        n_trials=options.trials,
        spaces=[options.space],
        n_folds=options.folds,
        random_state=options.random_state,
        n_jobs=options.jobs,
        default_first=False,  # the first trial is what tells the variants apart
    )
    summary = report.summary().pivot_table("regret", "method", "trial", sort=False)[report.milestones]
    print("mean normalised regret", summary.to_string(float_format="{:.4f}".format), sep="\n")
    tests = report.comparison(trials=[trial for trial in (10, options.trials) if trial <= options.trials])
    print("\ncold Gaussian process against each (a negative difference: the process is better)")
    print(tests.drop(columns=["space", "p_holm"]).to_string(index=False, float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
