"""The page of one search: its history, what the best trials have in common, and what it gained on the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import NumericalHyperparameter
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from metahpo.exceptions import DataError
from metahpo.numerics.copula import normal_scores
from metahpo.reports.charts import Chart, Line, interval_chart, line_chart, parallel_chart
from metahpo.reports.page import Section, check_page, render
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import in_words
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.values import choices_of
from metahpo.surrogates.explanation import explain
from metahpo.trials.history import TrialHistory

#: Fewest trials from which the importance of hyperparameters is told; effects listed, and the smallest share of one.
MIN_TRIALS, EFFECTS, SMALLEST = 10, 8, 0.005
#: Source tasks shown, at most, of those with the largest shares.
SOURCES = 10
#: Share of the trials that is drawn as the best ones.
GOOD = 0.2


class Searched(Protocol):
    """An optimiser after its trials, such as :class:`metahpo.optimization.optimizer.BayesianOptimizer`.

    Where its attribute ``space`` is a ConfigurationSpace, the page tells of hyperparameters as well.
    """

    @property
    def history(self) -> TrialHistory:
        """Its trials; losses are scores times -1."""


@runtime_checkable
class FromExperience(Protocol):
    """An optimiser that tells what recorded tasks contributed."""

    def task_weights(self, n_trials: int | None = None) -> dict[str, float]:
        """Share of each source task in the prediction, largest first; empty where there is no experience."""
        ...


def write_search_page(search: Any, path: Path | str) -> None:
    """Write the page of a fitted search as one HTML file that needs no network.

    Parameters
    ----------
    search : MetaSearchCV, or an object with `optimizer_`
        Fitted. Of its attributes, ``notes_``, ``scoring``, ``warm_start`` and ``best_params_`` are told, where they are
        there.
    path : path

    Raises
    ------
    DataError
        The search has made no trial, or the path is a folder, or lies in none that can be written.
    MissingDependencyError
        jinja2 is not installed.
    """
    optimizer: Searched | None = getattr(search, "optimizer_", None)
    if optimizer is None or not len(optimizer.history):
        raise DataError("a page shows the trials of a search, but this one has made none; call fit first.")
    check_page(path)
    page = render(
        "One search of hyperparameters", summary(search, optimizer), sections(search, optimizer),
        f"metahpo {version('metahpo')}",
    )  # fmt: skip
    Path(path).write_text(page, encoding="utf-8")


def summary(search: Any, optimizer: Searched) -> list[str]:
    """Three sentences: what was found, when, and what it is against the default."""
    scores = _scores(optimizer.history)
    failed = int(np.isnan(optimizer.history.losses).sum())
    if not np.isfinite(scores).any():
        return [
            f"None of {len(scores)} trials succeeded.",
            "There is no best configuration.",
            "Nothing can be compared.",
        ]
    best = int(np.nanargmax(scores))
    told = [
        f"The best of {len(scores)} trials has a score of {scores[best]:.4f}"
        + (f"; {failed} trials failed." if failed else "."),
        f"It was trial {best + 1}; the first trial had {_score(scores[0])}, " + _first_in_words(search),
    ]
    default = _default_trial(optimizer)
    if default is None:
        told.append("The library's default was not among the trials, so that the gain on it is not known.")
    elif not np.isfinite(scores[default]):
        told.append(f"The library's default, trial {default + 1}, failed.")
    elif not scores[best] > scores[default]:
        told.append(f"No trial is better than the library's default, trial {default + 1}.")
    else:
        gain = scores[best] - scores[default]
        told.append(f"That is {gain:.4f} more than the library's default, trial {default + 1}, has.")
    return told


def sections(search: Any, optimizer: Searched) -> list[Section]:
    """Sections of the page."""
    history = optimizer.history
    made = [_history(history), _incumbents(optimizer)]
    importance = _importance(optimizer)
    if importance is not None:
        made.append(importance)
    made.append(_all_trials(optimizer))
    notes = [str(note) for note in getattr(search, "notes_", ())]
    experience = (
        "The search started from experience: the first trials are configurations that were good on recorded tasks that "
        "look like this one."
        if _warm(search)
        else "The search started without experience: the first trials are spread over the space."
    )
    made.append(Section("What experience contributed", [experience, *notes], table=_contribution(optimizer)))
    sources = _source_tasks(optimizer)
    return made if sources is None else [*made, sources]


def _history(history: TrialHistory) -> Section:
    scores = -history.losses
    trials = np.arange(1, len(scores) + 1, dtype=np.float64)
    so_far = -history.best_so_far()
    shown = np.isfinite(so_far)
    charts: dict[str, Chart] = {}
    if shown.any():
        lines = [Line("best so far", trials[shown], so_far[shown])]
        own = np.isfinite(scores)
        lines.append(Line("each trial", trials[own], scores[own]))
        charts["Score over trials; higher is better"] = line_chart(
            lines, "Score over trials", "trials", "score", log_x=False, log_y=False
        )
    table = pd.DataFrame({"trial": trials.astype(int), "score": scores, "best_so_far": np.where(shown, so_far, np.nan)})
    if np.isfinite(history.seconds).any():
        table["seconds"] = history.seconds
    return Section("History", charts=charts, table=table, folded=True)


def _incumbents(optimizer: Searched) -> Section:
    """The trials that were the best of all before them."""
    scores = _scores(optimizer.history)
    rows, best = [], -np.inf
    for i, score in enumerate(scores):
        if np.isfinite(score) and score > best:
            best = float(score)
            rows.append(
                {"trial": i + 1, "score": score, "configuration": in_words(optimizer.history.configurations[i])}
            )
    return Section("Incumbents", ["Each trial that was better than all before it."], table=pd.DataFrame(rows))


def _importance(optimizer: Searched) -> Section | None:
    losses, space = optimizer.history.losses, _space(optimizer)
    if space is None or np.isfinite(losses).sum() < MIN_TRIALS or len(np.unique(losses[np.isfinite(losses)])) < 3:
        return None
    rows = SpaceEncoder(space).encode(optimizer.history.configurations)
    forest = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0, n_jobs=1).fit(rows, normal_scores(losses))
    told = explain(forest.predict, space, {}, {})
    effects = [effect for effect in told.effects if effect.share >= SMALLEST][:EFFECTS]
    if not effects:
        return None
    table = pd.DataFrame(
        {"hyperparameters": [" x ".join(e.hyperparameters) for e in effects], "share": [e.share for e in effects]}
    )
    nothing = np.full(len(table), np.nan)
    chart = interval_chart(
        table["hyperparameters"].tolist(), table["share"].to_numpy(), nothing, nothing, "Importance",
        "share of variance",
    )  # fmt: skip
    text = (
        "Share of the variance of scores that each hyperparameter, or a pair of them, explains, as far as these trials "
        "tell (functional analysis of variance of a forest). A search that stays in one place tells little of the rest."
    )
    return Section("Which hyperparameters matter", [text], charts={"Importance": chart}, table=table)


def _all_trials(optimizer: Searched) -> Section:
    names, values = _places(optimizer)
    losses = -np.nan_to_num(_scores(optimizer.history), nan=-np.inf)
    good = np.zeros(len(losses), dtype=bool)
    good[np.argsort(losses, kind="stable")[: max(1, round(GOOD * len(losses)))]] = True
    charts = {}
    if names:
        labels = _axes(optimizer, names)
        chart = parallel_chart(labels, values, good, "Configurations tried", f"the best {GOOD:.0%}".replace("%", " %"))
        charts["Each line is a trial; an axis goes from left to right through the values that are named"] = chart
    frame = pd.DataFrame(optimizer.history.configurations)
    frame.insert(0, "score", -optimizer.history.losses)
    frame.insert(0, "trial", np.arange(1, len(frame) + 1))
    return Section("All trials", charts=charts, table=frame, folded=True)


def _axes(optimizer: Searched, names: Sequence[str]) -> list[str]:
    """Each hyperparameter with its range or its choices, in the order of its axis."""
    space = _space(optimizer)
    labels: list[str] = []
    if space is None:
        return labels
    for name in names:
        known = space[name]
        if isinstance(known, NumericalHyperparameter):
            labels.append(f"{name}: {known.lower:g} to {known.upper:g}" + (", log scale" if known.log else ""))
        else:
            labels.append(f"{name}: {', '.join(str(choice) for choice in choices_of(known)[0])}")
    return labels


def _places(optimizer: Searched) -> tuple[list[str], NDArray[np.float64]]:
    """Hyperparameters, and the trials as rows in the unit cube; NaN where one is not active."""
    space, configurations = _space(optimizer), optimizer.history.configurations
    if space is None:
        return [], np.zeros((len(configurations), 0))
    encoder, names = SpaceEncoder(space), list(space)
    rows = encoder.encode(configurations)
    values = np.full((len(rows), len(names)), np.nan)
    for j, name in enumerate(names):
        columns = rows[:, encoder.columns_of(name)]
        width = columns.shape[1]
        if width:
            place = columns[:, 0] if width == 1 else columns.argmax(axis=1) / (width - 1)
            values[:, j] = np.where([name in c for c in configurations], place, np.nan)
    return names, values


def _contribution(optimizer: Searched) -> pd.DataFrame:
    scores, so_far = _scores(optimizer.history), -optimizer.history.best_so_far()
    default = _default_trial(optimizer)
    rows = [
        ("first trial", scores[0]),
        ("best of the first five", so_far[min(4, len(so_far) - 1)]),
        ("best", so_far[-1]),
    ]
    if default is not None:
        rows.insert(0, ("library default", scores[default]))
    table = pd.DataFrame(rows, columns=["what", "score"])
    table["score"] = table["score"].where(np.isfinite(table["score"]))
    return table


def _source_tasks(optimizer: Searched) -> Section | None:
    """What each source task contributed, before the first trial and after the last; None without experience."""
    if not isinstance(optimizer, FromExperience):
        return None
    weights, before = optimizer.task_weights(), optimizer.task_weights(0)
    if not weights:
        return None
    shown = list(dict.fromkeys([*list(weights)[:SOURCES], *list(before)[:SOURCES]]))
    shown.sort(key=lambda task: -weights[task])
    table = pd.DataFrame({"task": shown, "before": [before[t] for t in shown], "after": [weights[t] for t in shown]})
    charts = {}
    nothing = np.full(len(shown), np.nan)
    for column, caption in (("before", "Before the first trial"), ("after", "After the last trial")):
        charts[caption] = interval_chart(
            shown, table[column].to_numpy(np.float64), nothing, nothing, caption, "share in the prediction"
        )
    text = (
        "The share of each recorded task in the prediction. Before the first trial the meta-features decide; after the "
        f"last, the trials do as well. The {SOURCES} largest of both are shown, of {len(weights)} tasks. All shares "
        f"sum to {sum(before.values()):.2f} before and {sum(weights.values()):.2f} after; what lacks to 1 is not from "
        "recorded tasks."
    )
    return Section("Which recorded tasks say so", [text], charts=charts, table=table, folded=True)


def _default_trial(optimizer: Searched) -> int | None:
    space = _space(optimizer)
    if space is None:
        return None
    default = default_configuration(space)
    tried = [dict(configuration) for configuration in optimizer.history.configurations]
    return tried.index(default) if default in tried else None


def _space(optimizer: Searched) -> ConfigurationSpace | None:
    """Search space; None where the optimiser has another sort."""
    space = getattr(optimizer, "space", None)
    return space if isinstance(space, ConfigurationSpace) and len(space) else None


def _scores(history: TrialHistory) -> NDArray[np.float64]:
    """Scores of the trials that can be the best one, shape (n,); NaN for failed and partial ones."""
    return np.where(history.whole & history.feasible, -history.losses, np.nan)


def _warm(search: Any) -> bool:
    notes = " ".join(str(note) for note in getattr(search, "notes_", ()))
    return bool(getattr(search, "warm_start", False)) and "starts cold" not in notes


def _first_in_words(search: Any) -> str:
    """Where the first trial came from."""
    if not _warm(search):
        return "without experience."
    given = getattr(search, "space", None)
    spaces = given if isinstance(given, list | tuple) else [given]
    own = getattr(search, "param_distributions", None) or any(isinstance(space, Mapping) for space in spaces)
    return "the default of the space." if own else "which experience had proposed."


def _score(score: float) -> str:
    return f"{score:.4f}" if np.isfinite(score) else "none, because it failed"
