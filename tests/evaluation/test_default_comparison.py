from __future__ import annotations

import numpy as np
import pytest

from metahpo.evaluation.default_comparison import compare_with_default, default_rows
from metahpo.exceptions import DataError
from metahpo.metadata.fit_losses import standard_errors
from metahpo.metadata.meta_dataset import MetaDataset

# Row 0 is the default: mean 0.5, standard error 0.1 / sqrt(4) * ... = 0.0408 over four folds.
FITS = np.array(
    [
        [0.4, 0.5, 0.5, 0.6],
        [0.4, 0.5, 0.5, 0.5],
        [0.1, 0.1, 0.1, 0.1],
        [0.9, 0.9, 0.9, 0.9],
        [np.nan, 0.1, 0.1, 0.1],
    ]
)
LOSSES, ERRORS = FITS.mean(axis=1), standard_errors(FITS)


@pytest.mark.parametrize(("chosen", "verdict"), [(0, "equal"), (1, "equal"), (2, "better"), (3, "worse"), (4, "worse")])
def test_verdict_is_by_one_standard_error_of_the_default(chosen: int, verdict: str) -> None:
    compared = compare_with_default(LOSSES, ERRORS, chosen)
    assert compared.verdict == verdict
    assert compared.standard_error == pytest.approx(np.std(FITS[0], ddof=1) / 2)


def test_anything_is_better_than_a_default_that_failed() -> None:
    assert compare_with_default(LOSSES, ERRORS, chosen=3, default=4).verdict == "better"
    assert compare_with_default(LOSSES, ERRORS, chosen=4, default=4).verdict == "equal"


def test_a_standard_error_that_is_not_known_counts_as_zero() -> None:
    compared = compare_with_default(np.array([0.5, 0.4]), np.full(2, np.nan), 1)
    assert compared.verdict == "better"
    assert np.isnan(compared.standard_error)


@pytest.mark.parametrize(
    ("losses", "errors", "chosen"),
    [(np.zeros((3, 1)), np.zeros((3, 1)), 0), (np.zeros(2), np.zeros(3), 0), (np.zeros(2), np.zeros(2), 2)],
)
def test_wrong_shapes_and_rows_are_refused(losses: np.ndarray, errors: np.ndarray, chosen: int) -> None:
    with pytest.raises(DataError):
        compare_with_default(losses, errors, chosen)


def test_the_default_is_found_among_the_recorded_configurations(toy: MetaDataset) -> None:
    assert default_rows(toy, "toy") == dict.fromkeys((f"task{i}" for i in range(12)), 0)


def test_tasks_that_lack_the_default_are_left_out(toy: MetaDataset) -> None:
    first = toy.trials["configuration"].iloc[0]
    trials = toy.trials[(toy.trials["configuration"] != first) | (toy.trials["task"] == "task3")]
    assert default_rows(MetaDataset(toy.tasks, trials, None, toy.spaces), "toy") == {"task3": 0}
