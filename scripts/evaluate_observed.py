"""What told losses are worth: the first recommendation after trials, on recorded tasks whose families are left out.

`python scripts/evaluate_observed.py tabular_regression`: the default and the first picks of each held-out task are
told, with the noise of recorded fits; then the model answers again. Mean relative reduction of the error against the
default, of

- `before`: the first recommendation before any trial;
- `best tried`: the best configuration that was told;
- `best predicted`: that of the largest expected change after the trials, tried or not;
- `metahpo`: the recommendation, which leaves the best tried only where the gain outweighs the risk;
- `possible`: the best that was recorded.
"""

import argparse

import numpy as np
import pandas as pd

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.recorded_outcomes import groups_of_tasks, recorded_outcomes
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.improvement_on_task import ImprovementOnTask, given_losses

#: Fits that a told loss is the mean of.
FITS = 2


def of_group(md: MetaDataset, space: str, tasks: list[str], n_trials: list[int], seed: int) -> list[dict[str, object]]:
    """Changes on some tasks, from experience that knows none of their families."""
    rng, found = np.random.default_rng(seed), []
    for outcome in recorded_outcomes(md, space, tasks):
        model, errors, change = outcome.model, outcome.errors, outcome.changes()
        on_task = ImprovementOnTask(model, 1.0, outcome.meta_features)
        noise = np.sqrt(model.variance_of_fit(outcome.rows) / FITS)
        first = model.on(on_task.meta_features).picks(max(n_trials) + 1)
        for n in n_trials:
            places = [model.reference, *[i for i in first if i != model.reference][:n]]
            told = np.maximum(errors[places] * (1.0 + noise * rng.standard_normal(len(places))), 1e-12)
            after = given_losses(on_task.before, on_task.residual, places, told, outcome.metric, noise**2)
            best_tried = places[int(np.nanargmin(told))]
            answers = {
                "before": first[0],
                "best tried": best_tried,
                "best predicted": int(np.argmax(after.expected())),
                "metahpo": after.picks(1)[0],
                "possible": int(np.nanargmax(change)),
            }
            found.append({"space": space, "trials": n, **{name: change[i] for name, i in answers.items()}})
    return found


def main() -> None:
    """Print the mean over tasks and learners, for each number of trials."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--trials", nargs="+", type=int, default=[1, 3, 6, 12])
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    rows = [
        row
        for space in options.learners or md.spaces
        for group, tasks in enumerate(groups_of_tasks(md))
        for row in of_group(md, space, tasks, options.trials, group)
    ]
    table = pd.DataFrame(rows).groupby(["space", "trials"], sort=False).mean()
    print(table.groupby("trials").mean().to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
