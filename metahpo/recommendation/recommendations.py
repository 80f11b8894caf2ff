"""Recommendations: configurations, expectations, and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator

from metahpo.exceptions import DataError
from metahpo.learners.place import Place
from metahpo.learners.registry import learner_named
from metahpo.recommendation.basis import Basis
from metahpo.recommendation.json_form import recommendations_from_json, recommendations_to_json
from metahpo.recommendation.narrow_space import narrowed_space
from metahpo.recommendation.printed import in_html, in_lines
from metahpo.recommendation.probes import Probe
from metahpo.recommendation.recommendation import Recommendation as Recommendation
from metahpo.recommendation.worth import Worth
from metahpo.space.configuration import Configuration
from metahpo.surrogates.explanation import Explanation
from metahpo.tasks.task import Task, TaskKind

if TYPE_CHECKING:
    from metahpo.recommendation.figure import Figure


@dataclass(frozen=True)
class Recommendations:
    """Recommended configurations for a task, best first.

    Attributes
    ----------
    items : tuple of Recommendation
    metric : str
        Metric that the recommendation is for (scikit-learn scorer name).
    nearest_tasks : dict of str to float
        Recorded tasks that the recommendation leans on, most first -> share.
    novelty : float
        In [0, 1]: share of the recorded tasks that are more familiar than this one; NaN where it is not known.
    timings : dict of str to float
        Seconds of each step.
    notes : tuple of str
        What the user should know: treatments of the data, unfamiliar data, a dataset that was tuned already.
    task : Task or None
        The dataset, as it was understood; None where the recommendations were read by :meth:`from_json`.
    meta_features : dict of str to float
        Of the task.
    kind : {"classification", "regression"}
        Of the task.
    about : str
        The task in words.
    worth : Worth or None
        What recommendations were worth on recorded tasks of such a novelty; None where that is not known.
    place : Place or None
        Where the learner lies in the user's own estimator; None where none was given.
    own_estimator : estimator or None
        That estimator.
    basis : Basis or None
        What the answer was made of; None like `task`.
    probes : tuple of Probe
        Fits on few rows that were made for the answer, in the order in which they ended.
    read_parameters : tuple of dict
        Parameters of each recommendation where they were read by :meth:`from_json`; else empty.
    """

    items: tuple[Recommendation, ...]
    metric: str
    nearest_tasks: Mapping[str, float]
    novelty: float
    timings: Mapping[str, float]
    notes: tuple[str, ...]
    task: Task | None = field(repr=False)
    meta_features: Mapping[str, float] = field(repr=False)
    kind: TaskKind = "classification"
    about: str = ""
    worth: Worth | None = None
    place: Place | None = field(default=None, repr=False)
    own_estimator: BaseEstimator | None = field(default=None, repr=False)
    basis: Basis | None = field(default=None, repr=False)
    probes: tuple[Probe, ...] = field(default=(), repr=False)
    read_parameters: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Recommendation:
        try:
            return self.items[index]
        except IndexError as error:  # not another one: it ends an iteration, too
            raise IndexError(f"there are {len(self)} recommendations, from 0 on, but the index is {index}.") from error

    @property
    def best(self) -> dict[str, Any]:
        """Parameters of the first recommendation: ``estimator.set_params(**recommendations.best)``."""
        return self.parameters(0)

    @property
    def best_learner(self) -> str:
        """Learner of the first recommendation."""
        return self.items[0].learner

    @property
    def configurations(self) -> Sequence[Configuration]:
        """All recommended configurations, best first: ``BayesianOptimizer(space, initial=recommendations)``."""
        return [item.configuration for item in self.items]

    def parameters(self, index: int = 0) -> dict[str, Any]:
        """Parameters of a recommendation, for ``set_params``.

        They have the names of the learner's scikit-learn estimator. Where an estimator was given, they have the names
        of its parameters, such as ``svc__C`` in a pipeline.
        """
        item = self[index]
        if self.read_parameters:
            return dict(self.read_parameters[index])
        if self.place is not None:
            held = {f"{self.place.prefix}{name}": value for name, value in item.held.items()}
            return {**self.place.parameters(item.configuration), **held}
        return {**learner_named(item.learner, self.kind).parameters(item.configuration), **item.held}

    def estimator(self, index: int = 0, random_state: int | None = None) -> BaseEstimator:
        """Unfitted estimator of a recommendation, for the very X and y that it was asked for.

        Where an estimator was given, it is a clone of that one with the parameters set. Otherwise it is a pipeline. It
        reads the columns as the recommendation did (dates, numbers as text, columns that are dropped, ...), prepares
        them and fits the learner; predictions are labels as they stand in y. New rows may hold categories that were
        never seen, and missing values. Its steps are "columns", "preprocessing" and "learner":
        ``estimator().set_params(learner__C=1.0)``.

        Parameters
        ----------
        index : int, default=0
            Which recommendation.
        random_state : int, default=None
            Seed of the learner.

        Raises
        ------
        DataError
            The recommendations were read from JSON, which does not hold the dataset.
        """
        item = self[index]
        if self.place is not None and self.own_estimator is not None:
            return self.place.whole(self.own_estimator, random_state).set_params(**self.parameters(index))
        if self.task is None:
            raise DataError(
                "recommendations that were read from JSON do not hold the dataset, so that no pipeline can be made; "
                "set parameters(index) on an estimator of your own."
            )
        pipeline = learner_named(item.learner, self.kind).pipeline(item.configuration, self.task, random_state)
        if item.held:
            last = pipeline.named_steps["learner"]
            inner = "regressor__" if hasattr(last, "regressor") else ""
            last.set_params(**{f"{inner}{name}": value for name, value in item.held.items()})
        return pipeline

    def space(self, share: float = 0.9, learner: str | None = None) -> ConfigurationSpace:
        """A search space narrowed to this dataset.

        It is the smallest box that is found to hold the best configuration with a probability of `share`: see
        :mod:`metahpo.recommendation.narrow_space`. Conditions stay, and the default of the space lies inside.

        Parameters
        ----------
        share : float, default=0.9
            In (0, 1].
        learner : str, default=None
            None takes the learner of the first recommendation.

        Raises
        ------
        DataError
            A share outside (0, 1], or recommendations that were read from JSON.
        UnknownNameError
            A learner that was not asked for.
        """
        if self.basis is None:
            raise DataError("recommendations that were read from JSON hold no experience to narrow a space by.")
        return narrowed_space(self.basis, learner or self.best_learner, share)

    def explain(self) -> Explanation:
        """What the expected scores depend on, and which recorded tasks say so.

        Raises
        ------
        DataError
            The recommendations were read from JSON.
        """
        if self.basis is None:
            raise DataError("recommendations that were read from JSON hold no experience to explain them by.")
        return self.basis.surrogate.explain(self.basis.observed, self.basis.meta_features)

    def report(self, path: str | Path) -> None:
        """Write a page of the recommendations: what to expect of each, and which recorded tasks say so.

        Parameters
        ----------
        path : path
            Of one HTML file that needs no network.

        Raises
        ------
        MissingDependencyError
            jinja2 is not installed.
        DataError
            The path is a folder, or lies in none that can be written.
        """
        from metahpo.reports.recommendation_page import write_recommendation_page

        write_recommendation_page(self, path)

    def enqueue(self, study: Any) -> None:
        """Make the recommendations the next trials of a study of Optuna: exactly these, in this order, each once.

        Parameters
        ----------
        study : optuna.Study

        Raises
        ------
        MissingDependencyError
            Optuna is not installed, or too old; the message names the extra that installs it.
        """
        import_module("metahpo.integrations.optuna").enqueue(study, self)  # which lies above this room

    def to_frame(self) -> pd.DataFrame:
        """One row a recommendation: its parameters, and the columns of :class:`Recommendation`."""
        return pd.DataFrame(
            {
                "learner": [item.learner for item in self.items],
                "parameters": [self.parameters(index) for index in range(len(self))],
                "configuration": [item.configuration for item in self.items],
                "expected_percentile": [item.expected_percentile for item in self.items],
                "lower": [item.interval[0] for item in self.items],
                "upper": [item.interval[1] for item in self.items],
                "expected_train_seconds": [item.expected_train_seconds for item in self.items],
                "p_better_than_default": [item.p_better_than_default for item in self.items],
                "median_change": [item.median_change for item in self.items],
                "expected_change": [item.expected_change for item in self.items],
                "reason": [item.reason for item in self.items],
            }
        )

    def to_json(self) -> str:
        """Everything but the dataset and the experience, as JSON: :meth:`from_json` reads it."""
        return recommendations_to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Recommendations:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ArtefactError
            Anything else.
        """
        return recommendations_from_json(cls, text)

    def plot(self) -> Figure:
        """What to expect of each recommendation against the library's default, as a figure of matplotlib.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        from metahpo.recommendation.figure import figure_of  # it loads matplotlib

        return figure_of(self.items, [self.parameters(i) for i in range(len(self))], f"{self.about}, by {self.metric}")

    def __str__(self) -> str:
        return in_lines(self)

    def _repr_html_(self) -> str:
        return in_html(self)
