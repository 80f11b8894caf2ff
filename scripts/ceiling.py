"""What is left to gain: regrets of two oracles, by `python scripts/ceiling.py tabular_classification --spaces svm`.

`task`: is told all other results of the very task it searches. For each recorded configuration, a Gaussian process
fitted to all others says which score to expect (leave-one-out), and the oracle takes configurations in the order of
these expectations. A search knows at any time only the few results it has seen. What this oracle leaves is what no
smooth function of the hyperparameters tells: the luck of single trials.

`portfolio`: is told all results of all tasks, but not which task it is at. It takes the greedy portfolio picked on the
tasks that it is judged on. A search that begins before it can tell tasks apart has to pick from other tasks.

`--save` keeps the regrets of all tasks: ``{space: {oracle: {"regret": {trials: mean}, "tasks": {task: [...]}}}}``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from tqdm import tqdm

from metahpo.cli.command_parser import CommandParser
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.baselines.task_process import TaskProcess
from metahpo.evaluation.regret import normalised_regret, regret_so_far
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.surrogates.fitting.training_batches import informative
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate
from metahpo.workflows.demonstration import MILESTONES


def order_of_task(table: TaskTable) -> NDArray[np.int64]:
    """Rows of the table, from the best expected score to the worst."""
    varies = np.ptp(table.X, axis=0) > 0.0
    process = GaussianProcessSurrogate().fit(table.X[:, varies], normal_scores(table.loss))
    expected, _ = TaskProcess(process).leave_one_out()
    return np.argsort(expected, kind="stable")


def regrets_at_milestones(table: TaskTable, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Regret after each of `MILESTONES`, but those beyond the recorded configurations."""
    curve = regret_so_far(normalised_regret(table.loss)[order], table.loss[order], max(MILESTONES))
    return curve[[trials - 1 for trials in MILESTONES if trials < len(table.loss)]]


def main() -> None:
    """Print two rows a space: means over its tasks."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name, or an HPO-B file")
    parser.add_argument("--spaces", nargs="+", help="default: all")
    parser.add_argument("--metric", help="default: that of the meta-dataset")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--save", type=Path, help="file (.json) for the regrets of all tasks; spaces there are kept")
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    saved = json.loads(options.save.read_text()) if options.save and options.save.exists() else {}
    print(f"{'':24s}{'oracle':>10s}" + "".join(f"{f'@{trials}':>8s}" for trials in MILESTONES))
    for space in options.spaces or md.spaces:
        tables = informative(md.tables(space, options.metric))
        work = Parallel(options.jobs, return_as="generator")(delayed(order_of_task)(table) for table in tables)
        picks = GreedyPortfolio(max(MILESTONES)).learn(tables, space, random_state=0).picks
        orders = {
            "task": list(tqdm(work, total=len(tables), desc=space, disable=None)),
            "portfolio": [cdist(picks, table.X).argmin(axis=1) for table in tables],
        }
        saved[space] = {}
        for oracle, of_tables in orders.items():
            curves = [regrets_at_milestones(*pair) for pair in zip(tables, of_tables, strict=True)]
            n = min(map(len, curves))
            mean = np.mean([curve[:n] for curve in curves], axis=0)
            print(f"{space:24s}{oracle:>10s}" + "".join(f"{regret:8.4f}" for regret in mean), flush=True)
            regret = dict(zip(map(str, MILESTONES), mean.round(5).tolist(), strict=False))
            tasks = {t.task: curve.round(5).tolist() for t, curve in zip(tables, curves, strict=True)}
            saved[space][oracle] = {"regret": regret, "tasks": tasks}
        if options.save:
            options.save.write_text(json.dumps(saved))


if __name__ == "__main__":
    main()
