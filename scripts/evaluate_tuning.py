"""What a search from experience is worth on real tables: live trials, side by side with searches without experience.

`python scripts/evaluate_tuning.py tabular_classification --cache DATASETS --out FOLDER`: each method tunes each learner
on tables whose families are left out of the experience. A trial is a cross-validation with three folds. The default is
the first trial of every method. Started again with the same folder, it goes on.

The methods:

- `metahpo`: this package's search, from experience; `cold`: the same without experience;
- `tpe`, `gp`: Optuna's TPESampler and GPSampler; `smac`: SMAC3's facade for hyperparameters; `random`.

Regret is (loss - best) / (worst - best) over all that is known of a table and learner. The script prints the mean
regrets; what trials from experience are worth in trials of the others, with a paired Wilcoxon test over families; and,
with `--replay`, the difference between replays of recorded trials and live trials of the same tables, in two parts:

- from the scale: the replayed incumbents, with the best of all known trials for the best, not only of the recorded;
- from the search: what remains, because a live method chooses from the whole space.

The folder holds `runs.jsonl` (one run a line, only ever appended to), `regrets.csv`, `summary.json`, `summary.txt` and
the trained experience.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from metahpo.building.measurement import Measuring
from metahpo.cli.command_parser import CommandParser
from metahpo.datasets.cache import read_task
from metahpo.evaluation.pool import PoolOptimizer
from metahpo.evaluation.ranking import signed_rank_p
from metahpo.evaluation.regret import regret_of_losses, scale_of
from metahpo.exceptions import MetaHPOError, SpaceError
from metahpo.learners.registry import learner_named
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.search.engines import search_engine
from metahpo.space.configuration import Configuration
from metahpo.space.domain import Domain
from metahpo.tasks.metric import METRICS
from metahpo.tasks.task import Task
from metahpo.workflows.held_out_tables import GROUPS, MIN_ROWS, TableFolds, experience_without, held_out_groups

#: Methods, in the order of the tables.
METHODS = ("metahpo", "cold", "tpe", "gp", "smac", "random")
#: Own trials -> trials of another method that they are to be worth.
WORTH = {
    **{method: {5: 12, 10: 20, 20: 40} for method in ("gp", "smac")},
    **{method: {5: 15, 10: 25, 20: 50} for method in ("cold", "tpe", "random")},
}
#: Trials after which the mean regrets are shown.
MILESTONES = (1, 2, 5, 10, 12, 15, 20, 25, 40, 50)


@dataclass(frozen=True)
class Run:
    """One search: live, or a replay of recorded trials."""

    table: str
    family: str
    learner: str
    method: str
    seed: int
    kind: str

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it apart from others."""
        return (self.table, self.learner, self.method, str(self.seed), self.kind)


@dataclass(frozen=True)
class Place:
    """Where a run finds what it needs: the meta-dataset, the dataset cache, and the experience."""

    folder: str
    cache: Path
    experience: Path
    n_trials: int


class Smac:
    """SMAC3's facade, one trial at a time."""

    def __init__(self, space: ConfigurationSpace, seed: int, n_trials: int, folder: Path) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        scenario = Scenario(space, deterministic=True, n_trials=n_trials, seed=seed, output_directory=folder)
        self._facade = HyperparameterOptimizationFacade(scenario, _never_called, logging_level=40, overwrite=True)
        self._space, self._worst = space, 1.0
        self._asked: Any = None

    def ask(self) -> Configuration:
        """The next configuration."""
        self._asked = self._facade.ask()
        return dict(self._asked.config)

    def tell(self, configuration: Configuration, loss: float) -> None:
        """Report a loss; a failure counts as the worst so far."""
        from ConfigSpace import Configuration as Chosen
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        told = Chosen(self._space, values=configuration)
        info = self._asked if self._asked is not None and self._asked.config == told else TrialInfo(told, seed=0)
        self._worst = max(self._worst, loss) if np.isfinite(loss) else self._worst
        self._facade.tell(info, TrialValue(cost=loss if np.isfinite(loss) else self._worst))


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("SMAC is asked and told, and calls nothing")


def engine_of(run: Run, space: ConfigurationSpace, start: WarmStart | None, n_trials: int, folder: Path) -> Any:
    """An object with the methods ``ask()`` and ``tell(configuration, loss)``; `folder` is for what it writes."""
    if start is not None:
        return start.optimizer(run.seed)
    if run.method == "cold":
        return BayesianOptimizer(space, random_state=run.seed)
    if run.method == "smac":
        return Smac(space, run.seed, n_trials, folder)
    return search_engine(run.method, space, run.seed)


def made(run: Run, place: Place) -> dict[str, Any]:
    """Make a run. It reads what it needs itself, because it may be made in a process of its own."""
    began = time.process_time()
    md, task, start = MetaDataset.load(place.folder), None, None
    if run.kind == "live" or run.method == "metahpo":
        task = task_of(run, place)
    if run.method == "metahpo":
        start = Recommender(place.experience).warm_start(task, run.learner)
    space = md.spaces[run.learner]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the loss of a trial tells
        engine = engine_of(run, space, start, place.n_trials, Path(folder))
        if run.kind == "live" and task is not None:
            losses = list(live(run, place, engine, md, task))
        else:
            losses = list(replayed(run, place, PooledEngine(start) if start is not None else engine, md))
    record = asdict(run) | {"losses": [loss if np.isfinite(loss) else None for loss in losses]}
    return record | {"n_trials": place.n_trials, "cpu_seconds": time.process_time() - began}


def task_of(run: Run, place: Place) -> Task:
    """The table that a run tunes on."""
    return TableFolds().prepare(read_task(place.cache, run.table))


def live(run: Run, place: Place, engine: Any, md: MetaDataset, task: Task) -> Iterator[float]:
    """Losses of live trials on the table of a run, the default first."""
    metric = METRICS[md.metrics[0]]
    learner, measuring = learner_named(run.learner, task.kind), Measuring(task, TableFolds())
    configuration: Configuration = dict(Domain(md.spaces[run.learner]).default)
    for trial in range(place.n_trials):
        try:
            configuration = engine.ask() if trial else configuration
        except SpaceError:
            return
        try:
            folds = measuring.measure(learner, configuration).fold_losses
            loss = float(np.mean(metric.capped(np.array(folds[metric.name])))) if folds else np.nan
        except (MetaHPOError, ValueError, ArithmeticError):
            loss = np.nan
        engine.tell(configuration, loss)
        yield loss


class PooledEngine:
    """The search of this package among recorded trials, as in its own replays."""

    def __init__(self, start: WarmStart) -> None:
        self._optimizer = PoolOptimizer(start.surrogate, start.meta_features)

    def choose(self, X: NDArray[np.float64], loss: NDArray[np.float64], left: NDArray[np.float64]) -> int:
        """Place of the next trial in `left`."""
        return self._optimizer.observe_and_suggest(X, -loss, left)


def replayed(run: Run, place: Place, engine: Any, md: MetaDataset) -> Iterator[float]:
    """Losses of recorded trials, that of the default first: of others, the nearest to what the engine asks for."""
    X, configurations, loss = recorded(md, run.table, run.learner)
    encoder = md.encoder(run.learner)
    asked = encoder.encode([Domain(md.spaces[run.learner]).default])
    left, tried = list(range(len(loss))), list[int]()
    while left and len(tried) < place.n_trials:
        if tried and isinstance(engine, PooledEngine):
            chosen = engine.choose(X[tried], loss[tried], X[left])
        else:
            chosen = int(np.square(X[left] - asked).sum(axis=1).argmin())
        tried.append(left.pop(chosen))
        yield float(loss[tried[-1]])
        if not isinstance(engine, PooledEngine):
            engine.tell(configurations[tried[-1]], float(loss[tried[-1]]))
            try:
                asked = encoder.encode([engine.ask()])
            except SpaceError:
                return


def recorded(
    md: MetaDataset, table: str, learner: str
) -> tuple[NDArray[np.float64], list[Configuration], NDArray[np.float64]]:
    """Recorded trials of a table of the meta-dataset: rows (n, d), configurations, losses (n,)."""
    (name,) = md.tasks.index[md.tasks["key"].astype(str) == table]
    found = next(known for known in md.tables(learner) if known.task == name)
    return found.X, md.encoder(learner).decode(found.X), found.loss


def scales(runs: pd.DataFrame, md: MetaDataset) -> dict[tuple[str, str], tuple[float, float]]:
    """Best and worst loss of all that is known of each table and learner, where these differ."""
    found = {}
    for pair, own in runs.groupby(["table", "learner"]):
        table, learner = (str(part) for part in np.atleast_1d(np.asarray(pair, dtype=object)))
        losses = [np.array(each, dtype=float) for each in own["losses"]]
        if (own["kind"] == "replay").any():
            losses.append(recorded(md, table, learner)[2])
        scale = scale_of(losses)
        if scale is not None:
            found[table, learner] = scale
    return found


def regrets_of(runs: pd.DataFrame, scale: Mapping[tuple[str, str], tuple[float, float]], n_trials: int) -> pd.DataFrame:
    """One row a run and trial: regret of the incumbent."""
    frames = [
        pd.DataFrame(
            {
                **{name: run[name] for name in ("table", "family", "learner", "method", "seed")},
                "trial": np.arange(1, n_trials + 1),
                "regret": regret_of_losses(run["losses"], scale[run["table"], run["learner"]], n_trials),
            }
        )
        for run in runs.to_dict("records")
        if (run["table"], run["learner"]) in scale
    ]
    columns = ["table", "family", "learner", "method", "seed", "trial", "regret"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _wide(regrets: pd.DataFrame) -> pd.DataFrame:
    """Regrets, the mean of the seeds: a row a table and learner, a column a method and trial."""
    return regrets.pivot_table("regret", ["family", "table", "learner"], ["method", "trial"], aggfunc="mean")


def means_of(regrets: pd.DataFrame, n_trials: int) -> pd.DataFrame:
    """Mean regret of each method after the milestones, over the pairs that all methods have finished."""
    n_methods = regrets.groupby(["table", "learner"])["method"].transform("nunique")
    regrets = regrets[n_methods == regrets["method"].nunique()]
    means = regrets[regrets["trial"].isin(MILESTONES)].pivot_table("regret", "method", "trial", sort=False)
    return means.reindex([method for method in METHODS if method in means.index])[
        [trial for trial in MILESTONES if trial <= n_trials]
    ]


def worth_of(regrets: pd.DataFrame, n_trials: int) -> pd.DataFrame:
    """Own trials against more trials of the others, and against as many after the last one."""
    wide, rows = _wide(regrets), []
    methods = set(regrets["method"])
    for other in (method for method in METHODS[1:] if method in methods and "metahpo" in methods):
        for own_trials, trials in {**WORTH[other], n_trials: n_trials}.items():
            if trials > n_trials:
                continue
            both = wide[[("metahpo", own_trials), (other, trials)]].dropna()
            own, theirs = both.iloc[:, 0], both.iloc[:, 1]
            by_family = (own - theirs).groupby(level="family").mean().to_numpy()
            rows.append(
                {"own trials": own_trials, "other": other, "trials": trials, "pairs": len(both), "own": own.mean(),
                 "theirs": theirs.mean(), "at most theirs": bool(own.mean() <= theirs.mean()),
                 "wins": int((own < theirs).sum()), "losses": int((own > theirs).sum()),
                 "p": signed_rank_p(by_family)}
            )  # fmt: skip
    return pd.DataFrame(rows)


def against_cold(regrets: pd.DataFrame, n_trials: int) -> pd.DataFrame:
    """Table and learner pairs where experience was worse than none after all trials, the worst first.

    The noise is the standard error of the difference over the seeds; it is unknown of one seed.
    """
    last = regrets[(regrets["trial"] == n_trials) & regrets["method"].isin(["metahpo", "cold"])]
    wide = last.pivot_table("regret", ["table", "learner", "seed"], "method")
    if set(wide.columns) != {"metahpo", "cold"}:
        return pd.DataFrame(columns=["table", "learner", "difference", "noise"])
    difference = (wide["metahpo"] - wide["cold"]).dropna().groupby(level=["table", "learner"])
    found = pd.DataFrame({"difference": difference.mean(), "noise": difference.sem()}).reset_index()
    return found[found["difference"] > 0].sort_values("difference", ascending=False)


def gap_of(
    runs: pd.DataFrame,
    md: MetaDataset,
    scale: Mapping[tuple[str, str], tuple[float, float]],
    n_trials: int,
) -> pd.DataFrame:
    """Mean regret of replays and live runs of the same tables, and the parts of the difference."""
    replays = runs[runs["kind"] == "replay"]
    own_scale = {}
    for table, learner in {(run["table"], run["learner"]) for run in replays.to_dict("records")} & set(scale):
        loss = recorded(md, table, learner)[2]
        finite = loss[np.isfinite(loss)]
        if finite.min() < finite.max():
            own_scale[table, learner] = (float(finite.min()), float(finite.max()))
    live = runs[runs["kind"] == "live"]
    rows = []
    for method in (method for method in METHODS if method in set(replays["method"]) & set(live["method"])):
        parts = [
            regrets_of(some[some["method"] == method], {pair: known[pair] for pair in own_scale}, n_trials)
            for some, known in ((replays, own_scale), (replays, scale), (live, scale))
        ]
        for trial in (trial for trial in MILESTONES if trial <= n_trials):
            replayed, rescaled, lived = (part.loc[part["trial"] == trial, "regret"].mean() for part in parts)
            rows.append(
                {"method": method, "trial": trial, "replay": replayed, "live": lived, "gap": lived - replayed,
                 "from the scale": rescaled - replayed, "from the search": lived - rescaled}
            )  # fmt: skip
    return pd.DataFrame(rows)


def report(runs: pd.DataFrame, md: MetaDataset, n_trials: int, out: Path) -> str:
    """Write the tables, and return them as text."""
    scale = scales(runs, md)
    regrets = regrets_of(runs[runs["kind"] == "live"], scale, n_trials)
    tables = {
        "mean normalised regret after so many trials": means_of(regrets, n_trials).reset_index(),
        "metahpo's trials against more trials of the others (p: Wilcoxon over families)": worth_of(regrets, n_trials),
        f"pairs where experience was worse than none after {n_trials} trials": against_cold(regrets, n_trials),
        "replays of recorded trials against live trials of the same tables": gap_of(runs, md, scale, n_trials),
    }
    n_pairs = len(runs[["table", "learner"]].drop_duplicates())
    text = f"{n_pairs} pairs of a table and a learner, {len(scale)} of them with losses that differ\n"
    for title, table in tables.items():
        if len(table):
            text += f"\n{title}\n{table.to_string(index=False, float_format='{:.4f}'.format)}\n"
    regrets.to_csv(out / "regrets.csv", index=False)
    records = {title: json.loads(table.to_json(orient="records")) for title, table in tables.items()}
    (out / "summary.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    (out / "summary.txt").write_text(text, encoding="utf-8")
    return text


def runs_on_file(path: Path) -> list[dict[str, Any]]:
    """Runs that were finished; half a line at the end, of a run that was cut off, is passed over."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [run for run in found if "n_trials" in run]


def run_of(record: Mapping[str, Any]) -> Run:
    """The run that a line is of."""
    return Run(**{name: record[name] for name in Run.__annotations__})


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="meta-dataset, by folder or name")
    parser.add_argument("--cache", type=Path, required=True, help="dataset cache")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--learners", nargs="+", help="default: all of the meta-dataset")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", type=int, help="of so many families, drawn at random (default: all)")
    parser.add_argument("--groups", type=int, default=GROUPS, help=f"trainings without families (default: {GROUPS})")
    parser.add_argument("--min-rows", type=int, default=MIN_ROWS, help=f"of a table (default: {MIN_ROWS})")
    parser.add_argument("--max-rows", type=float, default=np.inf, help="of a table (default: no limit)")
    parser.add_argument(
        "--replay",
        action="store_true",
        help="take tables that the meta-dataset recorded whole, and replay their trials as well",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="FAMILY",
        help="families that the summary leaves out, such as generated tables",
    )
    parser.add_argument("--jobs", type=int, default=-1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the runs that are missing, and print the summary."""
    options = options_of(arguments)
    md = MetaDataset.load(options.folder)
    learners = options.learners or list(md.spaces)
    groups = held_out_groups(
        md,
        options.cache,
        n_families=options.families,
        n_groups=options.groups,
        rows=(options.min_rows, options.max_rows),
        recorded=options.replay,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "runs.jsonl"
    done = {run_of(record).key for record in runs_on_file(path) if record["n_trials"] >= options.trials}
    kinds = ("live", "replay") if options.replay else ("live",)
    work: list[tuple[Run, Place]] = []
    training: dict[Path, Any] = {}
    for number, group in enumerate(groups):
        for learner in learners:
            name = "shipped" if not group.families else f"without{number}of{len(groups)}"
            experience = options.out / "experience" / f"{md.name}.{learner}.{name}"
            place = Place(options.folder, options.cache, experience, options.trials)
            runs = [
                Run(table, family, learner, method, seed, kind)
                for table, family in group.tables.items()
                for seed in range(options.seeds)
                for kind in kinds
                for method in options.methods
            ]
            runs = [run for run in runs if run.key not in done]
            if any(run.method == "metahpo" for run in runs):
                training[experience] = joblib.delayed(experience_without)(md, group.families, learner, experience)
            work += [(run, place) for run in runs]
    joblib.Parallel(n_jobs=options.jobs)(training.values())
    with path.open("a", encoding="utf-8") as file:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            file.write("\n")
        parallel = joblib.Parallel(n_jobs=options.jobs, return_as="generator_unordered")
        for record in parallel(joblib.delayed(made)(*parts) for parts in work):
            file.write(json.dumps(record) + "\n")
            file.flush()
    longest = {run_of(record).key: record for record in sorted(runs_on_file(path), key=lambda run: run["n_trials"])}
    told = [record for record in longest.values() if record["family"] not in options.leave_out]
    if not told:
        raise SystemExit("--leave-out names all families: nothing is left to summarise.")
    print(report(pd.DataFrame(told), md, options.trials, options.out))


if __name__ == "__main__":
    main()
