"""What is left to gain: regrets of an oracle that is told all other results of the very task it searches.

`python scripts/ceiling.py tabular_classification --spaces svm`: for each recorded configuration of a task, a Gaussian
process fitted to all others says which score to expect (leave-one-out), and the oracle takes configurations in the
order of these expectations. A search knows at any time only the few results it has seen. What the oracle leaves is what
no smooth function of the hyperparameters tells: the luck of single trials.

`--save` keeps the regrets of all tasks: ``{space: {"ceiling": {"regret": {trials: mean}, "tasks": {task: [...]}}}}``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from metahpo.evaluation.demonstration import MILESTONES
from metahpo.evaluation.methods.task_process import TaskProcess
from metahpo.evaluation.regret import best_so_far, normalised_regret
from metahpo.meta_dataset import MetaDataset
from metahpo.surrogates.batches import informative
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate
from metahpo.surrogates.score import normal_scores
from metahpo.task_table import TaskTable


def regrets_of_oracle(table: TaskTable) -> NDArray[np.float64]:
    """Regret of the oracle after each of `MILESTONES`, but those beyond the recorded configurations."""
    varies = np.ptp(table.X, axis=0) > 0.0
    process = GaussianProcessSurrogate().fit(table.X[:, varies], normal_scores(table.loss))
    expected, _ = TaskProcess(process).leave_one_out()
    curve = best_so_far(normalised_regret(table.loss)[np.argsort(expected, kind="stable")], max(MILESTONES))
    return curve[[trials - 1 for trials in MILESTONES if trials < len(table.loss)]]


def main() -> None:
    """Print a row a space: the mean over its tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name, or an HPO-B file")
    parser.add_argument("--spaces", nargs="+", help="default: all")
    parser.add_argument("--metric", help="default: that of the meta-dataset")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--save", type=Path, help="file (.json) for the regrets of all tasks; spaces there are kept")
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    saved = json.loads(options.save.read_text()) if options.save and options.save.exists() else {}
    print(f"{'':24s}" + "".join(f"{f'@{trials}':>8s}" for trials in MILESTONES))
    for space in options.spaces or md.spaces:
        tables = informative(md.tables(space, options.metric))
        work = Parallel(options.jobs, return_as="generator")(delayed(regrets_of_oracle)(table) for table in tables)
        curves = list(tqdm(work, total=len(tables), desc=space, disable=None))
        n = min(map(len, curves))
        mean = np.mean([curve[:n] for curve in curves], axis=0)
        print(f"{space:24s}" + "".join(f"{regret:8.4f}" for regret in mean), flush=True)
        if options.save:
            regret = dict(zip(map(str, MILESTONES), mean.round(5).tolist(), strict=False))
            tasks = {t.task: curve.round(5).tolist() for t, curve in zip(tables, curves, strict=True)}
            saved[space] = {"ceiling": {"regret": regret, "tasks": tasks}}
            options.save.write_text(json.dumps(saved))


if __name__ == "__main__":
    main()
