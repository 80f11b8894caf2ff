"""What first recommendations are worth on real tables: each is trained, and its error compared with the default's.

`python scripts/evaluate_recommend.py tabular_classification --cache DATASETS --out FOLDER`: tables of 1,000 rows and
more; families are left out of the experience in groups; every pick is trained on 70 % of a table (at most `--rows`) and
judged on the rest, on three splits. Started again with the same folder, it goes on.

The picks: `metahpo`, the decision against the default; `no_meta_features`, the same without meta-features;
`percentile`, the best expected percentile of the surrogate; `constant`, the one configuration of the largest mean
reduction of error over the experience. A win is a change of more than one standard error of the paired difference.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import Protocol, Split
from metahpo.datasets.cache import read_sidecars, read_task
from metahpo.exceptions import MetaHPOError
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.space.configuration import Configuration
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import train_surrogate
from metahpo.surrogates.improvement import error_floor
from metahpo.tasks.metric import METRICS
from metahpo.tasks.task import Task

#: Share of the rows to train on, splits, and groups of families.
TRAIN_SHARE, SPLITS, GROUPS = 0.7, 3, 5


@dataclass(frozen=True)
class Halves(Protocol):
    """Random splits of a table into rows to train on and rows to judge by."""

    max_rows: int = 5000

    def splits(self, task: Task, size: int | None, repeat: int = 0) -> list[Split]:
        """Three splits, stratified where there are classes."""
        n_train = min(self.max_rows, int(TRAIN_SHARE * task.n_rows))
        kind = ShuffleSplit if task.kind == "regression" else StratifiedShuffleSplit
        n_test = min(5000, task.n_rows - n_train)
        splitter = kind(SPLITS, train_size=n_train, test_size=n_test, random_state=repeat)
        return list(splitter.split(task.X, task.y))


def picks_of(md: MetaDataset, learner: str, tasks: Mapping[str, Task]) -> Iterator[tuple[str, str, Configuration]]:
    """Task, name of a pick, and its configuration, from experience that knows none of the tasks' families."""
    model, surrogate = learn_improvement(md, learner), train_surrogate(md, learner)
    if model is None:
        raise SystemExit(f"{md.name} has too few tasks with a shared design of {learner}.")
    configurations = [json.loads(text) for text in model.configurations]
    mean_change = model.change.mean(axis=0)
    for key, task in tasks.items():
        features = extract(task).values
        yield key, "default", configurations[model.reference]
        yield key, "metahpo", configurations[model.on(features).picks(1)[0]]
        yield key, "no_meta_features", configurations[model.on(None).picks(1)[0]]
        posterior = surrogate.posterior(configurations, meta_features=features)
        yield key, "percentile", configurations[int(np.argmin(posterior.mixture_mean()))]
        yield key, "constant", configurations[int(np.argmax(mean_change))]


def judge(task: Task, learner: str, configuration: Configuration, max_rows: int, metric: str) -> list[float]:
    """Errors on the splits; infinite where the configuration fails."""
    protocol = Halves(max_rows=max_rows)
    try:
        measured = Measuring(protocol.prepare(task), protocol).measure(learner_named(learner, task.kind), configuration)
    except (MetaHPOError, ValueError, ArithmeticError):
        return [float("inf")] * SPLITS
    return [float(loss) for loss in METRICS[metric].capped(np.array(measured.fold_losses[metric]))]


def measure_group(
    md: MetaDataset, learner: str, cache: Path, keys: Sequence[str], max_rows: int
) -> list[dict[str, object]]:
    """Errors of all picks on some tables; equal configurations are trained once."""
    tasks = {key: read_task(cache, key) for key in keys}
    rows: list[dict[str, object]] = []
    metric = md.metrics[0]
    errors: dict[tuple[str, str], list[float]] = {}
    for key, method, configuration in picks_of(md, learner, tasks):
        text = json.dumps(configuration, sort_keys=True)
        if (key, text) not in errors:
            errors[key, text] = judge(tasks[key], learner, configuration, max_rows, metric)
        rows.append(
            {"table": key, "family": tasks[key].family, "learner": learner, "method": method, "configuration": text,
             "errors": errors[key, text]}
        )  # fmt: skip
    return rows


def groups_of(md: MetaDataset, cache: Path, most: int | None) -> list[tuple[list[str], list[str]]]:
    """Keys of tables, and the families that the experience must do without for them."""
    kind = str(md.tasks["kind"].iloc[0])
    tables = {
        key: str(sidecar.get("family") or key)
        for key, sidecar in sorted(read_sidecars(cache)[0].items())
        if sidecar["kind"] == kind and int(sidecar["n_rows"]) >= 1000 and int(sidecar["n_features"]) <= 300
    }
    families = sorted(set(tables.values()))
    families = list(np.random.default_rng(0).permutation(families))[:most]
    known = set(md.tasks["family"])
    return [
        ([key for key, family in tables.items() if family in group], [str(f) for f in group if f in known])
        for group in (families[i::GROUPS] for i in range(GROUPS))
        if len(group)
    ]


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
    """Paired test of the reduction of error over tables and learners, `metahpo` against another pick."""
    table = rows.set_index(["learner", "table", "method"])["errors"].unstack("method")
    base = np.array([np.mean(e) for e in table["default"]])
    gains = [
        np.clip((base - np.array([np.mean(e) for e in table[m]])) / np.maximum(base, floor), -1.0, 1.0)
        for m in ("metahpo", other)
    ]
    gap = np.nan_to_num(gains[0] - gains[1])
    p = float(wilcoxon(gap).pvalue) if np.any(gap != 0.0) else 1.0
    return (
        f"metahpo against {other}: mean {gap.mean():+.4f} of {len(gap)} pairs, {np.sum(gap != 0.0)} differ, p = {p:.3f}"
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
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    md = MetaDataset.load(options.folder)
    options.out.mkdir(parents=True, exist_ok=True)
    work = [
        (learner, keys, families, options.out / f"{md.name}.{learner}.{number}.json")
        for learner in options.learners or md.spaces
        for number, (keys, families) in enumerate(groups_of(md, options.cache, options.families))
    ]

    def run(learner: str, keys: list[str], families: list[str], path: Path) -> None:
        rows = measure_group(md.drop(families=families), learner, options.cache, keys, options.rows)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(path)

    joblib.Parallel(n_jobs=options.jobs, verbose=10)(
        joblib.delayed(run)(*parts) for parts in work if not parts[-1].exists()
    )
    rows = pd.DataFrame([row for *_, path in work for row in json.loads(path.read_text(encoding="utf-8"))])
    floor = error_floor(md.metrics[0])
    print(summary(rows, floor).to_string(float_format="{:.3f}".format))
    for other in ("constant", "no_meta_features", "percentile"):
        print(against(rows, floor, other))


if __name__ == "__main__":
    main()
