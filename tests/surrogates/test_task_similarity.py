"""What meta-features may say of tasks, and what they must not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from metahpo.surrogates.fitting.similarity_learning import learn_similarity
from metahpo.surrogates.meta_feature_values import comparable
from metahpo.surrogates.mixture.source_functions import TaskSimilarity

N_TASKS = 24
NAMES = [f"task{i}" for i in range(N_TASKS)]


def functions_of(where: NDArray[np.float64]) -> NDArray[np.float64]:
    """Functions at 50 configurations that turn with `where`."""
    x = np.linspace(0, 1, 50)[:, None]
    return np.cos(3 * (x - where[None]))


def similarity(informative: bool = True) -> tuple[TaskSimilarity, NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    where = rng.random(N_TASKS)
    told = where if informative else rng.random(N_TASKS)
    features: list[dict[str, float] | None] = [{"where": float(w), "constant": 1.0, "rare": np.nan} for w in told]
    return learn(features, NAMES, functions_of(where))[0], where


def learn(
    features: list[dict[str, float] | None], families: list[str], functions: NDArray[np.float64]
) -> tuple[TaskSimilarity, NDArray[np.float64]]:
    return learn_similarity(features, families, functions, np.random.default_rng(0))


def test_informative_meta_features_are_trusted_and_point_to_like_tasks() -> None:
    learnt, where = similarity()
    assert learnt.shrinkage > 0.8
    assert learnt.names == ("where",)  # what does not vary, or is not known, is no meta-feature
    for query in (0.1, 0.9):
        weights = learnt.weights({"where": query})
        assert weights.sum() == pytest.approx(1)
        near = np.abs(where - query) < 0.3
        assert weights[near].mean() > weights[~near].mean()


def test_the_expected_function_is_nearer_than_the_mean_function() -> None:
    learnt, where = similarity()
    error_told = error_mean = 0.0
    for query in (0.15, 0.4, 0.85):
        truth = functions_of(np.array([query]))[:, 0]
        error_told += np.abs(functions_of(where) @ learnt.weights({"where": query}) - truth).mean()
        error_mean += np.abs(functions_of(where).mean(axis=1) - truth).mean()
    assert error_told < 0.5 * error_mean


def test_meta_features_that_say_nothing_are_not_trusted() -> None:
    learnt, _ = similarity(informative=False)
    assert learnt.shrinkage < 0.3


@pytest.mark.parametrize("query", [None, {}, {"other": 3.0}, {"where": np.nan}])
def test_unknown_meta_features_give_equal_weights(query: dict[str, float] | None) -> None:
    learnt, _ = similarity()
    np.testing.assert_allclose(learnt.weights(query), 1 / N_TASKS, atol=1e-12)


@pytest.mark.parametrize("features", [[None] * 4, [{}] * 4, [{"a": 1.0}] * 4])
def test_without_meta_features_all_tasks_are_alike(features: list[dict[str, float] | None]) -> None:
    learnt, held_out_tasks = learn(features, NAMES[:4], np.eye(4))
    assert learnt.shrinkage == 0.0
    np.testing.assert_allclose(learnt.weights({"a": 2.0}), 0.25)
    np.testing.assert_allclose(held_out_tasks, (1 - np.eye(4)) / 3)


def test_a_change_of_units_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    where = rng.random(N_TASKS)
    one, _ = learn([{"w": float(w)} for w in where], NAMES, functions_of(where))
    other, _ = learn([{"w": float(np.exp(9 * w))} for w in where], NAMES, functions_of(where))
    np.testing.assert_allclose(one.weights({"w": 0.3}), other.weights({"w": float(np.exp(2.7))}))


def test_values_and_queries_are_rounded_alike() -> None:
    learnt, where = similarity()
    np.testing.assert_array_equal(comparable(learnt.values), learnt.values)
    for i, own in enumerate(where):
        np.testing.assert_array_equal(learnt.weights({"where": own}), learnt.weights({"where": learnt.values[i, 0]}))
        grown = learnt.with_task({"where": own})
        assert grown.values[-1, 0] == learnt.values[i, 0]


def test_a_family_is_left_out_whole() -> None:
    rng = np.random.default_rng(2)
    where = rng.random(N_TASKS)
    features: list[dict[str, float] | None] = [{"where": float(w), "noise": float(rng.random())} for w in where]
    families = [f"family{i // 3}" for i in range(N_TASKS)]
    learnt, held_out_tasks = learn(features, families, functions_of(where))
    assert learnt.shrinkage > 0.5
    same = np.array([[a == b for b in families] for a in families])
    assert (held_out_tasks[same] == 0).all()
    np.testing.assert_allclose(held_out_tasks.sum(axis=1), 1)


def test_leaving_out_is_learning_from_the_others() -> None:
    rng = np.random.default_rng(5)
    where, families = rng.random(9), list("aabbbcdde")
    features: list[dict[str, float] | None] = [{"w": float(w), "noise": float(rng.random())} for w in where]
    learnt, held_out_tasks = learn(features, families, functions_of(where))
    assert learnt.shrinkage > 0.1
    between, n_others = learnt._between, np.array([len(families) - families.count(family) for family in families])
    median = np.median(between[np.triu_indices(len(families), 1)])
    for i, family in enumerate(families):
        others = np.array([other != family for other in families])
        mean = np.zeros(others.sum())
        for h in (0.5 * median, median, 2 * median):
            kernel = np.exp(-0.5 * np.square(between / h))
            w = np.linalg.solve(kernel[np.ix_(others, others)] + np.eye(others.sum()), kernel[others, i])
            mean += (w + (1 - w.sum()) / n_others[i]) / 3
        np.testing.assert_allclose(
            held_out_tasks[i, others], learnt.shrinkage * mean + (1 - learnt.shrinkage) / n_others[i]
        )


def test_what_a_family_is_like_tells_nothing_of_its_own_weights() -> None:
    rng = np.random.default_rng(2)
    where, families = rng.random(N_TASKS), [f"family{i // 3}" for i in range(N_TASKS)]
    features: list[dict[str, float] | None] = [{"where": float(w), "noise": float(rng.random())} for w in where]
    functions = functions_of(where)
    learnt, held_out_tasks = learn(features, families, functions)
    functions[:, :3] *= 3.0
    again, otherwise = learn(features, families, functions)
    equal = np.r_[np.zeros(3), np.full(N_TASKS - 3, 1 / (N_TASKS - 3))]
    assert min(learnt.shrinkage, again.shrinkage) > 0.1
    np.testing.assert_allclose(
        (held_out_tasks[:3] - equal) / learnt.shrinkage, (otherwise[:3] - equal) / again.shrinkage, atol=1e-12
    )
    assert not np.allclose(held_out_tasks[3:], otherwise[3:])


def test_tasks_that_all_agree_leave_nothing_for_likeness_to_tell() -> None:
    features: list[dict[str, float] | None] = [{"size": float(i)} for i in range(4)]
    learnt, _ = learn(features, ["a", "b", "c", "d"], np.ones((50, 4)))
    assert learnt.shrinkage == 0.0
    np.testing.assert_allclose(learnt.weights({"size": 1.0}), 0.25)


def test_meta_features_count_as_far_as_they_tell_functions_apart() -> None:
    rng = np.random.default_rng(3)
    where = rng.random(N_TASKS)
    noise = rng.random((N_TASKS, 9))
    features = [
        {"where": float(w), **{f"noise{j}": float(x) for j, x in enumerate(row)}}
        for w, row in zip(where, noise, strict=True)
    ]
    learnt, _ = learn([*features], NAMES, functions_of(where))
    relevance = dict(zip(learnt.names, learnt.relevance, strict=True))
    assert sum(relevance.values()) == pytest.approx(1)
    assert relevance["where"] > 0.5
    shares = learnt.shares(features[0])
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert next(iter(shares)) == "where"
    assert "where" not in learnt.shares({**features[0], "where": np.nan})
    assert learnt.shares(None) == {}
    here, there = ({**features[0], "where": query} for query in (0.1, 0.9))
    near = np.abs(where - 0.1) < 0.3
    assert learnt.weights(here)[near].sum() > 2 * learnt.weights(there)[near].sum()


def test_too_few_tasks_to_tell_make_all_meta_features_count_alike() -> None:
    features: list[dict[str, float] | None] = [{"a": float(i), "b": float(-i * i)} for i in range(4)]
    learnt, held_out_tasks = learn(features, list("wxyz"), np.random.default_rng(0).normal(size=(20, 4)))
    np.testing.assert_allclose(learnt.relevance, 0.5)
    np.testing.assert_allclose(held_out_tasks.sum(axis=1), 1)
