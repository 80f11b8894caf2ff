"""What experience is worth on one dataset: recommendation against library default, warm-started against cold search."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from metahpo.building.measurement import Measuring
from metahpo.building.protocol import Protocol
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommendations import Recommendations, in_words
from metahpo.recommendation.recommender import Recommender
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import Configuration
from metahpo.tasks.metric import Metric, metric_named
from metahpo.tasks.task import Task

if TYPE_CHECKING:
    from metahpo.evaluation.canvas import ReportFigure

#: Trials at which the printed table is read.
MILESTONES = (1, 2, 3, 5, 10, 15, 25, 50)


@dataclass(frozen=True)
class LearnerDemonstration:
    """One learner on the dataset; scores are on the metric's own scale, higher is better.

    Attributes
    ----------
    learner : str
    recommendations : Recommendations
    recommended, default : ndarray of shape (n_folds,)
        Cross-validated scores of the first recommendation, and of the library's default configuration.
    warm, cold : ndarray of shape (n_trials,)
        Best mean score after each trial of the search that started from experience, and of the one that did not.
    """

    learner: str
    recommendations: Recommendations
    recommended: NDArray[np.float64]
    default: NDArray[np.float64]
    warm: NDArray[np.float64]
    cold: NDArray[np.float64]


@dataclass(frozen=True)
class Demonstration:
    """What :func:`demonstrate` found; print it, or save it as a picture and a page."""

    task: Task
    metric: Metric
    parts: tuple[LearnerDemonstration, ...]

    def to_frame(self) -> pd.DataFrame:
        """Best score so far: columns learner, search (warm, cold), trial (1 = the first), score."""
        return pd.concat(
            [
                pd.DataFrame(
                    {"learner": p.learner, "search": search, "trial": np.arange(1, len(best) + 1), "score": best}
                )
                for p in self.parts
                for search, best in (("warm", p.warm), ("cold", p.cold))
            ],
            ignore_index=True,
        )

    def comparison(self) -> pd.DataFrame:
        """Mean score and its standard error, of recommendation and library default: one row a learner."""
        return pd.DataFrame(
            [
                {
                    "learner": p.learner,
                    "recommended": p.recommended.mean(),
                    "library default": p.default.mean(),
                    "gain": p.recommended.mean() - p.default.mean(),
                    "standard error": p.default.std(ddof=1) / np.sqrt(len(p.default)),
                }
                for p in self.parts
            ]
        )

    def best_so_far(self) -> pd.DataFrame:
        """The curves at some numbers of trials: one row a learner and search."""
        frame = self.to_frame()
        at = frame[frame["trial"].isin([*MILESTONES, frame["trial"].max()])]
        wide = at.pivot_table(index=["learner", "search"], columns="trial", values="score", sort=False)
        return wide.rename(columns=lambda trial: f"@{trial}").rename_axis(columns=None).reset_index()

    def __str__(self) -> str:
        task, kind = self.task, f"{len(self.task.classes)} classes" if self.task.classes else "regression"
        lines = [f"{task.name}: {task.n_rows} rows, {task.X.shape[1]} columns, {kind}; score: {self.metric.name}"]
        for p in self.parts:
            lines += ["", str(p.recommendations)]
        lines += ["", "Cross-validated score of the first recommendation and of the library default:"]
        lines.append(self.comparison().to_string(index=False, float_format=lambda v: f"{v:.4f}"))
        lines += ["", "Best cross-validated score after n trials, started from experience (warm) and without (cold):"]
        lines.append(self.best_so_far().to_string(index=False, float_format=lambda v: f"{v:.4f}"))
        return "\n".join(lines)

    def figure(self) -> ReportFigure:
        """Best score over trials, warm against cold, one panel a learner.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from metahpo.evaluation.figures import search_figure

        return search_figure(self.to_frame(), self.task.name, self.metric.name)

    def save(self, folder: Path | str) -> list[Path]:
        """Write ``curves.png`` and ``index.html`` to a folder and return their paths.

        Raises
        ------
        MissingDependencyError
            jinja2 or matplotlib is not installed.
        """
        from metahpo.evaluation.report import Section, render

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
            table = p.recommendations.to_frame().assign(configuration=lambda f: f["configuration"].map(in_words))
            sections.append(Section(f"Recommended for {p.learner}", [f"Leans on the tasks {near}."], table=table))
        page = render(f"metahpo on {self.task.name}", self.findings(), sections, "metahpo")
        (folder / "index.html").write_text(page, encoding="utf-8")
        return [folder / "curves.png", folder / "index.html"]

    def findings(self) -> list[str]:
        """One sentence a learner: what was gained, and when the warm search was where the cold one ended."""
        sentences = []
        for p in self.parts:
            gain = round(float(p.recommended.mean() - p.default.mean()), 4) + 0.0  # no -0.0000
            reached = np.flatnonzero(p.warm >= p.cold[-1])
            when = f"after {reached[0] + 1} trial(s)" if len(reached) else "not"
            sentences.append(
                f"{p.learner}: the first recommendation scores {gain:+.4f} against the library default; the "
                f"warm-started search is {when} where the cold one is after {len(p.cold)}."
            )
        return sentences


def demonstrate(
    task: Task,
    learners: Sequence[str],
    *,
    n_trials: int = 15,
    n_folds: int = 5,
    metric: str | None = None,
    recommender: Recommender | None = None,
    random_state: int = 0,
) -> Demonstration:
    """Recommend, cross-validate and search on one dataset, with and without experience.

    Parameters
    ----------
    task : Task
    learners : sequence of str
    n_trials : int, default=15
        Trials of each search; the cold one begins with the library default.
    n_folds : int, default=5
        Folds of the cross-validation that both are scored by.
    metric : str, default=None
        scikit-learn scorer name; None takes balanced accuracy, or R2.
    recommender : Recommender, default=None
        None takes what ships with the package.
    random_state : int, default=0
        Seed of folds, learners and searches.
    """
    recommender = recommender or Recommender.shipped(task.kind)
    judged_by = metric_named(metric, task.kind)
    protocol = Protocol(n_folds=n_folds)
    measuring = Measuring(protocol.prepare(task), protocol)

    def losses_of(learner: Learner, configuration: Configuration) -> list[float]:
        return measuring.measure(learner, configuration, random_state).fold_losses[judged_by.name]

    parts = []
    # On data this small, threads that wait for each other cost more than they give.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the score of the trial tells
        for name in learners:
            learner = learner_named(name, task.kind)
            warm = recommender.warm_start(task, name, judged_by.name)
            cold = BayesianOptimizer(learner.space, random_state=random_state)
            parts.append(
                LearnerDemonstration(
                    name,
                    recommender.recommend(task, name, metric=judged_by.name),
                    judged_by.scores(losses_of(learner, warm.initial[0])),
                    judged_by.scores(losses_of(learner, default_configuration(learner.space))),
                    judged_by.scores(_search(partial(losses_of, learner), warm.optimizer(random_state), n_trials)),
                    judged_by.scores(_search(partial(losses_of, learner), cold, n_trials)),
                )
            )
    return Demonstration(task, judged_by, tuple(parts))


def _search(
    losses_of: Callable[[Configuration], Sequence[float]], optimizer: BayesianOptimizer, n_trials: int
) -> list[float]:
    """Mean loss of the incumbent after each trial."""
    for _ in range(n_trials):
        configuration = optimizer.ask()
        optimizer.tell(configuration, float(np.mean(losses_of(configuration))))
    return list(optimizer.history.best_so_far())


_COMPARISON = (
    "Mean cross-validated scores; the standard error is that of the default's mean over the folds. The recommendation "
    "was made before anything was trained on this dataset."
)
