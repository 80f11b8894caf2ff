"""The start of a search: from meta-data where they apply, else without them and with a stated reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from metahpo.exceptions import MetaHPOError, SpaceError
from metahpo.learners.learner import Learner
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.tasks.containers import is_sparse
from metahpo.tasks.modality import as_task, modality_of
from metahpo.tasks.scorers import nearest_metric
from metahpo.tasks.target import TaskKind, as_target, infer_kind

#: What makes sparse rows of texts.
_OF_TEXTS = (CountVectorizer, HashingVectorizer, FeatureHasher)


@dataclass(frozen=True)
class Start:
    """A warm start or none, and why it is less than could be.

    Attributes
    ----------
    warm : WarmStart or None
    lacking : str
        Why there is no warm start, or one without meta-features; empty where nothing is missing.
    metric : str
        Metric of the experience; empty where there is none.
    same_metric : bool
        Whether it ranks models in the same way as what is scored.
    """

    warm: WarmStart | None
    lacking: str = ""
    metric: str = ""
    same_metric: bool = True


@dataclass(frozen=True)
class Probing:
    """The budget of probes before a search.

    Attributes
    ----------
    seconds : float
    n_jobs : int
        Processes; -1: one a core.
    """

    seconds: float
    n_jobs: int

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of :meth:`metahpo.recommendation.recommender.Recommender.warm_start`."""
        return {"seconds": self.seconds, "n_jobs": self.n_jobs}


def start(
    X: Any,
    y: Any,
    learner: Learner,
    scorer: str | None,
    recommender: Recommender | None,
    held: Mapping[str, Any] | None = None,
    probing: Probing | None = None,
) -> Start:
    """Find the experience for a search of a learner on some data; whatever the data are, nothing is raised.

    Parameters
    ----------
    X, y
        Data, as the user gave them. What the learner's pipeline makes of them is not known here.
    learner : Learner
    scorer : str or None
        Name of what is scored; None where that is a function of the user's.
    recommender : Recommender or None
        None takes what ships.
    held : mapping of str to value, default=None
        Hyperparameters that the search holds at one value.
    probing : Probing, default=None
        None: nothing is trained.
    """
    begin = _start(X, y, learner, scorer, recommender, probing)
    try:
        return begin if begin.warm is None else replace(begin, warm=begin.warm.holding(held or {}))
    except SpaceError as error:
        return Start(None, f"the experience is of another space: {error}")


def kind_of(y: Any) -> TaskKind | None:
    """Kind of task that a target suggests; None where there is none, or where it makes no task."""
    try:
        return infer_kind(as_target(y).dropna())
    except (MetaHPOError, ArithmeticError, TypeError, ValueError):
        return None


def sparse(X: Any, estimator: BaseEstimator) -> bool:
    """Whether the rows that a learner gets are most likely sparse: as they come, or because texts are made numbers."""
    if is_sparse(X) or (isinstance(X, pd.DataFrame) and all(isinstance(t, pd.SparseDtype) for t in X.dtypes)):
        return True
    makes_numbers = any(isinstance(v, _OF_TEXTS) for v in estimator.get_params(deep=True).values())
    return makes_numbers or modality_of(X) == "text"


def _start(
    X: Any,
    y: Any,
    learner: Learner,
    scorer: str | None,
    recommender: Recommender | None,
    probing: Probing | None,
) -> Start:
    try:
        modality = modality_of(X)
        if _n_columns(y) > 1:
            return Start(None, f"experience is of one target, but y has {_n_columns(y)} columns")
        known = recommender or Recommender.shipped(learner.kind, modality, learner.name)
        if known.kind != learner.kind:
            return Start(None, f"{known.meta_dataset.name!r} is experience with {known.kind}, not {learner.kind}")
        metric, same = nearest_metric(scorer, learner.kind, known.trained_metrics(learner.name))
    except MetaHPOError as error:
        return Start(None, str(error))
    except Exception as error:  # noqa: BLE001 - as below
        return Start(None, f"{type(error).__name__}: {error}")
    try:
        task, options = as_task(X, y, kind=learner.kind), {} if probing is None else probing.options
        return Start(known.warm_start(task, learner.name, metric, **options), "", metric, same)
    except Exception as error:  # noqa: BLE001 - the estimator decides which data are fine, and these may be anything
        lacking = f"{type(error).__name__}: {error}"
    if modality != "table":
        return Start(None, lacking)
    try:
        return Start(known.warm_start(None, learner.name, metric), f"no meta-features, because {lacking}", metric, same)
    except MetaHPOError as error:
        return Start(None, str(error))


def _n_columns(y: Any) -> int:
    shape = tuple(y.shape) if hasattr(y, "shape") else np.asarray(y, dtype=object).shape
    return int(shape[1]) if len(shape) > 1 else 1
