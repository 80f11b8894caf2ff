"""Narrowed spaces of tasks whose families are left out: larger boxes hold more."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metahpo.evaluation.recorded_outcomes import groups_of_tasks, recorded_outcomes
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.surrogates.fitting import improvement_learning

SCRIPT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "evaluate_space.py"))


@pytest.fixture(autouse=True)
def quick_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, and few settings to choose from."""
    for name, value in (("TREES", 3), ("GROUPS", 2), ("LEAVES", (None,)), ("RESIDUAL_SHARES", (1.0,))):
        monkeypatch.setattr(improvement_learning, name, value)


def test_larger_shares_give_larger_boxes_that_hold_more(toy: MetaDataset) -> None:
    outcomes = [("toy", held) for tasks in groups_of_tasks(toy) for held in recorded_outcomes(toy, "toy", tasks)]
    columns = ["learner", "share", "holds the best", "holds a good one", "volume"]
    rows = pd.DataFrame(SCRIPT["measured"](toy, outcomes, [0.5, 1.0]), columns=columns)
    small, whole = (rows[rows["share"] == share] for share in (0.5, 1.0))
    assert len(small) == len(whole) == len(toy.tasks)
    assert small["volume"].median() < whole["volume"].median()
    assert small["holds the best"].mean() <= whole["holds the best"].mean()
    assert (rows["holds a good one"] >= rows["holds the best"]).all()
