"""What a recommendation says: configurations, what to expect of them, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from metahpo.learners.registry import learner_named
from metahpo.space.configuration import Configuration
from metahpo.tasks.task import Task

#: Reason of a recommendation that is the library's default.
DEFAULT_REASON = "library default"


@dataclass(frozen=True)
class Recommendation:
    """One recommended configuration.

    Attributes
    ----------
    learner : str
    configuration : dict
        Active hyperparameters, in the names of the search space.
    expected_percentile : float
        Expected share of the learner's recorded configurations (of all learners', where no learner was named) that
        this one is better than, in percent.
    interval : tuple of float
        Central 80 % interval of that percentile.
    expected_train_seconds : float
        Seconds of one fit on one core; NaN where no seconds were recorded. For a task larger than all recorded ones
        they are extrapolated, may be far too low, and a note says so.
    reason : str
    p_better_than_default : float
        Probability that its error is smaller than that of the library's default, calibrated on tasks left out; .5 for
        the default itself. NaN where the experience holds no default to compare with.
    expected_change : float
        Expected relative change of the error against the default: .1 is an error that is a tenth smaller, and negative
        is worse. NaN like the probability.
    change_interval : tuple of float
        Central 80 % interval of that change.
    """

    learner: str
    configuration: Configuration
    expected_percentile: float
    interval: tuple[float, float]
    expected_train_seconds: float
    reason: str
    p_better_than_default: float = math.nan
    expected_change: float = math.nan
    change_interval: tuple[float, float] = (math.nan, math.nan)

    def against_default(self) -> str:
        """What to expect against the default, in words; empty where that is not known."""
        if math.isnan(self.expected_change):
            return ""
        low, high = self.change_interval
        return (
            f"better than the default with probability {self.p_better_than_default:.2f}, error "
            f"{-100 * self.expected_change:+.1f} % ({-100 * high:+.1f} to {-100 * low:+.1f})"
        )


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
    task : Task
        The dataset, as it was understood.
    meta_features : dict of str to float
        Of the task.
    """

    items: tuple[Recommendation, ...]
    metric: str
    nearest_tasks: Mapping[str, float]
    novelty: float
    timings: Mapping[str, float]
    notes: tuple[str, ...]
    task: Task = field(repr=False)
    meta_features: Mapping[str, float] = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Recommendation:
        return self.items[index]

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
        """Parameters of a recommendation in the names of the learner's scikit-learn estimator."""
        item = self.items[index]
        return learner_named(item.learner, self.task.kind).parameters(item.configuration)

    def estimator(self, index: int = 0, random_state: int | None = None) -> Pipeline:
        """Unfitted pipeline of a recommendation, for the very X and y that it was asked for.

        It reads the columns as the recommendation did (dates, numbers as text, columns that are dropped, ...), prepares
        them and fits the learner; predictions are labels as they stand in y. New rows may hold categories that were
        never seen, and missing values. Its steps are "columns", "preprocessing" and "learner":
        ``estimator().set_params(learner__C=1.0)``.

        Parameters
        ----------
        index : int, default=0
            Which recommendation.
        random_state : int, default=None
            Seed of the learner.
        """
        item = self.items[index]
        return learner_named(item.learner, self.task.kind).pipeline(item.configuration, self.task, random_state)

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
        """One row a recommendation, with the columns of :class:`Recommendation`."""
        return pd.DataFrame(
            {
                "learner": [item.learner for item in self.items],
                "configuration": [item.configuration for item in self.items],
                "expected_percentile": [item.expected_percentile for item in self.items],
                "lower": [item.interval[0] for item in self.items],
                "upper": [item.interval[1] for item in self.items],
                "expected_train_seconds": [item.expected_train_seconds for item in self.items],
                "p_better_than_default": [item.p_better_than_default for item in self.items],
                "expected_change": [item.expected_change for item in self.items],
                "reason": [item.reason for item in self.items],
            }
        )

    def _task_in_words(self) -> str:
        """What the dataset was understood to be."""
        task = self.task
        of_classes = f" of {len(task.classes)} classes" if task.classes else ""
        if task.modality != "table":
            return f"{task.kind}{of_classes}: {task.n_rows} {task.modality}s"
        named = f" ({in_brief(task.categorical)})" if task.categorical else ""
        columns = f"{len(task.numeric)} numeric and {len(task.categorical)} categorical columns{named}"
        return f"{task.kind}{of_classes}: {task.n_rows} rows, {columns}"

    def __str__(self) -> str:
        lines = [f"{len(self)} recommendations for {self.task.name!r} by {self.metric}", self._task_in_words()]
        for rank, item in enumerate(self.items, 1):
            low, high = item.interval
            lines.append(f"{rank:>3}. {item.learner}: {in_words(item.configuration)}")
            lines.append(f"     better than {item.expected_percentile:.0f} % ({low:.0f}-{high:.0f}); {item.reason}")
            if item.against_default() and item.reason != DEFAULT_REASON:
                lines.append(f"     {item.against_default()}")
        near = ", ".join(f"{task} ({share:.0%})" for task, share in list(self.nearest_tasks.items())[:5])
        lines.append(f"nearest tasks: {near or 'none known'}; novelty {self.novelty:.2f}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def in_brief(names: Sequence[str], most: int = 20) -> str:
    """The first of many names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def in_words(configuration: Configuration) -> str:
    """A configuration as a person reads it: four digits of a number."""
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in configuration.items())
