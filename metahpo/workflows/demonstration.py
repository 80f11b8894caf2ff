"""A demonstration on a few tables: recommendation against default, and warm-started against cold search."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import ENOUGH_TEST_ROWS, Protocol
from metahpo.learners.registry import learner_named
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.processes import check_n_jobs
from metahpo.recommendation.recommendations import Recommendations
from metahpo.recommendation.recommender import Recommender
from metahpo.space.configuration import in_words
from metahpo.tasks.metric import Metric, metric_named
from metahpo.tasks.task import Task

if TYPE_CHECKING:
    from metahpo.evaluation.canvas import ReportFigure

#: Trials at which the printed table is read.
MILESTONES = (1, 2, 3, 5, 10, 15, 25, 50)
#: Rows of a large table that are trained on. Others are tested on, instead of a cross-validation.
TRAIN_ROWS = 5000


@dataclass(frozen=True)
class Comparison:
    """One learner on one table; scores are on the metric's own scale, higher is better.

    Attributes
    ----------
    task : Task
    learner : str
    metric : Metric
    recommendations : Recommendations
    recommended, default : ndarray of shape (n_fits,)
        Scores of the first recommendation, and of the library's default configuration, on the same splits.
    warm, cold : ndarray of shape (n_trials,)
        Best mean score after each trial of the search that started from experience, and of the one that did not.
    """

    task: Task
    learner: str
    metric: Metric
    recommendations: Recommendations
    recommended: NDArray[np.float64]
    default: NDArray[np.float64]
    warm: NDArray[np.float64]
    cold: NDArray[np.float64]

    @property
    def gain(self) -> float:
        """Mean score of the first recommendation above that of the library default."""
        return float(np.mean(self.recommended - self.default))

    @property
    def finding(self) -> str:
        """One sentence on the gain and on when the warm search reached the final score of the cold one."""
        gain = round(self.gain, 4) + 0.0  # no -0.0000
        reached = np.flatnonzero(self.warm >= self.cold[-1])
        reaches = f"reaches in trial {reached[0] + 1}" if len(reached) else "does not reach"
        return (
            f"{self.task.name}, {self.learner}: the first recommendation scores {gain:+.4f} against the library "
            f"default; the warm-started search {reaches} the score of the cold one after {len(self.cold)} trials."
        )


@dataclass(frozen=True)
class Demonstration:
    """Result of :func:`demonstrate`. Print it, or save it as a picture and a page."""

    parts: tuple[Comparison, ...]

    def to_frame(self) -> pd.DataFrame:
        """Best score so far: columns table, learner, metric, search (warm, cold), trial (1 = the first), score."""
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "table": p.task.name,
                        "learner": p.learner,
                        "metric": p.metric.name,
                        "search": search,
                        "trial": np.arange(1, len(best) + 1),
                        "score": best,
                    }
                )
                for p in self.parts
                for search, best in (("warm", p.warm), ("cold", p.cold))
            ],
            ignore_index=True,
        )

    def comparison(self) -> pd.DataFrame:
        """Mean scores of recommendation and library default, the gain and its standard error: one row a part."""
        return pd.DataFrame(
            [
                {
                    "table": p.task.name,
                    "learner": p.learner,
                    "metric": p.metric.name,
                    "recommended": p.recommended.mean(),
                    "library default": p.default.mean(),
                    "gain": p.gain,
                    "standard error": (p.recommended - p.default).std(ddof=1) / np.sqrt(len(p.default)),
                }
                for p in self.parts
            ]
        )

    def best_so_far(self) -> pd.DataFrame:
        """The curves at some numbers of trials: one row a part and search."""
        frame = self.to_frame()
        at = frame[frame["trial"].isin([*MILESTONES, frame["trial"].max()])]
        keys = ["table", "learner", "search"]
        wide = at.pivot_table(index=keys, columns="trial", values="score")
        wide = wide.loc[pd.MultiIndex.from_frame(at[keys].drop_duplicates())]  # in the order of the parts
        return wide.rename(columns=lambda trial: f"@{trial}").rename_axis(columns=None).reset_index()

    def __str__(self) -> str:
        lines = [line for p in self.parts for line in (str(p.recommendations), "")]
        lines.append("Score of the first recommendation and of the library default, on rows held out:")
        lines.append(self.comparison().to_string(index=False, float_format=lambda v: f"{v:.4f}"))
        lines += ["", "Best score after n trials, started from experience (warm) and without (cold):"]
        lines.append(self.best_so_far().to_string(index=False, float_format=lambda v: f"{v:.4f}"))
        return "\n".join(lines)

    def figure(self) -> ReportFigure:
        """Best score over trials, warm against cold, one panel a table and learner.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from metahpo.evaluation.figures import search_figure

        return search_figure(self.to_frame())

    def save(self, folder: Path | str) -> list[Path]:
        """Write ``curves.png`` and ``index.html`` to a folder and return their paths.

        Raises
        ------
        MissingDependencyError
            jinja2 or matplotlib is not installed.
        """
        from metahpo.reports.page import Section, render

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = self.figure()
        drawn.save(folder / "curves.png")
        sections = [
            Section(drawn.title, [drawn.caption], drawn.svg(), self.best_so_far()),
            Section("The first recommendation against the library's default", [_COMPARISON], table=self.comparison()),
        ]
        for p in self.parts:
            near = ", ".join(f"{name} ({w:.0%})" for name, w in list(p.recommendations.nearest_tasks.items())[:5])
            table = p.recommendations.to_frame().drop(columns="configuration")
            table = table.assign(parameters=table["parameters"].map(in_words))
            title = f"Recommended for {p.learner} on {p.task.name}"
            sections.append(Section(title, [f"Leans on the tasks {near}."], table=table))
        tables = ", ".join(dict.fromkeys(p.task.name for p in self.parts))
        page = render(f"metahpo on {tables}", self.findings(), sections, "metahpo")
        (folder / "index.html").write_text(page, encoding="utf-8")
        return [folder / "curves.png", folder / "index.html"]

    def findings(self) -> list[str]:
        """One sentence for each table and learner: see :meth:`Comparison.finding`."""
        return [p.finding for p in self.parts]


def demonstrate(
    cases: Sequence[tuple[Task, str]],
    *,
    n_trials: int = 15,
    n_folds: int = 5,
    metric: str | None = None,
    recommender: Recommender | None = None,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Demonstration:
    """Recommend and search for learners on tables, with and without experience.

    Parameters
    ----------
    cases : sequence of (Task, str)
        A table and the name of a learner, each. If cases take different times, put the longest first.
    n_trials : int, default=15
        Trials of each search. The warm search begins with the first recommendation, and the cold one with the library
        default.
    n_folds : int, default=5
        Folds of the cross-validation that scores both. A table with 1,000 rows more than :data:`TRAIN_ROWS` is scored
        by two splits instead.
    metric : str, default=None
        scikit-learn scorer name; None takes balanced accuracy, or R2.
    recommender : Recommender, default=None
        None takes what ships with the package.
    random_state : int, default=0
        Seed of folds, learners and searches.
    n_jobs : int, default=None
        Cases that run at once, each in a process of its own. -1 takes all cores; None takes what joblib is configured
        to, which is one.
    """
    check_n_jobs(n_jobs)
    run = delayed(_compared)
    parts = Parallel(n_jobs=n_jobs)(
        run(task, learner, n_trials, n_folds, metric, recommender, random_state) for task, learner in cases
    )
    return Demonstration(tuple(parts))


def _compared(
    task: Task,
    learner_name: str,
    n_trials: int,
    n_folds: int,
    metric: str | None,
    recommender: Recommender | None,
    random_state: int,
) -> Comparison:
    recommender = recommender or Recommender.shipped(task.kind, learner=learner_name)
    judged_by = metric_named(metric, task.kind)
    learner = learner_named(learner_name, task.kind)
    protocol = Protocol(n_folds=n_folds)
    size = TRAIN_ROWS if task.n_rows >= TRAIN_ROWS + ENOUGH_TEST_ROWS else None
    measuring = Measuring(protocol.prepare(task), protocol, size)

    def searched(optimizer: BayesianOptimizer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores of the first trial in every fit, and the best mean score after each trial."""
        first: list[float] = []
        for _ in range(n_trials):
            configuration = optimizer.ask()
            losses = measuring.measure(learner, configuration, random_state).fold_losses[judged_by.name]
            first = first or losses
            optimizer.tell(configuration, float(np.mean(losses)))
        return judged_by.scores(first), judged_by.scores(list(optimizer.history.best_so_far()))

    # On such small data, threads take more time than they save.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the score of the trial is enough
        recommendations = recommender.recommend(task, learner_name, metric=judged_by.name)
        warm_start = recommender.warm_start(task, learner_name, judged_by.name)
        recommended, warm = searched(warm_start.optimizer(random_state))
        default, cold = searched(BayesianOptimizer(learner.space, random_state=random_state))
    return Comparison(task, learner_name, judged_by, recommendations, recommended, default, warm, cold)


_COMPARISON = (
    "Mean scores on rows that were held out, by cross-validation or, for a large table, by two splits. The standard "
    "error is that of the gain over those fits. The recommendation was made before anything was trained on the table."
)
