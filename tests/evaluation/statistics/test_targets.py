from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metahpo.evaluation.statistics.groups import bins, regret_by, where_it_hurts
from metahpo.evaluation.statistics.targets import area_under_curve, speed_up, time_to_targets


def curves(of: dict[str, list[list[float]]]) -> pd.DataFrame:
    """A list of curves a method; each task is a family of its own."""
    return pd.DataFrame(
        [
            {"space": "s", "task": f"t{i}", "family": f"f{i}", "method": method, "trial": trial, "regret": regret}
            for method, tasks in of.items()
            for i, curve in enumerate(tasks)
            for trial, regret in enumerate(curve, start=1)
        ]
    )


TWO = curves({"a": [[0.4, 0.1, 0.0], [0.3, 0.3, 0.3]], "b": [[0.5, 0.4, 0.1], [0.6, 0.5, 0.3]]})


def test_targets_are_reached_or_not() -> None:
    found = time_to_targets(TWO, targets=[0.3, 0.05]).set_index(["method", "target"])
    assert found.loc[("a", 0.3)].tolist() == [1.0, 2.0]  # after trials 2 and 1: the higher of two is the median
    assert found.loc[("a", 0.05), "reached"] == 0.5
    assert np.isnan(found.loc[("a", 0.05), "median"])
    assert found.loc[("b", 0.05), "reached"] == 0.0


def test_seconds_can_be_what_is_spent() -> None:
    found = time_to_targets(TWO.rename(columns={"trial": "seconds"}), "seconds", [0.3]).set_index("method")
    assert found["median"].to_dict() == {"a": 2.0, "b": 3.0}


def test_area_is_the_mean_of_the_curve() -> None:
    area = area_under_curve(TWO).set_index("method")["area"]
    assert area["a"] == pytest.approx(np.mean([0.4, 0.1, 0.0, 0.3, 0.3, 0.3]))


def test_speed_up_is_trials_of_the_other_over_ones_own() -> None:
    found = speed_up(TWO, "a").set_index("method")
    assert found.loc["b", "trials"] == 2  # the mean of b ends at 0.2, where a is after two trials
    assert found.loc["b", "speed_up"] == 1.5
    assert found.loc["b", "low"] <= 1.5 <= found.loc["b", "high"]
    back = speed_up(TWO, "b").set_index("method")
    assert back["trials"].isna().all()
    assert back["speed_up"].isna().all()


def test_groups_of_tasks_have_their_own_means() -> None:
    found = regret_by(TWO, pd.Series({"t0": "small", "t1": "large"}), trial=3).set_index(["group", "method"])
    assert found.loc[("small", "a"), "regret"] == 0.0
    assert found.loc[("large", "b"), "regret"] == 0.3
    assert (found["n_tasks"] == 1).all()


def test_bins_are_named_and_keep_their_order() -> None:
    sizes = bins(pd.Series({"t0": 10.0, "t1": 700.0, "t2": 1e6, "t3": np.nan}), (500, 1000), "rows")
    assert sizes.tolist()[:3] == ["up to 500 rows", "500 to 1,000 rows", "more than 1,000 rows"]
    assert list(regret_by(TWO, sizes, 1)["group"].unique()) == ["up to 500 rows", "500 to 1,000 rows"]


def test_the_tasks_where_it_hurts_come_worst_first() -> None:
    found = where_it_hurts(TWO, "b", trial=2)
    assert found["task"].tolist() == ["t0", "t1"]
    assert found["difference"].tolist() == pytest.approx([0.3, 0.2])
    assert where_it_hurts(TWO, "a", trial=2).empty
    assert len(where_it_hurts(TWO, "b", trial=2, n=1)) == 1
