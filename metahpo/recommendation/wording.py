"""Recommendations in their final form: what is expected of each choice, and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metahpo.recommendation.description import Description
from metahpo.recommendation.prediction import Prediction
from metahpo.recommendation.recommendations import DEFAULT_REASON, Recommendation
from metahpo.recommendation.request import Request


def items_of(prediction: Prediction, picks: Sequence[int], seconds: Sequence[float]) -> list[Recommendation]:
    """Recommendations of the candidates at some indices, with the seconds that a fit of each is expected to take."""
    items = []
    for rank, (i, spent) in enumerate(zip(picks, seconds, strict=True)):
        learner, configuration = prediction.candidates.learner_and_own(i)
        interval = (float(prediction.low[i]), float(prediction.high[i]))
        reason = DEFAULT_REASON if i in prediction.candidates.defaults else _reason(rank, prediction.weights)
        items.append(Recommendation(learner, configuration, float(prediction.percentile[i]), interval, spent, reason))
    return items if prediction.against is None else prediction.against.added_to(items, picks)


def notes_of(description: Description, request: Request, metric: str) -> tuple[str, ...]:
    """What the user should know: about the data, and about what was not answered as it was asked.

    Parameters
    ----------
    metric : str
        Recorded metric that the answer is by.
    """
    notes = list(description.notes)
    if request.metric not in (None, metric):
        notes.append(f"experience was not recorded by {request.metric!r}: the nearest, {metric!r}, stands for it")
    if description.lacking:
        lacking = ", ".join(description.lacking)
        notes.append(f"experience has meta-features of {lacking}, not known here: they are left out")
    if description.usable is None:
        notes.append("this dataset is unlike those that experience comes from: a robust portfolio is recommended")
    return tuple(notes)


def _reason(rank: int, weights: Mapping[str, float]) -> str:
    near = next(iter(weights), None)
    if rank == 0:
        return f"best guess; leans on {near}" if near else "best guess"
    return "complements those above"
