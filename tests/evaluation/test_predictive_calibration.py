"""Coverage against predictors of which it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.evaluation.predictive_calibration import ScorePredictor, calibration_table, interval_coverage
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.posterior import Posterior
from tests.evaluation.bowls import bowl

Array = NDArray[np.float64]


@dataclass
class Prior:
    """Knows that scores are normal, and nothing else; `width` times as unsure as it should be."""

    width: float = 1.0

    def score_posterior(
        self, configurations: Array, observed: tuple[Array, Array], meta_features: Mapping[str, float] | None
    ) -> Posterior:
        assert len(observed[0]) == len(observed[1])
        assert not {tuple(x) for x in observed[0]} & {tuple(x) for x in configurations}
        alike = np.zeros((1, len(configurations)))
        return Posterior(np.ones(1), alike, alike + self.width, np.zeros(1))


@pytest.mark.parametrize(("width", "expected"), [(1.0, (0.5, 0.8, 0.95)), (0.5, (0.264, 0.478, 0.673))])
def test_intervals_that_hold_and_intervals_that_are_too_narrow(width: float, expected: tuple[float, ...]) -> None:
    covered = interval_coverage(Prior(width), bowl("t", 0.4, n=4000), 0)
    assert sorted(set(covered["observations"])) == [0, 5, 20]
    for n, part in covered.groupby("observations"):
        assert part["coverage"].tolist() == pytest.approx(list(expected), abs=0.01), n


@pytest.mark.parametrize(("width", "expected"), [(1.0, -1.419), (0.5, -2.226), (2.0, -1.737)])
def test_log_density_of_a_normal_score(width: float, expected: float) -> None:
    # Closed form, for a standard normal score: -log(sqrt(2 pi) width) - 1 / (2 width^2).
    found = interval_coverage(Prior(width), bowl("t", 0.4, n=4000), 0)["log_density"]
    assert found.tolist() == pytest.approx([expected] * len(found), abs=0.02)


def test_few_configurations_leave_out_what_cannot_be_asked() -> None:
    assert set(interval_coverage(Prior(), bowl("t", 0.4, n=12), 0)["observations"]) == {0, 5}


def test_failed_trials_are_the_worst_configurations() -> None:
    table = bowl("t", 0.4, n=10)
    failed = TaskTable("t", "t", table.X, np.where(np.arange(10) < 5, np.nan, table.loss), None)
    covered = interval_coverage(Prior(), failed, 0).set_index(["observations", "level"])["coverage"]
    # Five ties at the 75th percentile: outside the central half, to the last digit, or on its edge; inside 80 %.
    assert covered[0, 0.8] >= 0.8


def test_policies_are_asked_only_if_they_predict_scores() -> None:
    assert isinstance(Prior(), ScorePredictor)
    assert not isinstance(bowl("t", 0.5), ScorePredictor)


def test_table_is_the_mean_over_tasks_and_then_over_spaces() -> None:
    every = {"method": "m", "observations": 0, "level": 0.5}
    rows = [
        {**every, "space": space, "task": task, "log_density": -covered, "coverage": covered}
        for space, task, covered in (("a", "t", 0.2), ("a", "u", 0.4), ("b", "t", 0.7))
    ]
    table = calibration_table(pd.DataFrame(rows)).set_index("space")
    assert table["50 %"].to_dict() == pytest.approx({"a": 0.3, "b": 0.7, "all spaces": 0.5})
    assert table["log_density"].to_dict() == pytest.approx({"a": -0.3, "b": -0.7, "all spaces": -0.5})
    assert table["n_tasks"].to_dict() == {"a": 2, "b": 1, "all spaces": 3}
