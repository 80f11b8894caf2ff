"""Recommendations as JSON, and back: everything but the dataset and the experience."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from metahpo.exceptions import ArtefactError
from metahpo.recommendation.probes import Probe
from metahpo.recommendation.recommendation import Recommendation
from metahpo.recommendation.worth import Worth
from metahpo.space.configuration import json_value

if TYPE_CHECKING:
    from metahpo.recommendation.recommendations import Recommendations

#: Version of the layout.
VERSION = 2
#: Entries of a recommendation that are one number.
NUMBERS = (
    "expected_percentile",
    "expected_train_seconds",
    "p_better_than_default",
    "median_change",
    "expected_change",
)


def recommendations_to_json(recommended: Recommendations) -> str:
    """JSON of recommendations; numbers that are not finite are null."""
    content = {
        "recommendations": VERSION,
        "kind": recommended.kind,
        "about": recommended.about,
        "metric": recommended.metric,
        "novelty": recommended.novelty,
        "worth": None if recommended.worth is None else asdict(recommended.worth),
        "nearest_tasks": dict(recommended.nearest_tasks),
        "notes": list(recommended.notes),
        "timings": dict(recommended.timings),
        "meta_features": dict(recommended.meta_features),
        "probes": [asdict(one) for one in recommended.probes],
        "items": [
            {**asdict(item), "parameters": recommended.parameters(i)} for i, item in enumerate(recommended.items)
        ],
    }
    return json.dumps(_finite(json_value(content)), allow_nan=False, indent=1)


def recommendations_from_json(cls: type[Recommendations], text: str | bytes) -> Recommendations:
    """Inverse of :func:`recommendations_to_json`.

    Raises
    ------
    ArtefactError
        Anything else, or another version.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("recommendations") != VERSION:
            raise ArtefactError(
                f"the text is not that of recommendations of version {VERSION}; write it anew with to_json()."
            )
        items = []
        for record in content["items"]:
            own = {name: value for name, value in record.items() if name != "parameters"}
            for name in NUMBERS:
                own[name] = _number(own[name])
            for name in ("interval", "change_interval"):
                low, high = own[name]
                own[name] = (_number(low), _number(high))
            items.append(Recommendation(**own))
        return cls(
            tuple(items),
            str(content["metric"]),
            content["nearest_tasks"],
            _number(content["novelty"]),
            content["timings"],
            tuple(content["notes"]),
            None,
            {name: _number(value) for name, value in content["meta_features"].items()},
            content["kind"],
            content["about"],
            None if content["worth"] is None else Worth(**content["worth"]),
            probes=tuple(_probe(record) for record in content.get("probes", [])),
            read_parameters=tuple(record["parameters"] for record in content["items"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"the text is not that of recommendations: {error!r}.") from error


def _probe(record: dict[str, Any]) -> Probe:
    return Probe(**{**record, **{name: _number(record[name]) for name in ("loss", "default_loss", "seconds")}})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
