from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metahpo.evaluation.ablation import WHOLE, WITHOUT, part_methods, worth_of_parts
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.recommended import Recommended, RecommendedPolicy, smaller_sizes
from metahpo.evaluation.unit import LearnsFromMetaDataset
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from tests.conftest import QUICK
from tests.evaluation.statistics.made_up import made_up_regrets


def test_each_part_has_a_method_without_it(toy: MetaDataset) -> None:
    assert [method.name for method in part_methods()] == [WHOLE, *WITHOUT]
    assert isinstance(part_methods()[0], LearnsFromMetaDataset)
    without_sizes = [method.name for method in part_methods(toy)]
    assert without_sizes == [name for name in [WHOLE, *WITHOUT] if name != "recommended_without_sizes"]


def test_without_sizes_the_largest_of_each_dataset_is_left(toy: MetaDataset) -> None:
    sizes = toy.tasks.assign(dataset=toy.tasks["family"], size=[300, 1200] * 6)
    md = MetaDataset(sizes, toy.trials, toy.meta_features, toy.spaces)
    assert smaller_sizes(md) == [f"task{i}" for i in range(0, 12, 2)]
    assert "recommended_without_sizes" in [method.name for method in part_methods(md)]
    seen: list[str] = []

    class Witness(Recommended):
        def _policy(self, tables: list[TaskTable], *_: object) -> RecommendedPolicy:
            seen.extend(table.task for table in tables)
            raise KeyError

    with pytest.raises(KeyError):
        Witness(risk=False, sizes=False).learn_from(md, "toy", "r2", 0)
    assert seen == [f"task{i}" for i in range(1, 12, 2)]
    assert Recommended(sizes=False).training != Recommended().training == MetaLearned().training


def test_first_pick_is_the_decision_against_the_default_for_the_meta_features_of_another_task(toy: MetaDataset) -> None:
    method = Recommended(meta_features="random", settings=replace(QUICK, kernel_steps=5, component_steps=5))
    policy = method.learn_from(toy, "toy", "r2", 0)
    assert policy.improvement is not None
    assert policy.rows is not None
    table = toy.tables("toy")[3]
    pick = policy.start(table.meta_features, 0).suggest(table.X[:0], table.loss[:0], table.X)
    known = policy.stand_ins[np.random.default_rng(0).integers(12)]
    expected = policy.rows[policy.improvement.on(known).picks(1)[0]]
    np.testing.assert_array_equal(table.X[pick], expected)


def test_worth_is_regret_without_minus_regret_with() -> None:
    regrets = made_up_regrets(lead=0.1).replace({"ours": WHOLE, "theirs": "gaussian_process"})
    worth = worth_of_parts(regrets, [1])
    assert worth is not None
    row = worth.iloc[0]
    assert row["without"] == "all experience (cold)"
    assert 0 < row["low"] < row["worth"] < row["high"]
    assert row["p_worth"] > 0.99
    assert worth_of_parts(pd.DataFrame(regrets[regrets["method"] == WHOLE]), [1]) is None
