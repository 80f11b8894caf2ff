"""HPO-B's protocol: lists in, an index out, values maximised."""

from __future__ import annotations

import json
import string

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace

from metahpo.evaluation.pool import PoolOptimizer
from metahpo.exceptions import DataError, SpaceError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.surrogates.fitting.training import TrainingSettings, train_on_tables, train_surrogate
from metahpo.surrogates.mixture.meta_learned import MetaLearnedSurrogate
from tests.surrogates.recorded_world import QUICK, bowl, centre, world


@pytest.fixture(scope="module")
def surrogate() -> MetaLearnedSurrogate:
    return train_on_tables(world(), settings=QUICK)


def replay(optimizer: PoolOptimizer, n_trials: int) -> float:
    """Normalised regret after some trials on a bowl never seen, in lists as the benchmark's handler gives them."""
    table = bowl("new", 0.8, scale=30.0, n=80, seed=77, shared=False)
    pool, seen = list(range(80)), list[int]()
    for _ in range(n_trials):
        X_obs, y_obs = table.X[seen].tolist(), [[-loss] for loss in table.loss[seen]]
        seen.append(pool.pop(optimizer.observe_and_suggest(X_obs, y_obs, table.X[pool].tolist())))
    return float((table.loss[seen].min() - table.loss.min()) / np.ptp(table.loss))


def test_it_finds_good_configurations_of_a_new_task(surrogate: MetaLearnedSurrogate) -> None:
    assert replay(PoolOptimizer(surrogate), 12) < 0.03


def test_meta_features_help_the_first_pick(surrogate: MetaLearnedSurrogate) -> None:
    X = np.random.default_rng(0).random((100, 3))
    told = X[PoolOptimizer(surrogate, {"where": 0.9, "sometimes": 0.9}).observe_and_suggest([], [], X)]
    assert np.linalg.norm(told - centre(0.9)) < np.linalg.norm(told - centre(0.1))


def test_values_are_maximised(surrogate: MetaLearnedSurrogate) -> None:
    X = np.random.default_rng(1).random((30, 3))
    near, far = np.array([[0.2, 0.2, 0.2]]), np.array([[0.9, 0.9, 0.9]])
    y = -np.square(X - near).sum(axis=1)
    assert PoolOptimizer(surrogate).observe_and_suggest(X, y, np.concatenate([near, far])) == 0
    assert PoolOptimizer(surrogate).observe_and_suggest(X, -y, np.concatenate([near, far])) == 1


def test_it_is_deterministic_and_remembers_nothing_between_tasks(surrogate: MetaLearnedSurrogate) -> None:
    optimizer = PoolOptimizer(surrogate)
    X = np.random.default_rng(2).random((20, 3))
    first = optimizer.observe_and_suggest(X[:5], np.arange(5.0), X[5:])
    optimizer.observe_and_suggest(X[10:], np.arange(10.0), X[:10])
    assert optimizer.observe_and_suggest(X[:5], np.arange(5.0), X[5:]) == first


def test_a_failed_trial_is_a_trial(surrogate: MetaLearnedSurrogate) -> None:
    X = np.random.default_rng(3).random((20, 3))
    assert 0 <= PoolOptimizer(surrogate).observe_and_suggest(X[:3], [np.nan, 0.5, np.nan], X[3:]) < 17


def test_an_empty_pool_and_unequal_lengths_are_refused(surrogate: MetaLearnedSurrogate) -> None:
    X = np.random.default_rng(4).random((5, 3))
    with pytest.raises(DataError, match="at least one"):
        PoolOptimizer(surrogate).observe_and_suggest(X, np.ones(5), [])
    with pytest.raises(DataError, match="equal length"):
        PoolOptimizer(surrogate).observe_and_suggest(X, np.ones(4), X)


def test_a_search_begins_with_the_best_guess_of_a_recommendation(surrogate: MetaLearnedSurrogate) -> None:
    pool = bowl("new", 0.8, scale=30.0, n=80, seed=77, shared=False).X
    for where in (None, 0.2, 0.8):
        meta_features = None if where is None else {"where": where, "sometimes": where}
        first = PoolOptimizer(surrogate, meta_features).observe_and_suggest([], [], pool)
        posterior = surrogate.posterior(pool, meta_features=meta_features)
        assert first == complementary_picks(posterior, 1)[0] == posterior.mixture_mean().argmin()


def sixteen_columns() -> dict[str, dict[str, object]]:
    """Recorded tasks whose score follows from the third and the eleventh of sixteen columns."""
    rng = np.random.default_rng(0)
    tables: dict[str, dict[str, object]] = {}
    for t in range(4):
        X = rng.random((40, 16))
        y = -np.square(X[:, 2] - 0.2 * t) - 3.0 * np.square(X[:, 10] - 0.5)
        tables[f"task{t}"] = {"X": X.tolist(), "y": y.tolist()}
    return tables


def test_sixteen_columns_are_those_that_came_whatever_they_are_called() -> None:
    tables = sixteen_columns()
    numbered = MetaDataset.from_hpob({"s": tables})
    letters = list(string.ascii_lowercase[:16])
    names = dict(zip(numbered.encoder("s").columns, letters, strict=True))
    texts = [
        json.dumps({names[k]: v for k, v in json.loads(text).items()}) for text in numbered.trials["configuration"]
    ]
    space = ConfigurationSpace(dict.fromkeys(letters, (0.0, 1.0)))
    renamed = MetaDataset(numbered.tasks, numbered.trials.assign(configuration=texts), None, {"s": space})
    for table in numbered.tables("s"):
        np.testing.assert_array_equal(table.X, tables[table.task]["X"])
    quick = TrainingSettings(kernel_steps=20, component_steps=5, n_reference=40)
    picks = []
    for md in (numbered, renamed):
        optimizer = PoolOptimizer(train_surrogate(md, "s", settings=quick))
        pool, y = np.random.default_rng(1).random((60, 16)), np.arange(5.0)
        picks.append([optimizer.observe_and_suggest(pool[:n], y[:n], pool[n:]) for n in range(6)])
    assert picks[0] == picks[1]
    shuffled = pd.DataFrame(pool, columns=letters)[letters[::-1]]
    assert [optimizer.observe_and_suggest(shuffled[:n], y[:n], shuffled[n:]) for n in range(6)] == picks[0]


def test_rows_of_other_columns_are_refused(surrogate: MetaLearnedSurrogate) -> None:
    X = np.random.default_rng(4).random((5, 4))
    with pytest.raises(SpaceError, match=r"must be of shape \(n, 3\), with the columns \['x0', 'x1', 'x2'\]"):
        PoolOptimizer(surrogate).observe_and_suggest([], [], X)
    with pytest.raises(SpaceError, match="must have the columns"):
        PoolOptimizer(surrogate).observe_and_suggest([], [], pd.DataFrame(X[:, :3], columns=["a", "b", "c"]))
