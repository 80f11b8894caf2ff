"""An evaluation in words: how it was made, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from metahpo.evaluation.baselines.baseline import label_of
from metahpo.evaluation.regret import ALL_SPACES, last_telling_trial, trials_to_match
from metahpo.evaluation.settings import EvaluationSettings

PROTOCOL = (
    "Tasks of one origin form a family. Families are divided into folds; each fold is held out once, while every "
    "method learns from the recorded trials of the other folds. On a held-out task a method picks one recorded "
    "configuration after the other and sees nothing but the task's meta-features and the losses of its own picks. A "
    "failed trial counts as a trial and as the worst value. Normalised regret of a configuration: (its loss - best) / "
    "(worst - best) over the task's recorded configurations; 0 is the best. Methods that pick at random are replayed "
    "several times and averaged. Standard errors and tests are over families, because tasks of one family are not "
    "independent."
)
AGAINST_DEFAULT = (
    "Tasks on which the first configuration tried is better than, equal to, or worse than the library's default; "
    "equal means within one standard error of the default's cross-validated loss."
)
CALIBRATION = (
    "Share of configurations whose score (rank within the task) the predicted central 50, 80 and 95 % intervals hold; "
    "mean over held-out tasks, after 0, 5 and 20 other configurations of the task, drawn at random, were observed. "
    "Intervals that hold more than they promise are too cautious, those that hold less are too sure. The log "
    "density of these scores (higher is better) rises with what is known of a task; it is -1.419 where nothing is. "
    "Only methods that predict scores have either."
)
COST = "Seconds to learn from the training tasks of one fold, and milliseconds to suggest one configuration."


def in_words(settings: EvaluationSettings, n_replays: Mapping[str, int], regrets: pd.DataFrame) -> str:
    """Return a sentence for each setting, the replays of each task by each method, and the number of tasks."""
    counts = regrets.groupby("space", sort=False)[["task", "family"]].nunique()
    spaces = "; ".join(
        f"{space}: {n_tasks} tasks of {n_families} families"
        for space, n_tasks, n_families in counts.itertuples(name=None)
    )
    replays = ", ".join(f"{label_of(method)} {n}" for method, n in n_replays.items())
    honest = (
        " Honest regret: configurations are chosen by one half of a task's fits and judged by the other half, and "
        "the other way round."
    )
    folds = "One fold a family" if settings.n_folds == "family" else f"{settings.n_folds} folds"
    seeds = "" if settings.n_seeds == 1 else f"{settings.n_seeds} seeds, "
    first = " Every search begins with the library's default, where it was recorded; it counts as a trial."
    sample = f"This is {settings.sample}. " if settings.sample else ""
    return (
        f"{sample}{folds}, {seeds}{settings.n_trials} trials, random state {settings.random_state}, "
        f"metric {settings.metric}. "
        f"Replays of each task: {replays}. {spaces}.{first if settings.default_first else ''}"
        f"{honest if settings.honest else ''}"
    )


def findings(summary: pd.DataFrame, methods: Sequence[str], n_recorded: int | None = None) -> list[str]:
    """Regrets after the first, the fifth and the last trial, and how many trials the first method saves.

    Trials are counted up to the last number of them after which a comparison says something.

    Parameters
    ----------
    summary : DataFrame
        What :func:`~metahpo.evaluation.regret.mean_regret` returns.
    methods : sequence of str
    n_recorded : int, default=None
        Recorded configurations of a task; None: not known.
    """
    scope = ALL_SPACES if ALL_SPACES in set(summary["space"]) else str(summary["space"].iloc[0])
    at = summary[summary["space"] == scope].set_index(["trial", "method"])["regret"]
    last = int(summary["trial"].max())
    sentences = []
    for trial in dict.fromkeys([1, min(5, last), last]):
        values = ", ".join(f"{label_of(method)} {at[trial, method]:.3f}" for method in methods)
        sentences.append(f"Mean normalised regret after {trial} trial{'s' if trial > 1 else ''}: {values}.")
    compared = last_telling_trial(summary, n_recorded)
    if len(methods) == 1:
        return sentences
    if compared is None:
        return [*sentences, why_not_all_trials(last, None, n_recorded)]
    saved = []
    for baseline in methods[1:]:
        counts = trials_to_match(summary, baseline, compared).set_index(["space", "method"])["trials"]
        matched = counts[scope, methods[0]]
        if not pd.isna(matched) and matched < compared:
            trials = f"{matched} trial{'s' if matched > 1 else ''}"
            saved.append(
                f"{label_of(methods[0])} needs {trials} to be as good as {label_of(baseline)} after {compared}."
            )
    if saved and compared < last:
        saved.append(why_not_all_trials(last, compared, n_recorded))
    return [*sentences, *saved]


def why_not_all_trials(last: int, compared: int | None, n_recorded: int | None) -> str:
    """Why methods are compared before their last trial, or not at all (`compared` is None)."""
    if compared is None:
        few = "" if n_recorded is None else f", up to half of the {n_recorded} recorded configurations of a task"
        return f"How many trials a method saves cannot be told: all methods have the same regret{few}."
    if n_recorded is not None and n_recorded < 2 * last:
        return (
            f"The comparison ends after {compared} of {last} trials, because a task has {n_recorded} recorded "
            "configurations: when more than half of them are tried, all methods become alike."
        )
    return f"The comparison ends after {compared} of {last} trials: after more trials all methods have the same regret."


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Names as a reader sees them; without the column of spaces where there is one space."""
    names = {column: table[column].map(label_of) for column in ("space", "method", "against") if column in table}
    table = table.assign(**names).rename(columns=label_of)
    return table.drop(columns="space") if "space" in table and table["space"].nunique() == 1 else table
