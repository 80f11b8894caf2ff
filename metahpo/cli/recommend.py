"""`metahpo recommend`: hyperparameters for a table, as text or as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metahpo.exceptions import DataError
from metahpo.processes import jobs

if TYPE_CHECKING:
    from metahpo.recommendation.recommender import Recommender
    from metahpo.tasks.task import Task


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a request to those of the data."""
    parser.add_argument("-n", "--n", type=int, default=5, help="number of configurations (default: 5)")
    parser.add_argument(
        "--fixed",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a hyperparameter that has this value; may be repeated",
    )
    parser.add_argument(
        "--range",
        action="append",
        default=[],
        dest="ranges",
        metavar="NAME=LOW:HIGH",
        help="a hyperparameter that may be chosen in this range, or NAME=A,B,C: one that may have these values; may be "
        "repeated, and hyperparameters that are not named stay at the default",
    )
    parser.add_argument(
        "--max-train-seconds", type=float, metavar="SECONDS", help="most seconds of one fit on one core"
    )
    parser.add_argument(
        "--max-predict-seconds", type=float, metavar="SECONDS", help="most seconds of the prediction of test rows"
    )
    parser.add_argument("--max-memory", type=float, metavar="BYTES", help="most bytes of one fit")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="a recorded task or family to do without; may be repeated",
    )
    parser.add_argument(
        "--known",
        choices=["use", "exclude"],
        default="use",
        help="use or leave out records of this very dataset (default: use)",
    )
    parser.add_argument("--seconds", type=float, help="budget of probes: fits on few rows of the table (default: none)")
    parser.add_argument("--jobs", type=jobs, default=1, help="processes that probes run in (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print which hyperparameters matter for the table, and which recorded tasks say so",
    )


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the options ask for, as parameters of :func:`metahpo.recommend`.

    Raises
    ------
    DataError
        A `--fixed` or `--range` of another form, or two of one hyperparameter; `--explain` with `--json`.
    """
    if options.json and options.explain:
        raise DataError("--explain prints text, and --json has no place for it: leave one of them out.")
    ranges, fixed = _pairs(options.ranges, "--range NAME=LOW:HIGH"), _pairs(options.fixed, "--fixed NAME=VALUE")
    return {
        "fixed": {name: _value(value) for name, value in fixed.items()} or None,
        "space": {name: _range(text) for name, text in ranges.items()} or None,
        "max_train_seconds": options.max_train_seconds,
        "max_predict_seconds": options.max_predict_seconds,
        "max_memory": options.max_memory,
        "exclude": options.exclude,
        "known": options.known,
        "seconds": options.seconds,
        "n_jobs": options.jobs,
    }


def run(options: argparse.Namespace, task: Task, recommender: Recommender) -> None:
    """Print what is recommended."""
    recommended = recommender.recommend(task, options.learner, options.n, options.metric, **asked(options))
    if options.json:
        print(recommended.to_json())
        return
    print(recommended)
    print(f"parameters of the first, for set_params: {recommended.best}")
    if options.explain:
        print(recommended.explain())


def _pairs(texts: Sequence[str], form: str) -> dict[str, str]:
    pairs = dict[str, str]()
    for name, value in (_pair(text, form) for text in texts):
        if name in pairs:
            raise DataError(f"{form.split()[0]} gives {name!r} twice, as {pairs[name]!r} and {value!r}: give it once.")
        pairs[name] = value
    return pairs


def _pair(text: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise DataError(f"{form} is expected, but got {text!r}.")
    return name.strip(), value.strip()


def _value(text: str) -> Any:
    """A number, true, false or null as JSON and Python write them; anything else is a text."""
    spelled = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    try:
        return json.loads(spelled)
    except ValueError:
        return text


def _range(text: str) -> Any:
    low, colon, high = text.partition(":")
    return (_value(low), _value(high)) if colon else [_value(part) for part in text.split(",")]
