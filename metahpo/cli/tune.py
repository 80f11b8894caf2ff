"""`metahpo tune`: a search whose trials are printed and saved as they end."""

from __future__ import annotations

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from metahpo.exceptions import DataError, StoreError, WarmStartWarning

if TYPE_CHECKING:
    from metahpo.recommendation.recommender import Recommender
    from metahpo.search import MetaSearchCV
    from metahpo.tasks.task import Task, TaskKind
    from metahpo.trials.history import TrialHistory


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the search to those of the data."""
    parser.add_argument("--trials", type=int, default=30, help="default: 30")
    parser.add_argument("--folds", type=int, default=5, help="default: 5")
    parser.add_argument("--cold", action="store_true", help="ignore experience, for comparison")
    parser.add_argument(
        "--per-second", action="store_true", help="count improvement per second of a trial, not per trial"
    )
    parser.add_argument("--timeout", type=float, help="seconds after which no other trial begins (default: no limit)")
    parser.add_argument(
        "--trial-timeout",
        type=float,
        help="seconds that a trial may take; one that takes longer fails (default: no limit)",
    )
    parser.add_argument("--out", type=Path, help="write each trial to this new file as it ends, one JSON line a trial")
    parser.add_argument("--random-state", type=int, default=0)


def check(options: argparse.Namespace, kind: TaskKind | None = None) -> None:
    """Refuse at once what cannot work; with the kind of task, also a metric of the other kind.

    Raises
    ------
    UnknownNameError
        A metric that is no scorer, or none for the kind of task.
    DataError
        Too few folds, or an `--out` that exists already or whose folder does not.
    """
    from metahpo.tasks.scorers import check_scorer

    check_scorer(options.metric, kind)
    if options.folds < 2:
        raise DataError(f"--folds must be at least 2, but is {options.folds}.")
    if options.out is not None:
        if options.out.exists():
            raise DataError(f"{str(options.out)!r} exists already; give --out another name.")
        if not options.out.parent.is_dir():
            raise DataError(f"--out lies in {str(options.out.parent)!r}, which is not a folder; make it first.")


def run(options: argparse.Namespace, task: Task, recommender: Recommender) -> None:
    """Search, and print and save each trial; however it ends, the best so far is printed.

    Raises
    ------
    DataError
        A metric that cannot score the target, such as one of two classes where there are three.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, StratifiedKFold

    from metahpo.learners.registry import learner_named
    from metahpo.search import MetaSearchCV
    from metahpo.space.activity import default_configuration
    from metahpo.tasks.metric import DEFAULT_METRIC, scorer_of
    from metahpo.tasks.scorers import nearest_metric

    metric = options.metric or DEFAULT_METRIC[task.kind]
    _check_scored(metric, task)
    learner = options.learner
    if learner is None:
        nearest, _ = nearest_metric(metric, task.kind, recommender.trained_metrics(None))
        learner = recommender.recommend(task, metric=nearest).best_learner
    tuned = learner_named(learner, task.kind)
    splitter = StratifiedKFold if task.kind == "classification" else KFold
    search = MetaSearchCV(
        tuned.pipeline(default_configuration(tuned.space), task, options.random_state),
        learner,
        n_trials=options.trials,
        cv=splitter(options.folds, shuffle=True, random_state=options.random_state),
        scoring=scorer_of(metric),
        n_jobs=-1,
        warm_start=not options.cold,
        per_second=options.per_second,
        recommender=recommender,
        random_state=options.random_state,
        timeout=options.timeout,
        trial_timeout=options.trial_timeout,
    )
    search.callback = lambda history: _tell(search, history, learner, metric, options.out)
    print(f"searching {learner} by {metric}, {options.trials} trials of {options.folds} folds", flush=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WarmStartWarning)  # they are printed as notes
            warnings.simplefilter("ignore", ConvergenceWarning)  # the score of the trial tells
            search.fit(task.X, task.y)
    finally:
        if hasattr(search, "best_score_"):
            print(f"best {metric} of {learner}: {search.best_score_:.4f} with {search.best_params_}", flush=True)


def _check_scored(metric: str, task: Task) -> None:
    """Score a model that knows nothing, which shows at once whether the metric is for such a target."""
    import numpy as np
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.metrics import get_scorer

    from metahpo.tasks.metric import scorer_of

    nothing = np.zeros((task.n_rows, 1))
    model = DummyClassifier() if task.kind == "classification" else DummyRegressor()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the score itself does not matter
            get_scorer(scorer_of(metric))(model.fit(nothing, task.y), nothing, task.y)
    except ValueError as error:
        raise DataError(f"{metric!r} cannot score this table: {error} Give another --metric.") from error


def _tell(search: MetaSearchCV, history: TrialHistory, learner: str, metric: str, out: Path | None) -> None:
    """Print the latest trial and append it to a file."""
    from metahpo.recommendation.printed import in_words

    if len(history) == 1:
        for note in search.notes_:
            print(f"note: {note}")
    configuration, score, seconds = history.configurations[-1], -history.losses[-1], history.seconds[-1]
    told = f"{score:.4f}" if math.isfinite(score) else "failed"
    best = f"best {-history.incumbent[1]:.4f}, " if history.incumbent is not None else ""
    print(f"trial {len(history)}: {told} ({best}{seconds:.1f} s)  {in_words(configuration)}", flush=True)
    if out is None:
        return
    line = {
        "trial": len(history),
        "learner": learner,
        "configuration": configuration,
        "metric": metric,
        "score": float(score) if math.isfinite(score) else None,
        "seconds": float(seconds),
    }
    try:
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise StoreError(f"the trial cannot be written to {str(out)!r}: {error}.") from error
