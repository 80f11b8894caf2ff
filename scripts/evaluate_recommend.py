"""What first recommendations are worth on real tables: each is trained, and its error compared with the default's.

`python scripts/evaluate_recommend.py tabular_classification --cache DATASETS --out FOLDER`: tables of 1,000 rows and
more (or `--min-rows` to `--max-rows`); families are left out of the experience in groups; what is recommended for 70 %
of a table (at most `--rows`) is trained on these rows and judged on the rest, on three splits. Started again with the
same folder, it goes on: only the picks that a table lacks are trained, so a finished folder can be given further picks.

The picks:

- `metahpo`: the decision against the default; `no_meta_features`: the same without meta-features;
- `percentile`: the best expected percentile of the surrogate;
- `constant`: the one configuration of the largest mean reduction of error over the experience;
- `portfolio`: the first pick of the greedy portfolio, the one configuration of the smallest mean normalised regret;
- with `--flaml`, `flaml`: what `flaml.default` suggests (`pip install flaml`) for LightGBM, XGBoost, random forests and
  extra trees, trained with the same rows, columns and number of threads as the other picks. FLAML has learnt from
  tables of OpenML. Many tables here are among them or resemble them, and nothing was left out of its experience. This
  favours FLAML. It sets no weights of classes, which favours the others where the metric is balanced accuracy: compare
  it by `--metric roc_auc_ovr` as well;
- with `--searches`, `five`: the best of five picks by cross-validation on the rows to train on, and `tpeN`: the best of
  N trials of Optuna's TPE by the same cross-validation, the default first;
- with `--probe-seconds S`, `probes`: the pick after S seconds of probes on the rows to train on.

A win is a change of more than one standard error of the paired difference.
"""

import argparse
import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import Protocol, Split
from metahpo.cli.command_parser import CommandParser
from metahpo.datasets.cache import read_task
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio
from metahpo.evaluation.ranking import signed_rank_p
from metahpo.evaluation.statistics import mean_intervals
from metahpo.exceptions import MetaHPOError, SpaceError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.recommendation.probe_worker import FixedSplit, ProbeWorkers
from metahpo.recommendation.probes import Prober
from metahpo.search.optuna_engine import OptunaEngine
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import Configuration, to_json
from metahpo.surrogates.cost import CostModel
from metahpo.surrogates.fitting.improvement_learning import learn_improvement
from metahpo.surrogates.fitting.training import train_surrogate
from metahpo.surrogates.improvement import ImprovementModel, error_floor
from metahpo.surrogates.improvement_on_task import ImprovementOnTask
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.metric import METRICS
from metahpo.tasks.task import Task
from metahpo.workflows.held_out_tables import MIN_ROWS, TableFolds, held_out_groups

#: Share of the rows to train on, and splits.
TRAIN_SHARE, SPLITS = 0.7, 3
#: Trials of the searches.
TRIALS = (15, 60)
#: Names that `flaml.default` has for learners, and parameters in its suggestions that are not tuned.
FLAML_NAMES = {"lightgbm": "lgbm", "xgboost": "choose_xgb", "random_forest": "rf", "extra_trees": "extra_tree"}
NOT_TUNED = ("n_jobs", "random_state", "verbose", "verbosity")

#: Results of one method on one table: its picks, and their errors on each split.
Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is evaluated: further picks, beside those that need no measurement, or some picks only."""

    max_rows: int
    searches: bool = False
    probe_seconds: float | None = None
    flaml: bool = False
    only: Sequence[str] | None = None

    def methods(self, learner: str) -> list[str]:
        """Names of the picks for a learner."""
        methods = ["default", "metahpo", "no_meta_features", "percentile", "constant", "portfolio"]
        if self.flaml and learner in FLAML_NAMES:
            methods.append("flaml")
        if self.searches:
            methods += ["five", *(f"tpe{n}" for n in TRIALS)]
        if self.probe_seconds is not None:
            methods.append("probes")
        return [m for m in methods if self.only is None or m == "default" or m in self.only]


def halves_of(task: Task, max_rows: int) -> list[Split]:
    """Three random splits into rows to train on and rows to judge by."""
    n_train = min(max_rows, int(TRAIN_SHARE * task.n_rows))
    kind = ShuffleSplit if task.kind == "regression" else StratifiedShuffleSplit
    n_test = min(5000, task.n_rows - n_train)
    return list(kind(SPLITS, train_size=n_train, test_size=n_test, random_state=0).split(task.X, task.y))


class Table:
    """One half of a table to choose by, and the other to judge by.

    `known_errors` are errors on the other half that were measured before, by texts of configurations.
    """

    def __init__(
        self, task: Task, split: Split, learner: str, metric: str, known_errors: Mapping[str, float] | None = None
    ) -> None:
        train, test = split
        self.metric, self.learner = metric, learner_named(learner, task.kind)
        self.known = task.take(train)
        self._whole = Measuring(task.take(np.concatenate([train, test])), FixedSplit(n_train=len(train)))
        self._folds = Measuring(self.known, TableFolds())
        self._errors = {(True, text): error for text, error in (known_errors or {}).items()}

    def test_error(self, configuration: Configuration, learner: Learner) -> float:
        """Error on the other half; infinite where the configuration fails."""
        return self._error(self._whole, configuration, learner)

    def validation_error(self, configuration: Configuration) -> float:
        """Error in cross-validation on the half that is known."""
        return self._error(self._folds, configuration, self.learner)

    def _error(self, measuring: Measuring, configuration: Configuration, learner: Learner) -> float:
        key = (measuring is self._whole, to_json(configuration))
        if key not in self._errors:
            try:
                losses = measuring.measure(learner, configuration).fold_losses[self.metric]
                self._errors[key] = float(np.mean(METRICS[self.metric].capped(np.array(losses))))
            except (MetaHPOError, ValueError, ArithmeticError):
                self._errors[key] = float("inf")
        return self._errors[key]


class Experience:
    """Experience with one learner, without the families that are left out; what a pick does not need is not learnt."""

    def __init__(self, md: MetaDataset, learner: str, metric: str) -> None:
        self.md, self.learner, self.metric = md, learner, metric
        # Not cached_property: its lock keeps this class from the worker processes (Python 3.11).
        self._model: ImprovementModel | None = None
        self._surrogate: TrainedSurrogate | None = None
        self._portfolio: Configuration | None = None

    @property
    def model(self) -> ImprovementModel:
        """Improvement on the default."""
        self._model = self._model or learn_improvement(self.md, self.learner, self.metric)
        if self._model is None:
            raise SystemExit(f"{self.md.name} has too few tasks with a shared design of {self.learner}.")
        return self._model

    @property
    def surrogate(self) -> TrainedSurrogate:
        """Surrogate of the losses."""
        self._surrogate = self._surrogate or train_surrogate(self.md, self.learner, self.metric)
        return self._surrogate

    @property
    def configurations(self) -> list[Configuration]:
        """Those that the model knows."""
        return [json.loads(text) for text in self.model.configurations]

    @property
    def portfolio(self) -> Configuration:
        """First pick of the greedy portfolio."""
        if self._portfolio is None:
            tables = self.md.tables(self.learner, self.metric)
            policy = GreedyPortfolio(n_picks=1).learn(tables, self.learner, random_state=0)
            self._portfolio = self.md.encoder(self.learner).decode(policy.picks)[0]
        return self._portfolio


def pick_of(method: str, table: Table, experience: Experience, options: Options, seed: int) -> Configuration:
    """The configuration that a method chooses by the half of a table that is known."""
    if method == "portfolio":
        return experience.portfolio
    if method == "flaml":
        return flaml_parameters(table.known, experience.learner)
    if method.startswith("tpe"):
        return best_of_tpe(table, int(method.removeprefix("tpe")), seed)
    model, configurations = experience.model, experience.configurations
    if method == "default":
        return configurations[model.reference]
    if method == "constant":
        return configurations[int(np.argmax(model.change.mean(axis=0)))]
    if method == "no_meta_features":
        return configurations[model.on(None).picks(1)[0]]
    features = extract(table.known).values
    if method == "percentile":
        posterior = experience.surrogate.posterior(configurations, meta_features=features)
        return configurations[int(np.argmin(posterior.mixture_mean()))]
    if method == "probes":
        return probed_pick(table, experience, features, options.probe_seconds)
    picks = [configurations[i] for i in model.on(features).picks(5 if method == "five" else 1)]
    return picks[0] if method == "metahpo" else min(picks, key=table.validation_error)


def flaml_parameters(task: Task, learner: str) -> Configuration:
    """Parameters that ``flaml.default`` suggests for a table, in the names of the learner's estimator."""
    suggest = importlib.import_module("flaml.default").preprocess_and_suggest_hyperparams
    parameters, *_ = suggest(task.kind, task.X, pd.Series(task.y), FLAML_NAMES[learner])
    return {name: value for name, value in parameters.items() if name not in NOT_TUNED}


def best_of_tpe(table: Table, n_trials: int, seed: int) -> Configuration:
    """The best of so many trials by cross-validation; a longer search begins with the trials of a shorter one."""
    engine = OptunaEngine("tpe", table.learner.space, seed)
    for _ in range(n_trials):
        try:
            configuration = engine.ask()
        except SpaceError:  # all configurations were tried
            break
        engine.tell(configuration, table.validation_error(configuration))
    return dict(engine.incumbent[0]) if engine.incumbent else default_configuration(table.learner.space)


def probed_pick(
    table: Table, experience: Experience, features: Mapping[str, float], budget: float | None
) -> Configuration:
    """The pick after so many seconds of probes on the rows to train on."""
    cost, model, task = CostModel.of(experience.md, experience.learner), experience.model, table.known
    if cost is None or budget is None:
        raise SystemExit(f"{experience.md.name} has recorded too few seconds of {experience.learner} for probes.")

    def seconds(rows: float) -> NDArray[np.float64]:
        return np.exp(cost.of_size(int(rows), task.X.shape[1], len(task.classes)).expected(model.encoded))

    on_task = ImprovementOnTask(model, task.n_rows, features)
    candidates = [(table.learner.name, c) for c in experience.configurations]
    workers = ProbeWorkers(1, [table.learner.name], task.kind)
    workers.wait_until_ready(60.0)
    probed = Prober(task, on_task, candidates, table.metric, seconds, workers).run(budget)
    return experience.configurations[probed.improvement.picks(1)[0]]


def measure_table(
    experience: Experience, cache: Path, key: str, methods: Sequence[str], known: Sequence[Row], options: Options
) -> list[Row]:
    """One row a method for a table: its picks, and their errors on every split; `known` are rows of other methods."""
    task = Protocol().prepare(read_task(cache, key))
    found: dict[str, list[tuple[str, float]]] = {method: [] for method in methods}
    for seed, split in enumerate(halves_of(task, options.max_rows)):
        errors = {row["configurations"][seed]: row["errors"][seed] for row in known}
        table = Table(task, split, experience.learner, experience.metric, errors)
        for method, each in found.items():
            configuration = pick_of(method, table, experience, options, seed)
            # FLAML gives parameters of the estimator, for which the space has no rules.
            learner = replace(table.learner, rules={}) if method == "flaml" else table.learner
            each.append((to_json(configuration), table.test_error(configuration, learner)))
    return [
        {"table": key, "family": task.family, "learner": experience.learner, "method": method,
         "configurations": [text for text, _ in each], "errors": [error for _, error in each]}
        for method, each in found.items()
    ]  # fmt: skip


def complete(
    path: Path,
    tables: Sequence[str],
    methods: Sequence[str],
    measure: Callable[[str, list[str], list[Row]], list[Row]],
) -> None:
    """Add to a file of results the methods that each table lacks; the file grows table by table."""
    rows = read_rows(path)
    for key in tables:
        known = [row for row in rows if row["table"] == key]
        missing = [method for method in methods if method not in {row["method"] for row in known}]
        if missing:
            rows += measure(key, missing, known)
            temporary = path.with_suffix(f".{os.getpid()}.part")
            temporary.write_text(json.dumps(rows), encoding="utf-8")
            temporary.replace(path)


def read_rows(path: Path) -> list[Row]:
    """Results of a file; none where there is no file yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def require_same(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings that all results of a folder share, or end the program if they were others before."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    if before != settings:
        raise SystemExit(f"{str(path.parent)!r} holds results of {before}, not of {settings}; choose another --out.")
    path.write_text(json.dumps(settings), encoding="utf-8")


def errors_of(rows: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Errors on the splits of some methods, on the tables that have them all: one row a learner, family and table."""
    table = rows.set_index(["learner", "family", "table", "method"])["errors"].unstack("method")
    return table[list(methods)].dropna()


def reductions(errors: pd.DataFrame, method: str, floor: float) -> NDArray[np.float64]:
    """Mean reduction of the error, relative to the default's, on each table."""
    default, own = (np.array([np.mean(e) for e in errors[m]]) for m in ("default", method))
    return np.asarray(np.nan_to_num(np.clip((default - own) / np.maximum(default, floor), -1.0, 1.0)))


def summary(rows: pd.DataFrame, floor: float) -> pd.DataFrame:
    """One row a learner and method: wins, losses, mean, median and worst relative reduction of the error."""
    found = []
    for method in (m for m in rows["method"].unique() if m != "default"):
        for learner, own in errors_of(rows, ["default", method]).groupby(level="learner"):
            default, errors = (np.array(own[m].tolist(), dtype=float) for m in ("default", method))
            difference = default - errors
            error = difference.std(axis=1, ddof=1) / np.sqrt(SPLITS)
            gain = reductions(own, method, floor)
            wins, losses = (difference.mean(axis=1) > error).mean(), (difference.mean(axis=1) < -error).mean()
            found.append((learner, method, len(own), wins, losses, gain.mean(), np.median(gain), gain.min()))
    columns = ["learner", "method", "tables", "wins", "losses", "mean", "median", "worst"]
    return pd.DataFrame(found, columns=columns).set_index(["learner", "method"]).sort_index()


def against(rows: pd.DataFrame, floor: float, other: str) -> str:
    """Reduction of error over tables and learners, `metahpo` less another pick: interval over families, paired test."""
    errors = errors_of(rows, ["default", "metahpo", other]).rename_axis(index=["space", "family", "task"])
    gap = reductions(errors, "metahpo", floor) - reductions(errors, other, floor)
    p = signed_rank_p(gap)
    mean, low, high = mean_intervals(pd.DataFrame({"gap": gap}, index=errors.index)).loc["gap"]
    return (
        f"metahpo against {other}: mean {mean:+.4f} (95 % over families: {low:+.4f} to {high:+.4f}), median "
        f"{np.median(gap):+.4f} of {len(gap)} pairs, {np.sum(gap > 0.0)} better, {np.sum(gap < 0.0)} worse, p = {p:.3f}"
    )


def main() -> None:
    """Measure what is not measured yet, and print the summary."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--families", type=int, help="of so many families, drawn at random (default: all)")
    parser.add_argument("--rows", type=int, default=5000, help="rows to train on at most (default: 5000)")
    parser.add_argument("--min-rows", type=int, default=MIN_ROWS, help="only tables of so many (default: %(default)s)")
    parser.add_argument("--max-rows", type=float, default=np.inf, help="of a table (default: no limit)")
    parser.add_argument("--metric", help="default: the first of the meta-dataset")
    parser.add_argument("--searches", action="store_true", help="add the best of five picks, and Optuna's TPE")
    parser.add_argument("--probe-seconds", type=float, help="add the pick after so many seconds of probes")
    parser.add_argument("--flaml", action="store_true", help="add what flaml.default suggests")
    parser.add_argument("--picks", nargs="+", help="only these, beside the default (default: all)")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    if options.flaml and importlib.util.find_spec("flaml") is None:
        parser.error("--flaml needs FLAML; install it with: pip install flaml")
    md = MetaDataset.load(options.folder)
    metric = md.metric(options.metric)
    options.out.mkdir(parents=True, exist_ok=True)
    rows_of_tables = (options.min_rows, options.max_rows)
    settings = {"rows": options.rows, "tables": list(rows_of_tables), "families": options.families, "metric": metric}
    require_same(options.out / f"{md.name}.settings.json", settings)
    wanted = Options(options.rows, options.searches, options.probe_seconds, options.flaml, options.picks)
    groups = held_out_groups(md, options.cache, n_families=options.families, rows=rows_of_tables)
    work = [
        (learner, list(group.tables), list(group.families), options.out / f"{md.name}.{learner}.{number}.json")
        for learner in options.learners or md.spaces
        for number, group in enumerate(groups)
    ]

    def run(learner: str, keys: list[str], families: list[str], path: Path) -> None:
        experience = Experience(md.drop(families=families) if families else md, learner, metric)

        def measure(key: str, methods: list[str], known: list[Row]) -> list[Row]:
            return measure_table(experience, options.cache, key, methods, known, wanted)

        complete(path, keys, wanted.methods(learner), measure)

    joblib.Parallel(n_jobs=options.jobs, verbose=10)(joblib.delayed(run)(*parts) for parts in work)
    rows = pd.DataFrame([row for *_, path in work for row in read_rows(path)])
    floor = error_floor(metric)
    print(summary(rows, floor).to_string(float_format="{:.3f}".format))
    for other in (method for method in rows["method"].unique() if method not in ("default", "metahpo")):
        of_learners = {str(name): own for name, own in rows.groupby("learner")}
        both = {name: own for name, own in of_learners.items() if {"metahpo", other} <= set(own["method"])}
        for name, own in both.items():
            print(f"{name}: {against(own, floor, other)}")
        if len(both) > 1:
            print(f"all: {against(rows, floor, other)}")


if __name__ == "__main__":
    main()
