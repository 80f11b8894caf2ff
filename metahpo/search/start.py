"""What a search starts with: experience where it can be had, and else nothing, for a reason that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metahpo.exceptions import MetaHPOError
from metahpo.learners.learner import Learner
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.tasks.modality import as_task, modality_of
from metahpo.tasks.scorers import nearest_metric


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


def start(X: Any, y: Any, learner: Learner, scorer: str | None, recommender: Recommender | None) -> Start:
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
    """
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
        return Start(known.warm_start(as_task(X, y, kind=learner.kind), learner.name, metric), "", metric, same)
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
