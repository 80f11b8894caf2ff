"""The surrogate learnt across tasks keeps the contract, and uses what tasks have in common."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import expected_improvement
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metadata.task_table import TaskTable
from metahpo.numerics.copula import normal_scores
from metahpo.space.configuration import to_json
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.fitting.training import train_on_tables, train_surrogate
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.testing import TrainedSurrogateContract
from tests.surrogates.recorded_world import QUICK, bowl, centre, world

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def bowls() -> MetaLearnedSurrogate:
    return train_on_tables(world(), space_name="bowls", settings=QUICK)


class TestOnBowls(TrainedSurrogateContract):
    @pytest.fixture
    def surrogate(self, bowls: MetaLearnedSurrogate) -> TrainedSurrogate:
        return bowls

    @pytest.fixture
    def trials(self) -> tuple[Array, Array]:
        return best_first(bowl("new", 0.35, n=9, seed=99, shared=False))


@pytest.fixture(scope="module")
def cash() -> MetaLearnedSurrogate:
    return train_surrogate(two_learners(), space=None, settings=QUICK)


class TestOnConditionalSpaces(TrainedSurrogateContract):
    """All learners together: a CASH space with inactive columns."""

    @pytest.fixture
    def surrogate(self, cash: MetaLearnedSurrogate) -> TrainedSurrogate:
        return cash

    @pytest.fixture
    def trials(self) -> tuple[Array, Array]:
        return best_first(two_learners(seed=3).tables(None)[0])


def best_first(table: TaskTable) -> tuple[Array, Array]:
    order = np.argsort(table.loss)
    return table.X[order], table.loss[order]


def two_learners(seed: int = 0) -> MetaDataset:
    linear = ConfigurationSpace({"C": Float("C", (1e-3, 1e3), log=True)})
    forest = ConfigurationSpace()
    kind, depth = Categorical("kind", ["free", "bound"]), Float("depth", (0.0, 1.0))
    forest.add(kind, depth, EqualsCondition(depth, kind, "bound"))
    spaces = {"linear": linear, "forest": forest}
    rng, rows = np.random.default_rng(seed), []
    for t in range(8):
        best_c, forest_is_good = rng.uniform(-1, 1), t % 2
        for name, space in spaces.items():
            for c in sobol_design(space, 10, random_state=1):
                loss = (
                    abs(np.log10(c["C"]) - best_c)
                    if name == "linear"
                    else 3.0 - 3.0 * forest_is_good + c.get("depth", 0.7)
                )
                rows.append({"task": f"t{t}", "space": name, "configuration": to_json(c), "loss.r2": loss})
    trials = pd.DataFrame(rows).assign(status="success", seconds=1.0)
    names = [f"t{t}" for t in range(8)]
    tasks = pd.DataFrame({"family": names, "kind": "regression"}, index=names)
    return MetaDataset(tasks, trials, None, spaces, name="two")


def test_meta_features_place_the_first_pick(bowls: MetaLearnedSurrogate) -> None:
    candidates = np.random.default_rng(1).random((200, 3))
    for where in (0.1, 0.9):
        told = bowls.posterior(candidates, meta_features={"where": where, "sometimes": where})
        pick = candidates[np.argmax(expected_improvement(told))]
        assert np.linalg.norm(pick - centre(where)) < np.linalg.norm(pick - centre(1.0 - where))


def test_nearest_tasks_are_named_before_and_after_trials(bowls: MetaLearnedSurrogate) -> None:
    where = {t.task: (t.meta_features or {})["where"] for t in world()}
    told = bowls.task_weights(meta_features={"where": 0.05, "sometimes": 0.05})
    shown = bowls.task_weights(trials_of(0.95))
    assert mean_where(told, where) < 0.45
    assert mean_where(shown, where) > 0.55


def trials_of(where: float) -> tuple[Array, Array]:
    table = bowl("new", where, n=12, seed=50, shared=False)
    return table.X, table.loss


def mean_where(weights: dict[str, float], where: dict[str, float]) -> float:
    return sum(w * where[t] for t, w in weights.items())


def test_the_first_five_trials_beat_random_search(bowls: MetaLearnedSurrogate) -> None:
    regrets, at_random = [], []
    for i, where in enumerate((0.05, 0.33, 0.61, 0.97)):
        pool = bowl("new", where, n=150, seed=200 + i, shared=False)
        seen: list[int] = []
        while len(seen) < 5:
            gain = expected_improvement(bowls.posterior(pool.X, (pool.X[seen], pool.loss[seen])))
            gain[seen] = -1.0
            seen.append(int(gain.argmax()))
        spread = pool.loss.max() - pool.loss.min()
        regrets.append((pool.loss[seen].min() - pool.loss.min()) / spread)
        drawn = np.random.default_rng(i).random((200, len(pool.loss))).argsort(axis=1)[:, :5]
        at_random.append((pool.loss[drawn].min(axis=1).mean() - pool.loss.min()) / spread)
    assert np.mean(regrets) < 0.6 * np.mean(at_random)


def test_trials_overrule_what_other_tasks_say() -> None:
    surrogate = train_on_tables(world(), settings=QUICK)
    X = np.random.default_rng(7).random((60, 3))
    contrary = -np.square(X - centre(0.5)).sum(axis=1)  # best where every task learnt from is worst
    seen, unseen = slice(0, 40), slice(40, 60)
    predicted = surrogate.posterior(X[unseen], (X[seen], contrary[seen])).mixture_mean()
    assert np.corrcoef(predicted, contrary[unseen])[0, 1] > 0.7


def test_an_unseen_space_of_rows_answers_between_recorded_configurations(bowls: MetaLearnedSurrogate) -> None:
    space = bowls.space
    assert SpaceEncoder(space).n_columns == 3
    line = np.linspace(0, 1, 50)[:, None] * np.ones((1, 3))
    assert np.abs(np.diff(bowls.posterior(line).mixture_mean())).max() < 0.5  # no cliffs


@pytest.mark.parametrize("n_trials", [0, 5, 20])
def test_intervals_hold_away_from_the_recorded_configurations(bowls: MetaLearnedSurrogate, n_trials: int) -> None:
    covered = []
    for i, where in enumerate(np.linspace(0.07, 0.93, 10)):
        task = bowl("new", where, 3.0, 120, 100 + i, shared=False)
        z = normal_scores(task.loss)
        observed = (task.X[:n_trials], task.loss[:n_trials]) if n_trials else None
        posterior = bowls.posterior(task.X[20:], observed, task.meta_features)
        covered.append(np.abs(posterior.cdf(z[20:]) - 0.5) < 0.4)
    assert 0.65 < np.mean(covered) <= 0.97


def test_threads_that_share_it_get_what_one_thread_gets(bowls: MetaLearnedSurrogate) -> None:
    rng = np.random.default_rng(0)
    questions = []
    for i in range(40):
        X, n = rng.random((12, 3)), i % 7
        questions.append((X, (X[:n], rng.random(n)), {"where": float(rng.random()), "sometimes": float(rng.random())}))

    def ask(i: int) -> bytes:
        posterior = bowls.posterior(*questions[i % len(questions)])
        return b"".join(part.tobytes() for part in (posterior.weights, posterior.mean, posterior.std))

    alone = [ask(i) for i in range(len(questions))]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(ask, range(8 * len(questions))))
    assert together == 8 * alone


def test_on_one_task_it_answers_as_it_does_without_a_memory(bowls: MetaLearnedSurrogate) -> None:
    X, features = np.random.default_rng(0).random((30, 3)), {"where": 0.3, "sometimes": 0.3}
    on_task = bowls.on(features)
    for n in range(5):
        observed = (X[:n], np.arange(n) / 5.0)
        expected, found = bowls.posterior(X[n:], observed, features), on_task.posterior(X[n:], observed)
        np.testing.assert_allclose(found.mixture_mean(), expected.mixture_mean(), atol=1e-5)


def test_between_two_trials_the_hypotheses_are_conditioned_once(
    bowls: MetaLearnedSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditioned, condition = [], Mixture.condition

    def counting(*arguments: Any) -> Any:
        conditioned.append(arguments)
        return condition(*arguments)

    monkeypatch.setattr(Mixture, "condition", counting)
    X, losses, on_task = np.random.default_rng(0).random((9, 3)), np.arange(4) / 4.0, bowls.on()
    asked: list[tuple[Any, Any]] = [((X[:4], losses), None), ((X[:4], losses[::-1]), None), ((X[:3], losses[:3]), None)]
    asked.append(((X[:4], losses), np.array([0.0, 0.0, 0.0, 0.5])))
    for count, (observed, noise) in enumerate(asked, start=1):
        expected = bowls.posterior(X, observed, None, noise).mixture_mean()
        conditioned.clear()
        for rows in (X, X[5:], X):
            found = on_task.posterior(rows, observed, noise).mixture_mean()
        assert len(conditioned) == 1, count
        np.testing.assert_allclose(found, expected, atol=1e-5)
    pickle.loads(pickle.dumps(on_task)).posterior(X, *asked[-1])
    assert len(conditioned) == 2
