from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metahpo.evaluation.baselines.baseline import Method, Policy
from metahpo.evaluation.baselines.catalogue import DEFAULT_METHODS, METHODS, method_named
from metahpo.evaluation.baselines.cold_gaussian_process import ColdGaussianProcess
from metahpo.evaluation.baselines.deep_ranking_ensemble import DeepRankingEnsemble
from metahpo.evaluation.baselines.fsbo import FewShotDeepKernel
from metahpo.evaluation.baselines.greedy_portfolio import GreedyPortfolio, greedy_picks
from metahpo.evaluation.baselines.own_method import MetaLearned
from metahpo.evaluation.baselines.random_search import RandomSearch
from metahpo.evaluation.baselines.recommended import Recommended
from metahpo.evaluation.replay import replay
from metahpo.exceptions import UnknownNameError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.testing import BaselineContract
from tests.conftest import QUICK as QUICK_TRAINING
from tests.evaluation.bowls import bowl

#: Methods of which less training than by default shows the same manners.
QUICK: dict[str, Method] = {
    "metahpo": MetaLearned(settings=QUICK_TRAINING),
    "recommended": Recommended(settings=QUICK_TRAINING),
    "fsbo": FewShotDeepKernel(meta_steps=5, fine_steps=3),
    "deep_ranking_ensemble": DeepRankingEnsemble(meta_steps=5, fine_steps=3),
}


@pytest.fixture(scope="module", params=list(METHODS))
def quick_method(request: pytest.FixtureRequest) -> Method:
    if request.param == "botorch":
        pytest.importorskip("botorch")
    return QUICK.get(request.param, method_named(request.param))


@pytest.fixture(scope="module")
def learnt_once(quick_method: Method, toy: MetaDataset) -> tuple[Policy, TaskTable]:
    """A method of the catalogue after learning from eleven tasks, and the twelfth."""
    tables = toy.tables("toy")
    return quick_method.learn(tables[:-1], "toy", random_state=0), tables[-1]


class TestEveryMethod(BaselineContract):
    @pytest.fixture
    def method(self, quick_method: Method) -> Method:
        return quick_method

    @pytest.fixture
    def learnt(self, learnt_once: tuple[Policy, TaskTable]) -> tuple[Policy, TaskTable]:
        return learnt_once


def test_names_are_unique_and_an_unknown_one_is_answered_with_those_there_are() -> None:
    there = [name for name in METHODS if name != "botorch" or find_spec("botorch")]
    assert [method_named(name).name for name in there] == there
    assert set(DEFAULT_METHODS) <= set(METHODS)
    with pytest.raises(UnknownNameError, match="random_search"):
        method_named("grid")


def test_default_comes_first_then_chance() -> None:
    table = bowl("t", 0.5)
    policy = RandomSearch(default_first=True).learn([], "s", 0)
    assert set(replay(policy, table, 1, n_replays=20).first_picks) == {0}
    assert len(set(replay(RandomSearch(), table, 1, n_replays=20).first_picks)) > 5


def test_gaussian_process_finds_a_smooth_minimum_sooner_than_chance() -> None:
    table = bowl("t", 0.3, n=200)
    model = replay(ColdGaussianProcess(), table, 20, n_replays=3)
    chance = replay(RandomSearch(), table, 20, n_replays=3)
    np.testing.assert_array_equal(model.regret[:5], chance.regret[:5])  # the same random start
    assert model.regret[-1] < 0.2 * chance.regret[-1]


def test_greedy_picks_complement_each_other() -> None:
    # Column 0 is decent everywhere, 1 and 2 are perfect on one half each; 3 is 1 again.
    regret = np.array([[0.3, 0.0, 1.0, 0.0], [0.3, 0.0, 1.0, 0.0], [0.3, 1.0, 0.0, 1.0], [0.3, 1.0, 0.0, 1.0]])
    assert greedy_picks(regret, 3) == [0, 1, 2]
    assert greedy_picks(regret, 9) == [0, 1, 2, 3]


@given(arrays(np.float64, (4, 6), elements=st.floats(0, 1)))
def test_each_greedy_pick_is_the_best_next_one(regret: np.ndarray) -> None:
    picks = greedy_picks(regret, 3)
    assert len(set(picks)) == 3
    for k in range(3):
        value = regret[:, picks[: k + 1]].min(axis=1).mean()
        best = min(regret[:, [*picks[:k], c]].min(axis=1).mean() for c in range(6))
        assert value == pytest.approx(best)


def test_portfolio_reads_tasks_without_shared_configurations_at_the_nearest_one() -> None:
    tasks = [bowl(f"t{i}", 0.7, n=60, seed=i) for i in range(5)]
    policy = GreedyPortfolio(n_picks=3).learn(tasks[1:], "s", 0)
    assert np.abs(policy.picks[0] - 0.7).max() < 0.2
    assert replay(policy, tasks[0], 1).regret[0] < 0.1


def test_portfolio_goes_on_with_a_gaussian_process() -> None:
    tasks = [bowl(f"t{i}", 0.7, n=60, seed=i) for i in range(4)]
    stranger = bowl("stranger", 0.2, n=60, seed=9)
    policy = GreedyPortfolio(n_picks=2).learn(tasks, "s", 0)
    regret = replay(policy, stranger, 15).regret
    assert regret[1] > 0.1
    assert regret[-1] < 0.02
