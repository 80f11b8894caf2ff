"""From histories to tables: regrets over trials and over recorded seconds, first picks, costs and failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.evaluation.default_comparison import compare_with_default
from metahpo.evaluation.evaluation_plan import Plan, Provenance, replays_of
from metahpo.evaluation.regret import normalised_regret, regret_over_seconds, regret_so_far
from metahpo.evaluation.result import EvaluationReport
from metahpo.evaluation.understanding import understood
from metahpo.evaluation.unit import History, Told, Unit, UnitResult, coverage_frame
from metahpo.exceptions import DataError
from metahpo.metadata.task_table import TaskTable
from metahpo.recommendation.novelty import Familiarity

Array = NDArray[np.float64]

#: Budgets in seconds at which regret is read: this many, on a logarithmic scale.
N_BUDGETS = 12
#: What is known of a task, where it was recorded.
TASK_COLUMNS = ("family", "kind", "n_rows", "n_features", "n_classes")


@dataclass(frozen=True)
class _Judging:
    """Judgement of the searches of one task that received the same losses."""

    told: Array
    regret: Array
    seconds: Array | None


def assemble(plan: Plan, results: Sequence[UnitResult], seconds: float) -> EvaluationReport:
    """Make the report of an evaluation.

    Raises
    ------
    DataError
        Every method failed.
    """
    failures = _failures(plan.units, results)
    ended = _without_results(plan, results)
    if len(ended) == len(plan.methods):
        first = failures.iloc[0]
        raise DataError(f"no method could be replayed; the first, {first['method']!r}, failed: {first['error']}")
    pairs = [(unit, result) for unit, result in zip(plan.units, results, strict=True) if unit.method.name not in ended]
    n_seeds = plan.settings.n_seeds
    methods = {m.name: n_seeds * replays_of(m, n_seeds) for m in plan.methods if m.name not in ended}
    budgets = _budgets(plan)
    main, over_seconds = _regrets(plan, pairs, ("even", "odd") if plan.settings.honest else ("all",), budgets)
    usual = _regrets(plan, pairs, ("all",), None)[0] if plan.settings.honest else None
    return EvaluationReport(
        regrets=main,
        costs=_costs(pairs),
        settings=plan.settings,
        n_replays=methods,
        notes=(*plan.notes, *_notes_of_failures(failures, ended)),
        against_default=_against_default(plan, pairs),
        coverage=_coverage(pairs),
        usual=usual,
        over_seconds=over_seconds,
        failures=failures,
        tasks=_tasks(plan),
        provenance=Provenance.of(plan, seconds),
        understanding=understood(plan.md, [s.name for s in plan.spaces], plan.metric)
        if plan.settings.understand
        else {},
        n_recorded=int(np.median([len(table.loss) for space in plan.spaces for table in space.tables])),
    )


def _failures(units: Sequence[Unit], results: Sequence[UnitResult]) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for unit, result in zip(units, results, strict=True):
        about = {"space": unit.space, "method": unit.method.name, "seed": unit.seed}
        if result.failure is not None:
            rows += [{**about, "task": table.task, "after": 0, "error": result.failure} for table in unit.held_out]
        rows += [
            {**about, "task": history.task, "after": len(history.picks), "error": history.failure}
            for history in result.histories
            if history.failure
        ]
    columns = ["space", "method", "seed", "task", "after", "error"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(["space", "method", "seed", "task"], ignore_index=True)


def _without_results(plan: Plan, results: Sequence[UnitResult]) -> set[str]:
    """Methods of which every search failed."""
    sound = {
        unit.method.name
        for unit, result in zip(plan.units, results, strict=True)
        if any(history.failure is None for history in result.histories)
    }
    return {method.name for method in plan.methods} - sound


def _notes_of_failures(failures: pd.DataFrame, ended: set[str]) -> list[str]:
    notes = []
    for (method, error), rows in failures.groupby(["method", "error"], sort=False):
        where = f"on {rows['task'].nunique()} tasks of {', '.join(rows['space'].unique())}"
        then = "it is left out" if method in ended else "a search that failed keeps what it had found"
        notes.append(f"{method} failed {where} ({error}); {then}")
    return notes


def _regrets(
    plan: Plan, pairs: Sequence[tuple[Unit, UnitResult]], modes: Sequence[Told], budgets: Array | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Regret of each space, task and method, after each number of trials and each number of seconds."""
    curves: dict[tuple[str, str, str], list[Array]] = {}
    timed: dict[tuple[str, str, str], list[Array]] = {}
    families = {(space.name, table.task): table.family for space in plan.spaces for table in space.tables}
    judging = {(space, task, told): judged for space, task, told, judged in _judgings(plan, modes)}
    for unit, result in pairs:
        for history in _whole(unit, result):
            if history.told not in modes:
                continue
            judged = judging[unit.space, history.task, history.told]
            picks = list(history.picks)
            key = (unit.space, history.task, unit.method.name)
            curve = np.ones(plan.settings.n_trials)
            if picks:
                curve = regret_so_far(judged.regret[picks], judged.told[picks], plan.settings.n_trials)
            curves.setdefault(key, []).append(curve)
            if budgets is not None and judged.seconds is not None:
                timed.setdefault(key, []).append(regret_over_seconds(curve, judged.seconds[picks], budgets))

    def frame(of: Mapping[tuple[str, str, str], list[Array]], column: str, at: NDArray[Any]) -> pd.DataFrame:
        keys = list(of)
        n = len(at)
        return pd.DataFrame(
            {
                "space": np.repeat([space for space, _, _ in keys], n),
                "task": np.repeat([task for _, task, _ in keys], n),
                "family": np.repeat([families[space, task] for space, task, _ in keys], n),
                "method": np.repeat([method for _, _, method in keys], n),
                column: np.tile(at, len(keys)),
                "regret": np.concatenate([np.mean(of[key], axis=0) for key in keys]),
            }
        )

    trials = np.arange(1, plan.settings.n_trials + 1)
    over_seconds = frame(timed, "seconds", budgets) if timed and budgets is not None else None
    return frame(curves, "trial", trials), over_seconds


def _judgings(plan: Plan, modes: Sequence[Told]) -> Iterator[tuple[str, str, Told, _Judging]]:
    for space in plan.spaces:
        for table in space.tables:
            seconds = space.seconds.get(table.task)
            known = seconds is not None and bool(np.isfinite(seconds).all())
            for told in modes:
                losses, judge = table.loss, table.loss
                if told != "all":
                    assert space.halves is not None
                    even, odd = space.halves[table.task]
                    losses, judge = (even, odd) if told == "even" else (odd, even)
                yield (
                    space.name,
                    table.task,
                    told,
                    _Judging(losses, normalised_regret(judge), seconds if known else None),
                )


def _whole(unit: Unit, result: UnitResult) -> Iterator[History]:
    """Histories of a unit; where the method could not learn, those of searches that ended after the default."""
    if result.failure is None:
        yield from result.histories
        return
    for table, told in unit.searches:
        default = unit.defaults.get(table.task) if unit.default_first else None
        yield History(table.task, told, 0, () if default is None else (default,), 0.0, result.failure)


def _budgets(plan: Plan) -> Array | None:
    """Numbers of seconds, from what the quickest tasks need for a trial to what the slow ones need for all."""
    means = [
        float(np.mean(seconds))
        for space in plan.spaces
        for task, seconds in space.seconds.items()
        if len(seconds) and np.isfinite(seconds).all()
    ]
    if not means or max(means) <= 0:
        return None
    low, high = np.quantile(means, 0.1), plan.settings.n_trials * np.quantile(means, 0.9)
    grid = np.geomspace(max(low, 1e-3), max(high, 2e-3), N_BUDGETS)
    return np.unique([float(f"{value:.2g}") for value in grid])


def _costs(pairs: Sequence[tuple[Unit, UnitResult]]) -> pd.DataFrame:
    per_unit = pd.DataFrame(
        {
            "space": unit.space,
            "method": unit.method.name,
            "learn_seconds": result.learn_seconds,
            "suggest_milliseconds": 1000 * sum(h.seconds for h in result.histories)
            / max(1, sum(len(h.picks) for h in result.histories)),
        }
        for unit, result in pairs
    )  # fmt: skip
    return per_unit.groupby(["space", "method"], sort=False).mean().reset_index()


def _coverage(pairs: Sequence[tuple[Unit, UnitResult]]) -> pd.DataFrame | None:
    """What intervals cover on each task; None where no method has intervals of scores."""
    families = {(unit.space, table.task): table.family for unit, _ in pairs for table in unit.held_out}
    covered = [
        coverage_frame(result).assign(space=unit.space, method=unit.method.name)
        for unit, result in pairs
        if result.coverage
    ]
    if not covered:
        return None
    frame = pd.concat(covered, ignore_index=True)
    frame["family"] = [families[space, task] for space, task in zip(frame["space"], frame["task"], strict=True)]
    key = ["space", "task", "family", "method", "observations", "level"]
    mean = frame.groupby(key, sort=False)[["log_density", "coverage"]].mean().reset_index()  # over seeds
    return mean[["space", "task", "family", "method", "observations", "log_density", "level", "coverage"]]


def _against_default(plan: Plan, pairs: Sequence[tuple[Unit, UnitResult]]) -> pd.DataFrame | None:
    """First pick of each method against the library default; None where that cannot be told from what was recorded."""
    if not {f"folds.{plan.metric}", f"se.{plan.metric}"} & set(plan.md.trials.columns):
        return None
    errors = {space.name: plan.md.standard_errors(space.name, plan.metric) for space in plan.spaces
              if space.name in plan.md.spaces}  # fmt: skip
    tables: dict[tuple[str, str], TaskTable] = {
        (space.name, table.task): table for space in plan.spaces for table in space.tables
    }
    rows: list[dict[str, object]] = []
    for unit, result in pairs:
        if unit.space not in errors or unit.seed != plan.settings.random_state:
            continue
        for task, picks in result.first_picks.items():
            table = tables[unit.space, task]
            compared = compare_with_default(table.loss, errors[unit.space][task], picks[0], unit.defaults[task])
            about = {"space": unit.space, "task": task, "family": table.family, "method": unit.method.name}
            rows.append({**about, **asdict(compared)})
    return pd.DataFrame(rows) if rows else None


def _tasks(plan: Plan) -> pd.DataFrame:
    """One row a task that was replayed: what is known of it, and how unlike the others it is."""
    names = list(dict.fromkeys(table.task for space in plan.spaces for table in space.tables))
    known = plan.md.tasks.loc[names, [column for column in TASK_COLUMNS if column in plan.md.tasks]].copy()
    novelty: dict[str, float] = {}
    features = plan.md.meta_features
    if features is not None:
        described = [name for name in names if name in features.index]
        families = plan.md.tasks["family"]
        for name in described:
            others = features.loc[[t for t in features.index if families[t] != families[name]]]
            if len(others) > 1:
                familiarity = Familiarity.of(others)
                values = [float(value) for value in features.loc[name].to_numpy(np.float64).ravel()]
                novelty[name] = familiarity.novelty(dict(zip(map(str, features.columns), values, strict=True)))
    known["novelty"] = [novelty.get(name, np.nan) for name in names]
    return known.rename_axis("task").reset_index()
