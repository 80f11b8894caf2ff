"""A trial's identity never changes by accident, and a record is a trial or an error."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from metahpo.exceptions import DataError
from metahpo.trials.history import TrialHistory
from metahpo.trials.records import TaskRefusal
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

KEY = TrialKey("iris", "svm", {"C": 0.5, "kernel": "rbf", "class_weight": None}, "v1-cv3-rows2000")


def test_identity_is_the_one_that_stores_on_disk_hold() -> None:
    # A change here makes every recorded trial unknown: raise the protocol's version instead.
    assert KEY.identity == "528f3b239493f2d4490ed34ffe29bd7d"


def test_identity_does_not_depend_on_the_order_of_keys_or_on_numpy() -> None:
    turned = {"kernel": "rbf", "class_weight": None, "C": np.float64(0.5)}
    assert dataclasses.replace(KEY, configuration=turned).identity == KEY.identity


@pytest.mark.parametrize(
    "change",
    [
        {"task": "wine"},
        {"learner": "linear"},
        {"configuration": {"C": 0.25, "kernel": "rbf", "class_weight": None}},
        {"configuration": {"C": 0.5, "kernel": "rbf"}},
        {"protocol": "v2-cv3-rows2000"},
        {"seed": 1},
        {"fidelity": 0.5},
    ],
    ids=str,
)
def test_identity_changes_with_each_field(change: dict[str, object]) -> None:
    assert dataclasses.replace(KEY, **change).identity != KEY.identity  # type: ignore[arg-type] # a table of fields


SUCCESS = Trial(
    KEY,
    TrialStatus.SUCCESS,
    fold_losses={"accuracy": [0.1, 0.2, 0.3], "neg_log_loss": [1e-300, 1.0, 1e300]},
    fit_seconds=[0.1, 0.2, 0.3],
    predict_seconds=[0.0, 0.0, 0.1],
    seconds=0.75,
    peak_memory_bytes=1 << 30,
    versions={"numpy": "2.0"},
)
FAILURE = Trial(KEY, TrialStatus.TIMEOUT, fit_seconds=[], predict_seconds=[], message='stopped "ä\n', seconds=60.0)


@pytest.mark.parametrize("trial", [SUCCESS, FAILURE], ids=["success", "failure"])
def test_a_record_is_one_line_and_comes_back(trial: Trial) -> None:
    line = trial.to_json()
    assert "\n" not in line
    assert line.isascii()
    assert Trial.from_json(line) == trial
    assert json.loads(line)["identity"] == KEY.identity


def test_loss_is_the_mean_of_the_folds_and_missing_for_failures() -> None:
    assert SUCCESS.loss("accuracy") == pytest.approx(0.2)
    assert math.isnan(SUCCESS.loss("r2"))
    assert math.isnan(FAILURE.loss("accuracy"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "not a trial record"),
        ("not json", "not a trial record"),
        ("5", "a JSON object was expected, not int"),
        ("[]", "a JSON object was expected, not list"),
        ("{}", "'identity'"),
        (SUCCESS.to_json()[:-20], "not a trial record"),
        (SUCCESS.to_json().replace('"success"', '"fine"'), "'fine' is not a valid TrialStatus"),
        (SUCCESS.to_json().replace('"seconds"', '"minutes"'), "minutes"),
        (SUCCESS.to_json().replace('"C":0.5', '"C":0.75'), f"says it is {KEY.identity}, but its content is"),
        (SUCCESS.to_json().replace('"iris"', '"wine"'), f"says it is {KEY.identity}, but its content is"),
    ],
)
def test_a_damaged_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Trial.from_json(line)


def test_history_keeps_order_and_passes_over_failures() -> None:
    history = TrialHistory()
    for loss in [math.nan, 3.0, math.inf, 1.0, 2.0]:
        history.append({"x": loss}, loss)
    assert len(history) == 5
    assert history.incumbent == ({"x": 1.0}, 1.0)
    np.testing.assert_array_equal(history.losses, [np.nan, 3, np.nan, 1, 2])
    np.testing.assert_array_equal(history.best_so_far(), [np.inf, 3, 3, 1, 1])
    frame = history.to_frame()
    assert list(frame.columns) == ["x", "loss", "best_so_far"]
    assert len(frame) == 5


def test_history_of_failures_has_no_incumbent() -> None:
    assert TrialHistory().incumbent is None
    history = TrialHistory()
    history.append({"x": 1}, math.nan)
    assert history.incumbent is None
    assert history.best_so_far().tolist() == [math.inf]


def test_a_message_that_is_no_utf8_is_kept_readable() -> None:
    """Names of files may hold lone surrogates; tables and terminals take none, and older stores may hold some."""
    trial = Trial(KEY, TrialStatus.CRASHED, message="no file \udc80é")
    assert trial.message == "no file \\udc80é"
    older = trial.to_json().replace("\\\\udc80", "\\udc80")
    assert json.loads(older)["message"] == "no file \udc80é"
    assert Trial.from_json(older) == Trial.from_json(trial.to_json())
    assert TaskRefusal("iris", "no file \udc80").reason == "no file \\udc80"
