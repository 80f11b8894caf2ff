"""`metahpo tune`: a search whose trials are printed as they end, and whose result is kept in a folder."""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from metahpo.exceptions import DataError, MissingDependencyError, StoreError, WarmStartWarning
from metahpo.processes import jobs

if TYPE_CHECKING:
    from metahpo.recommendation.recommender import Recommender
    from metahpo.search import MetaSearchCV
    from metahpo.tasks.task import Task, TaskKind
    from metahpo.trials.history import TrialHistory

#: Files of the folder: the trials, from which a search goes on, the result in words and numbers, and its page.
TRIALS, RESULT, PAGE = "trials.jsonl", "result.json", "search.html"
#: Clears the line of a terminal on which the search shows its progress; the search writes it again below.
OVERWRITE = "\r\x1b[2K"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the search to those of the data."""
    parser.add_argument("--trials", type=int, default=30, help="configurations to try (default: 30)")
    parser.add_argument("--folds", type=int, default=5, help="folds of the cross-validation of a trial (default: 5)")
    parser.add_argument("--cold", action="store_true", help="ignore experience, for comparison")
    parser.add_argument(
        "--per-second", action="store_true", help="count improvement per second of a trial, not per trial"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="seconds after which no other trial begins (default: no limit)"
    )
    parser.add_argument(
        "--trial-timeout",
        type=float,
        metavar="SECONDS",
        help="seconds that a trial may take; one that takes longer fails (default: no limit)",
    )
    parser.add_argument(
        "--patience", type=int, metavar="TRIALS", help="end after so many trials without a better one (default: never)"
    )
    parser.add_argument(
        "--engine",
        default="metahpo",
        help="what chooses the trials: metahpo, random, grid, population; with the extra `optuna` tpe, gp, cma-es or "
        "genetic; or one of another package (default: metahpo)",
    )
    parser.add_argument(
        "--test-size",
        type=float,
        metavar="SHARE",
        help="share of the rows that the search does not see, and that test the best pipeline (default: none)",
    )
    parser.add_argument("--jobs", type=jobs, default=-1, help="fits that run side by side (default: one a core)")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"keep trials, result, a page of both, and the fitted pipeline in this new folder: {TRIALS}, {RESULT}, "
        f"{PAGE}, pipeline.skops (pipeline.joblib where skops is not installed)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the trials in the folder of --out")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each trial and for the result")
    parser.add_argument("--random-state", type=int, default=0, help="seed of the search and of the folds (default: 0)")


def check(options: argparse.Namespace, kind: TaskKind | None = None) -> None:
    """Refuse at once what cannot work; with the kind of task, also a metric of the other kind.

    Raises
    ------
    UnknownNameError
        A metric that is no scorer, or none for the kind of task; no such engine.
    DataError
        Too few folds, no jobs, an `--out` that exists already or whose parent folder does not, a `--resume` without
        a folder, or an argument of the search that is out of range.
    """
    from metahpo.search import MetaSearchCV
    from metahpo.search.arguments import check_arguments
    from metahpo.tasks.scorers import check_scorer

    check_scorer(options.metric, kind)
    if options.folds < 2:
        raise DataError(f"--folds must be at least 2, but is {options.folds}.")
    check_arguments(MetaSearchCV(None, **_arguments(options)).get_params(deep=False))
    if options.out is None:
        if options.resume:
            raise DataError("--resume goes on from the trials of a folder; name it by --out.")
        return
    if options.out.exists() and not options.out.is_dir():
        raise DataError(f"--out must be a folder, but {str(options.out)!r} is a file; give another name.")
    if not options.out.parent.is_dir():
        raise DataError(f"--out lies in {str(options.out.parent)!r}, which is not a folder; make it first.")
    if options.out.exists() and any(options.out.iterdir()):
        if not options.resume:
            raise DataError(f"{str(options.out)!r} exists already; give --out another name, or go on with --resume.")
        if not (options.out / TRIALS).is_file():
            raise DataError(
                f"--resume goes on from {TRIALS}, but {str(options.out)!r} holds other files only; give --out the "
                "folder of a search, or a new one."
            )


def run(options: argparse.Namespace, task: Task, recommender: Recommender) -> None:
    """Search, and print and keep each trial; however it ends, the best so far is printed and kept.

    Raises
    ------
    DataError
        A metric that cannot score the target, such as one of two classes where there are three, or more folds than
        rows.
    StoreError
        The folder is of another search, or cannot be written to.
    """
    from sklearn.exceptions import ConvergenceWarning

    from metahpo.tasks.metric import DEFAULT_METRIC
    from metahpo.tasks.scorers import nearest_metric

    metric = options.metric or DEFAULT_METRIC[task.kind]
    _check_scored(metric, task)
    _check_folds(options.folds, task)
    named = list(dict.fromkeys(options.learner or []))
    if len(named) == 1:
        learner = named[0]
    else:
        nearest, _ = nearest_metric(metric, task.kind, recommender.trained_metrics(None))
        learner = recommender.recommend(task, named or None, metric=nearest).best_learner
    search = _search(options, task, recommender, learner, metric)
    out = _Output(search, learner, metric, options, task)
    search.callback = out.trial
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WarmStartWarning)  # they are printed as notes
            warnings.simplefilter("ignore", ConvergenceWarning)  # the score of the trial tells
            warnings.showwarning = _print_warning
            try:
                search.fit(task.X, task.y)
            except KeyboardInterrupt as interrupt:
                _refit(search, task)
                raise KeyboardInterrupt(_what_is_kept(options.out)) from interrupt
    finally:
        out.end()


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the search that the options give as they are."""
    return {
        "n_trials": options.trials,
        "n_jobs": options.jobs,
        "warm_start": not options.cold,
        "per_second": options.per_second,
        "random_state": options.random_state,
        "timeout": options.timeout,
        "trial_timeout": options.trial_timeout,
        "patience": options.patience,
        "engine": options.engine,
        "test_size": options.test_size,
    }


def _search(
    options: argparse.Namespace, task: Task, recommender: Recommender, learner: str, metric: str
) -> MetaSearchCV:
    from sklearn.model_selection import KFold, StratifiedKFold

    from metahpo.learners.registry import learner_named
    from metahpo.search import MetaSearchCV
    from metahpo.space.activity import default_configuration
    from metahpo.tasks.metric import scorer_of

    tuned = learner_named(learner, task.kind)
    splitter = StratifiedKFold if task.kind == "classification" else KFold
    if options.out is not None:
        try:
            options.out.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"--out {str(options.out)!r} cannot be made: {error}.") from error
    return MetaSearchCV(
        tuned.pipeline(default_configuration(tuned.space), task, options.random_state),
        learner,
        cv=splitter(options.folds, shuffle=True, random_state=options.random_state),
        scoring=scorer_of(metric),
        recommender=recommender,
        **_arguments(options),
        resume_from=None if options.out is None else options.out / TRIALS,
    )


def _refit(search: MetaSearchCV, task: Task) -> None:
    """Fit the best pipeline of a search that was interrupted; another Ctrl-C leaves it out."""
    from sklearn.base import clone

    if hasattr(search, "best_params_"):
        search.best_estimator_ = clone(search.estimator).set_params(**search.best_params_).fit(task.X, task.y)


@dataclass
class _Output:
    """What is printed of a search, and what is kept in its folder."""

    search: MetaSearchCV
    learner: str
    metric: str
    options: argparse.Namespace
    task: Task

    def trial(self, history: TrialHistory) -> None:
        """Print the latest trial; before the first one, what is searched, because only now nothing was refused."""
        from metahpo.space.configuration import in_words

        number = len(history)
        if number == 1 and not self.options.json:
            self._heading()
        score, seconds = -float(history.losses[-1]), float(history.seconds[-1])
        best = None if history.incumbent is None else -history.incumbent[1]
        configuration = history.configurations[-1]
        if self.options.json:
            self._print(
                json.dumps(
                    {
                        "trial": number,
                        "learner": self.learner,
                        "configuration": configuration,
                        "metric": self.metric,
                        "score": _finite(score),
                        "best": best,
                        "seconds": _finite(seconds),
                    }
                )
            )
            return
        told = f"{score:.4f}" if math.isfinite(score) else "failed"
        if self._table:
            so_far = "" if best is None else f"{best:.4f}"
            self._print(f"{OVERWRITE}{number:>6} {told:>10} {so_far:>10} {seconds:>8.1f}  {in_words(configuration)}")
        else:
            so_far = "" if best is None else f"best {best:.4f}, "
            self._print(f"trial {number}: {told} ({so_far}{seconds:.1f} s)  {in_words(configuration)}")

    def _heading(self) -> None:
        """Say what is searched, and what the user should know of the start."""
        from metahpo.recommendation.printed import task_in_words

        before = OVERWRITE if self._table else ""
        self._print(f"{before}{self.task.name}: {task_in_words(self.task)}")
        self._print(
            f"searching {self.learner} by {self.metric}, {self.options.trials} trials of {self.options.folds} folds"
        )
        for note in self._notes():
            self._print(f"note: {note}")
        if self._table:
            self._print(f"{'trial':>6} {'score':>10} {'best':>10} {'seconds':>8}  configuration")

    def end(self) -> None:
        """Print the best, and keep it."""
        if not hasattr(self.search, "best_score_"):
            return
        result = self._result()
        folder = self.options.out
        if folder is not None:
            if hasattr(self.search, "best_estimator_"):
                from metahpo.cli.saved_pipeline import save_pipeline

                best: Any = self.search.best_estimator_
                result["pipeline"] = save_pipeline(best.with_labels(self.task.classes), folder).name
            try:
                self.search.report(folder / PAGE)
                result["page"] = PAGE
            except MissingDependencyError as error:
                result["notes"].append(f"no page was written: {error}")
            try:
                (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            except OSError as error:
                raise StoreError(f"the result cannot be written to {str(folder / RESULT)!r}: {error}.") from error
        if self.options.json:
            self._print(json.dumps(result))
            return
        self._print(
            f"best {self.metric} of {self.learner}: {self.search.best_score_:.4f} with {self.search.best_params_}"
        )
        if "test_score" in result:
            self._print(f"{self.metric} on the rows held out: {result['test_score']:.4f}")
        if folder is not None and "pipeline" in result:
            path = folder / result["pipeline"]
            load = f"joblib.load({str(path)!r})"
            if path.suffix == ".skops":
                load = f"skops.io.load({str(path)!r}, trusted=skops.io.get_untrusted_types(file={str(path)!r}))"
            self._print(f"the fitted pipeline is {path}; {load} reads it")

    @property
    def _table(self) -> bool:
        return sys.stdout.isatty()

    def _notes(self) -> list[str]:
        """What the user should know of the data and of the start."""
        from metahpo.recommendation.task_description import notes_on_data

        return [*notes_on_data(self.task, self.options.random_state), *self.search.notes_]

    def _result(self) -> dict[str, Any]:
        from metahpo.space.configuration import json_value

        search = self.search
        result = {
            "learner": self.learner,
            "metric": self.metric,
            "best_score": float(search.best_score_),
            "best_params": json_value(search.best_params_),
            "n_trials": len(search.cv_results_["params"]),
            "n_failed": int((search.cv_results_["status"] == "failed").sum()),
            "notes": self._notes(),
        }
        if hasattr(search, "best_test_score_"):
            score: Any = search.best_test_score_
            result["test_score"] = float(score)
        return result

    def _print(self, line: str) -> None:
        print(line, flush=True)


def _what_is_kept(folder: Path | None) -> str:
    if folder is None:
        return "interrupted; the trials are not kept: --out keeps them in a folder"
    return f"interrupted; the same command with --resume goes on from {folder / TRIALS}"


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print what a warning says, without the line of code that it comes from, below the progress of a terminal."""
    before = OVERWRITE if sys.stderr.isatty() else ""
    print(f"{before}metahpo: warning: {message}", file=sys.stderr, flush=True)


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


def _check_folds(folds: int, task: Task) -> None:
    """Refuse more folds than there are rows, or rows of the largest class."""
    import numpy as np

    most = int(np.bincount(task.y).max()) if task.kind == "classification" else task.n_rows
    if most < 2:
        raise DataError(
            f"a search needs two rows at least{' of one of the classes' if task.kind == 'classification' else ''}, but "
            f"this table has {task.n_rows} rows; give a larger one."
        )
    if folds > most:
        where = "rows of the largest class" if task.kind == "classification" else "rows"
        raise DataError(f"--folds must be at most {most}, the number of {where}, but is {folds}.")


def _finite(number: float) -> float | None:
    """A number that JSON knows; None for one that it does not."""
    return number if math.isfinite(number) else None
