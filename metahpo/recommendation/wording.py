"""Recommendations in their final form: what is expected of each choice, and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metahpo.recommendation.decision import Decision
from metahpo.recommendation.prediction import Prediction
from metahpo.recommendation.probes import Probed
from metahpo.recommendation.recommendation import DEFAULT_REASON, Recommendation
from metahpo.recommendation.request import Request
from metahpo.recommendation.task_description import Description


def items_of(
    prediction: Prediction,
    decision: Decision,
    seconds: Sequence[float],
    held: Mapping[str, Mapping[str, Any]],
    *,
    familiar: bool,
    n_probes: int = 0,
) -> tuple[Recommendation, ...]:
    """Recommendations of the candidates that were chosen.

    Parameters
    ----------
    prediction : Prediction
    decision : Decision
    seconds : sequence of float
        What a fit of each is expected to take.
    held : mapping of str to mapping
        Learner -> parameters of its estimator that are fixed beside its hyperparameters.
    familiar : bool
        Whether experience comes from tasks like this one.
    n_probes : int
        Probes that gave a loss.
    """
    items = []
    for rank, (i, spent) in enumerate(zip(decision.picks, seconds, strict=True)):
        learner, configuration = prediction.candidates.learner_and_own(i)
        interval = (float(prediction.low[i]), float(prediction.high[i]))
        is_default = i in prediction.candidates.defaults
        reason = (
            DEFAULT_REASON
            if is_default
            else _reason(rank, prediction.weights, decision, familiar=familiar, n_probes=n_probes)
        )
        fixed = dict(held.get(learner, {}))
        percentile = float(prediction.percentile[i])
        items.append(Recommendation(learner, configuration, percentile, interval, spent, reason, held=fixed))
    if prediction.against is not None:
        items = prediction.against.added_to(items, decision.picks)
    return tuple(items)


def notes_of(
    description: Description,
    request: Request,
    metric: str,
    decision: Decision,
    *,
    recorded: Mapping[str, float],
    unrecorded: Sequence[str] = (),
    worth_little: bool = False,
) -> list[str]:
    """What the user should know: about the data, and about what was not answered as it was asked.

    Parameters
    ----------
    description : Description
    request : Request
    metric : str
        Recorded metric that the answer is by.
    decision : Decision
    recorded : mapping of str to float
        Recorded tasks of this very dataset -> share of their rows that is found again.
    unrecorded : sequence of str
        Limits whose costs were not recorded.
    worth_little : bool
        Whether recommendations were worth less than the default on recorded tasks of such a novelty.
    """
    notes = list(description.notes)
    notes[len(description.task.treatments) : len(description.task.treatments)] = _on_records(recorded, request)
    if request.unnamed_metric:
        notes.append(f"the metric has no name that experience knows: {metric!r} stands for it")
    elif request.metric not in (None, metric):
        notes.append(f"experience was not recorded by {request.metric!r}: the nearest, {metric!r}, stands for it")
    if description.lacking:
        lacking = ", ".join(description.lacking)
        notes.append(f"experience has meta-features of {lacking}, not known here: they are left out")
    if description.usable is None:
        notes.append(
            "this dataset is unlike those that experience comes from: the library's default comes first, then "
            "configurations that are good on most recorded tasks"
            + ("; measure some of them, by `seconds` or by a search" if request.seconds is None else "")
        )
    elif worth_little:
        notes.append(
            "on recorded tasks that are about as unfamiliar as this dataset, recommendations had a larger error than "
            "the default on average: the library's default comes first"
        )
    notes += [f"experience recorded no costs for {limit}: it is not looked at" for limit in unrecorded]
    if len(decision.picks) < request.n:
        notes.append(f"{request.n} configurations were asked for, but experience has only {len(decision.picks)} such")
    if decision.excess > 1.0:
        notes.append(
            f"no configuration keeps all limits ({_limits(request)}): those that exceed them least are recommended, "
            f"the first by a factor of {decision.excess:.2g}"
        )
    return notes


def notes_on_probes(request: Request, probed: Probed | None) -> list[str]:
    """What the user should know of the probes that were asked for."""
    if request.seconds is None:
        return []
    if probed is None:
        return ["no probes were made, because the experience holds no default, or no seconds, to compare with"]
    notes = list(probed.notes)
    bad = [one for one in probed.probes if one.status != "success"]
    if bad:
        names = "; ".join(dict.fromkeys(f"{one.learner} on {one.rows} rows {one.status}: {one.message}" for one in bad))
        notes.append(f"{len(bad)} of {len(probed.probes)} probes gave no loss ({names})")
    return notes


def _on_records(recorded: Mapping[str, float], request: Request) -> list[str]:
    """What is known of this very dataset."""
    notes = []
    for name, share in recorded.items():
        rows = "this very dataset was" if share == 1.0 else f"a dataset with {share:.0%} of its rows in common was"
        consequence = (
            "its records are left out" if request.known == "exclude" else "the recommendation knows its results"
        )
        notes.append(f"{rows} tuned before, as {name!r}: {consequence}")
    return notes


def _limits(request: Request) -> str:
    return ", ".join(f"{name}={limit:g}" for name, limit in request.limits.given.items())


def _reason(rank: int, weights: Mapping[str, float], decision: Decision, *, familiar: bool, n_probes: int) -> str:
    if decision.excess > 1.0:
        return "exceeds the limits least"
    if n_probes and rank == 0:
        return f"best by the experience and {n_probes} probes"
    near = next(iter(weights), None)
    if not familiar:
        return "robust: good on most recorded tasks"
    if rank == 0:
        return f"best guess; leans on {near}" if near else "best guess"
    return "complements those above"
