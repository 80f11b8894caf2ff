"""What first recommendations are worth on real tables: each is trained, and its error compared with the default's.

`python scripts/evaluate_recommend.py tabular_classification --cache DATASETS --out FOLDER`: tables of 1,000 rows and
more; families are left out of the experience in groups; what is recommended for 70 % of a table (at most `--rows`) is
trained on these rows and judged on the rest, on three splits. Started again with the same folder, it goes on.

The picks:

- `metahpo`: the decision against the default; `no_meta_features`: the same without meta-features;
- `percentile`: the best expected percentile of the surrogate;
- `constant`: the one configuration of the largest mean reduction of error over the experience;
- with `--searches`, `five`: the best of five picks by cross-validation on the rows to train on, and `tpeN`: the best of
  N trials of Optuna's TPE by the same cross-validation, the default first;
- with `--probe-seconds S`, `probes`: the pick after S seconds of probes on the rows to train on.

A win is a change of more than one standard error of the paired difference.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import Protocol, Split
from metahpo.datasets.cache import read_task
from metahpo.evaluation.statistics import mean_intervals
from metahpo.exceptions import MetaHPOError, SpaceError
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.recommendation.probe_worker import FixedSplit, ProbeWorkers
from metahpo.recommendation.probes import Prober
from metahpo.search.optuna_engine import OptunaEngine
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.cost import CostModel
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import train_surrogate
from metahpo.surrogates.improvement import ImprovementModel, error_floor
from metahpo.surrogates.improvement_on_task import ImprovementOnTask
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.metric import METRICS
from metahpo.tasks.task import Task
from metahpo.workflows.held_out_tables import TableFolds, held_out_groups

#: Share of the rows to train on, and splits.
TRAIN_SHARE, SPLITS = 0.7, 3
#: Trials of the searches.
TRIALS = (15, 60)


@dataclass(frozen=True)
class Options:
    """What is evaluated beside the picks that need no measurement."""

    max_rows: int
    searches: bool
    probe_seconds: float | None


def halves_of(task: Task, max_rows: int) -> list[Split]:
    """Three random splits into rows to train on and rows to judge by."""
    n_train = min(max_rows, int(TRAIN_SHARE * task.n_rows))
    kind = ShuffleSplit if task.kind == "regression" else StratifiedShuffleSplit
    n_test = min(5000, task.n_rows - n_train)
    return list(kind(SPLITS, train_size=n_train, test_size=n_test, random_state=0).split(task.X, task.y))


class Table:
    """One half of a table to choose by, and the other to judge by."""

    def __init__(self, task: Task, split: Split, learner: str, metric: str) -> None:
        train, test = split
        self.metric, self.learner = metric, learner_named(learner, task.kind)
        self.known = task.take(train)
        self._whole = Measuring(task.take(np.concatenate([train, test])), FixedSplit(n_train=len(train)))
        self._folds = Measuring(self.known, TableFolds())
        self._errors: dict[tuple[bool, str], float] = {}

    def test_error(self, configuration: Configuration) -> float:
        """Error on the other half; infinite where the configuration fails."""
        return self._error(self._whole, configuration)

    def validation_error(self, configuration: Configuration) -> float:
        """Error in cross-validation on the half that is known."""
        return self._error(self._folds, configuration)

    def _error(self, measuring: Measuring, configuration: Configuration) -> float:
        key = (measuring is self._whole, to_json(configuration))
        if key not in self._errors:
            try:
                losses = measuring.measure(self.learner, configuration).fold_losses[self.metric]
                self._errors[key] = float(np.mean(METRICS[self.metric].capped(np.array(losses))))
            except (MetaHPOError, ValueError, ArithmeticError):
                self._errors[key] = float("inf")
        return self._errors[key]


def picks_of(
    table: Table,
    model: ImprovementModel,
    surrogate: TrainedSurrogate,
    cost: CostModel | None,
    options: Options,
    seed: int,
) -> dict[str, Configuration]:
    """The configuration that each method chooses by the half of a table that is known."""
    configurations: list[Configuration] = [json.loads(text) for text in model.configurations]
    features = extract(table.known).values
    posterior = surrogate.posterior(configurations, meta_features=features)
    first = model.on(features)
    picks = {
        "default": configurations[model.reference],
        "metahpo": configurations[first.picks(1)[0]],
        "no_meta_features": configurations[model.on(None).picks(1)[0]],
        "percentile": configurations[int(np.argmin(posterior.mixture_mean()))],
        "constant": configurations[int(np.argmax(model.change.mean(axis=0)))],
    }
    if options.searches:
        picks["five"] = min((configurations[i] for i in first.picks(5)), key=table.validation_error)
        engine = OptunaEngine("tpe", table.learner.space, seed)
        for trial in range(1, max(TRIALS) + 1):
            try:
                configuration = engine.ask()
            except SpaceError:
                break
            engine.tell(configuration, table.validation_error(configuration))
            if trial in TRIALS and engine.incumbent is not None:
                picks[f"tpe{trial}"] = dict(engine.incumbent[0])
    if options.probe_seconds is not None and cost is not None:
        task = table.known

        def seconds(rows: float) -> NDArray[np.float64]:
            return np.exp(cost.of_size(int(rows), task.X.shape[1], len(task.classes)).expected(model.encoded))

        on_task = ImprovementOnTask(model, task.n_rows, features)
        candidates = [(table.learner.name, c) for c in configurations]
        workers = ProbeWorkers(1, [table.learner.name], task.kind)
        workers.wait_until_ready(60.0)
        probed = Prober(task, on_task, candidates, table.metric, seconds, workers).run(options.probe_seconds)
        picks["probes"] = configurations[probed.improvement.picks(1)[0]]
    return picks


def measure_group(
    md: MetaDataset, learner: str, cache: Path, keys: Sequence[str], options: Options
) -> list[dict[str, Any]]:
    """Errors of all picks on some tables, from experience that knows none of their families."""
    model, surrogate = learn_improvement(md, learner), train_surrogate(md, learner)
    if model is None:
        raise SystemExit(f"{md.name} has too few tasks with a shared design of {learner}.")
    cost, metric = CostModel.of(md, learner), md.metrics[0]
    rows: list[dict[str, Any]] = []
    for key in keys:
        task = read_task(cache, key)
        task = Protocol().prepare(task)
        found: dict[str, list[tuple[str, float]]] = {}
        for seed, split in enumerate(halves_of(task, options.max_rows)):
            table = Table(task, split, learner, metric)
            for method, configuration in picks_of(table, model, surrogate, cost, options, seed).items():
                text = json.dumps(configuration, sort_keys=True)
                found.setdefault(method, []).append((text, table.test_error(configuration)))
        rows += [
            {"table": key, "family": task.family, "learner": learner, "method": method,
             "configurations": [text for text, _ in each], "errors": [error for _, error in each]}
            for method, each in found.items()
        ]  # fmt: skip
    return rows


def summary(rows: pd.DataFrame, floor: float) -> pd.DataFrame:
    """One row a learner and method: wins, losses, mean, median and worst relative reduction of the error."""
    table = rows.set_index(["learner", "table", "method"])["errors"].unstack("method")
    found = []
    for method in (m for m in table.columns if m != "default"):
        for learner, own in table.groupby(level="learner"):
            default, errors = (np.array(own[m].tolist(), dtype=float) for m in ("default", method))
            difference = default - errors
            error = difference.std(axis=1, ddof=1) / np.sqrt(SPLITS)
            gain = np.clip(difference.mean(axis=1) / np.maximum(default.mean(axis=1), floor), -1.0, 1.0)
            gain = np.nan_to_num(gain, nan=0.0)
            wins, losses = (difference.mean(axis=1) > error).mean(), (difference.mean(axis=1) < -error).mean()
            found.append((learner, method, len(own), wins, losses, gain.mean(), np.median(gain), gain.min()))
    columns = ["learner", "method", "tables", "wins", "losses", "mean", "median", "worst"]
    return pd.DataFrame(found, columns=columns).set_index(["learner", "method"]).sort_index()


def against(rows: pd.DataFrame, floor: float, other: str) -> str:
    """Reduction of error over tables and learners, `metahpo` less another pick: interval over families, paired test."""
    table = rows.rename(columns={"learner": "space", "table": "task"})
    table = table.set_index(["space", "family", "task", "method"])["errors"].unstack("method")
    base = np.array([np.mean(e) for e in table["default"]])
    gains = [
        np.clip((base - np.array([np.mean(e) for e in table[m]])) / np.maximum(base, floor), -1.0, 1.0)
        for m in ("metahpo", other)
    ]
    gap = np.nan_to_num(gains[0] - gains[1])
    p = float(wilcoxon(gap).pvalue) if np.any(gap != 0.0) else 1.0
    mean, low, high = mean_intervals(pd.DataFrame({"gap": gap}, index=table.index)).loc["gap"]
    return (
        f"metahpo against {other}: mean {mean:+.4f} (95 % over families: {low:+.4f} to {high:+.4f}) "
        f"of {len(gap)} pairs, {np.sum(gap != 0.0)} differ, p = {p:.3f}"
    )


def main() -> None:
    """Measure what is not measured yet, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--families", type=int, help="of so many families, drawn at random (default: all)")
    parser.add_argument("--rows", type=int, default=5000, help="rows to train on at most (default: 5000)")
    parser.add_argument("--searches", action="store_true", help="add the best of five picks, and Optuna's TPE")
    parser.add_argument("--probe-seconds", type=float, help="add the pick after so many seconds of probes")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = Options(options.rows, options.searches, options.probe_seconds)
    work = [
        (learner, list(group.tables), list(group.families), options.out / f"{md.name}.{learner}.{number}.json")
        for learner in options.learners or md.spaces
        for number, group in enumerate(held_out_groups(md, options.cache, n_families=options.families))
    ]

    def run(learner: str, keys: list[str], families: list[str], path: Path) -> None:
        rows = measure_group(md.drop(families=families) if families else md, learner, options.cache, keys, wanted)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(path)

    joblib.Parallel(n_jobs=options.jobs, verbose=10)(
        joblib.delayed(run)(*parts) for parts in work if not parts[-1].exists()
    )
    rows = pd.DataFrame([row for *_, path in work for row in json.loads(path.read_text(encoding="utf-8"))])
    floor = error_floor(md.metrics[0])
    print(summary(rows, floor).to_string(float_format="{:.3f}".format))
    for other in (method for method in rows["method"].unique() if method not in ("default", "metahpo")):
        print(against(rows, floor, other))


if __name__ == "__main__":
    main()
