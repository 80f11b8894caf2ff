"""What every part of the surrogate is worth: regret and log density with each of them left out, on held-out families.

`python scripts/ablation.py tabular_classification --spaces svm random_forest` prints a row for each part:

- the regret without the part divided by the regret with all parts (0.002 is added to both), as the geometric mean over
  spaces: above 1, the part helps;
- the log density of unseen scores that is lost without the part, as the mean over families, and this loss divided by
  its standard error: above 2, the part helps, even if the regrets do not show it.
"""

import argparse

import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.cross_validation import evaluate
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting.component_learning import PARTS
from metahpo.surrogates.fitting.training import TrainingSettings

WHOLE = "everything"
#: Regrets below it are as good as none.
SMALL = 0.002


def variants() -> list[MetaLearned]:
    """The whole surrogate first, then without meta-features, then without each part of the mixture."""
    without = [MetaLearned(settings=TrainingSettings(without=(part,)), label=f"without {part}") for part in PARTS]
    blind = MetaLearned(use_meta_features=False, label="without meta-features")
    return [MetaLearned(label=WHOLE), blind, *without]


def ratios(summary: pd.DataFrame, trials: list[int]) -> pd.DataFrame:
    """Regret of each variant over that of the whole, variants x trials."""
    chosen = summary[summary["trial"].isin(trials)]
    logs = pd.DataFrame(np.log(chosen.pivot_table("regret", ["space", "method"], "trial", sort=False) + SMALL))
    difference = logs - logs.xs(WHOLE, level="method").reindex(logs.index, level="space")
    return pd.DataFrame(np.exp(difference.groupby(level="method", sort=False).mean()))


def density_lost(coverage: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Log density that each variant lacks of the whole's, variants x observations, and this over its standard error.

    Means over task families: neither tasks of one family nor one task in two spaces are independent.
    """
    density = coverage.pivot_table("log_density", ["method", "space", "task", "family"], "observations", sort=False)
    whole = density.xs(WHOLE).reindex(density.droplevel("method").index).set_axis(density.index)
    of_families = (whole - density).groupby(level=["method", "family"], sort=False).mean().groupby("method", sort=False)
    return of_families.mean(), of_families.mean() / of_families.sem()


def main() -> None:
    """Print the tables: regrets, ratios, log densities lost."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="meta-datasets, by folder or name, or HPO-B files")
    parser.add_argument("--spaces", nargs="+", help="default: all of each meta-dataset")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--random-state", type=int, default=0)
    options = parser.parse_args()
    summaries, coverages, trials = [], [], []
    for folder in options.folders:
        md = MetaDataset.load(folder)
        report = evaluate(
            md,
            methods=variants(),
            n_trials=options.trials,
            spaces=options.spaces,
            n_folds=options.folds,
            random_state=options.random_state,
            n_jobs=options.jobs,
            default_first=False,  # the first trial is what tells the variants apart
        )
        trials = report.milestones
        summary = report.summary()
        of_spaces = summary[summary["space"].isin(md.spaces)]
        summaries.append(of_spaces.assign(space=md.name + " " + of_spaces["space"]))
        if report.coverage is not None:
            coverages.append(report.coverage.assign(space=md.name + " " + report.coverage["space"]))
    summary = pd.concat(summaries)
    table = summary[summary["trial"].isin(trials)].pivot_table("regret", "method", "trial", sort=False)
    print("mean normalised regret", table.to_string(float_format="{:.4f}".format), sep="\n")
    print("\nover that of everything", ratios(summary, trials).to_string(float_format="{:.2f}".format), sep="\n")
    lost, in_errors = density_lost(pd.concat(coverages))
    print("\nlog density lost, by observations", lost.to_string(float_format="{:.3f}".format), sep="\n")
    print("\nover its standard error", in_errors.to_string(float_format="{:.1f}".format), sep="\n")


if __name__ == "__main__":
    main()
