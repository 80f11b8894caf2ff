"""The networks as scikit-learn estimators: what fits, predicts, stops, goes on and fails, as a user meets it."""

from __future__ import annotations

import pickle
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from metahpo.exceptions import DataError
from metahpo.networks.convnet.convnet_classifier import ConvNetClassifier
from metahpo.networks.mlp.compiled import compiled_training
from metahpo.networks.mlp.compiled.compiled_training import compile_ahead
from metahpo.networks.mlp.compiled.epoch import predict, train_epoch
from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
from metahpo.networks.mlp.mlp_estimator import NetworkEstimator
from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
from metahpo.networks.text.pretrained import PretrainedTextClassifier
from metahpo.networks.text.text_classifier import TextClassifier

#: Rows are held out and drawn in batches at random: a weight of two is not a row that stands twice.
STOCHASTIC = {
    "check_sample_weight_equivalence_on_dense_data": "batches and held-out rows are drawn at random",
}


def mixed_table(n: int = 120) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Numbers and categories with gaps; the label follows from both."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.standard_normal(n), "b": rng.standard_normal(n)})
    X["c"] = rng.choice(["u", "v", "w"], n)
    X["d"] = pd.Categorical(rng.choice([1, 2], n))
    y = np.where(X["a"] + 2.0 * (X["c"] == "u") > 0.7, "yes", "no")
    X.loc[::9, "a"] = np.nan
    X.loc[::11, "c"] = None
    return X, y


def test_compilation_is_not_counted_as_training(monkeypatch: pytest.MonkeyPatch) -> None:
    functions: list[Any] = [train_epoch, predict]
    compile_ahead(torch.float32)
    before = [len(function.signatures) for function in functions]
    X, y = mixed_table(40)
    monkeypatch.setattr(compiled_training, "compile_ahead", lambda dtype: time.sleep(0.5))
    options: dict[str, Any] = {"epochs": 1, "members": 1, "dropout": 0.2, "early_stopping": False, "device": "cpu"}
    for model, target in ((NetworkClassifier(**options), y), (NetworkRegressor(**options), X["b"])):
        model.fit(X, target)
        assert model.fit_seconds_ < 0.5
    assert [len(function.signatures) for function in functions] == before  # nothing was left to compile


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [NetworkClassifier(epochs=15), NetworkRegressor(epochs=15)], ids=["clf", "reg"])
def test_scikit_learns_own_checks(estimator: NetworkEstimator) -> None:
    results = check_estimator(estimator, expected_failed_checks=STOCHASTIC, on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"] == []
    assert {r["check_name"] for r in results if r["status"] == "xfail"} <= STOCHASTIC.keys()


@pytest.mark.parametrize(
    ("estimator", "taken"),
    [
        (NetworkClassifier(), {"two_d_array", "allow_nan"}),
        (NetworkRegressor(), {"two_d_array", "allow_nan"}),
        (ConvNetClassifier(), {"three_d_array", "allow_nan"}),
        (TextClassifier(), {"one_d_array", "string", "allow_nan"}),
        (PretrainedTextClassifier(), {"one_d_array", "string", "allow_nan"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tags_say_what_input_is_taken(estimator: Any, taken: set[str]) -> None:
    tags = get_tags(estimator)
    assert {name for name, value in asdict(tags.input_tags).items() if value is True} == taken
    assert tags.target_tags.required
    assert tags.estimator_type == ("regressor" if isinstance(estimator, NetworkRegressor) else "classifier")


def test_learns_tables_with_numbers_categories_and_gaps() -> None:
    X, y = mixed_table(300)
    model = NetworkClassifier(random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(X, y) > 0.9
    without = NetworkClassifier(random_state=0).fit(X[["a", "b"]], y)
    assert model.score(X, y) > without.score(X[["a", "b"]], y) + 0.1


def test_predicts_well_on_rows_it_has_not_seen() -> None:
    assert cross_val_score(NetworkClassifier(random_state=0), *load_wine(return_X_y=True), cv=3).mean() > 0.95
    assert cross_val_score(NetworkRegressor(random_state=0), *load_diabetes(return_X_y=True), cv=3).mean() > 0.42


def test_unseen_categories_and_new_gaps_are_predicted() -> None:
    X, y = mixed_table()
    model = NetworkClassifier(epochs=3, random_state=0).fit(X, y)
    new = pd.DataFrame({"a": [np.nan, 1e300], "b": [np.nan, np.inf], "c": ["new", None], "d": [None, 3]})
    probability = model.predict_proba(new)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    # Every category that was never seen says the same: nothing.
    X["c"], other = "x", X.assign(c="y")
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(other))


def test_categorical_columns_of_an_array_are_named_by_position() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 6, 300), rng.standard_normal(300)]).astype(float)
    y = np.isin(X[:, 0], [1, 4]).astype(int)
    assert NetworkClassifier(categorical_features=[0], random_state=0).fit(X, y).score(X, y) > 0.95
    with pytest.raises(ValueError, match="categorical_features names column 7, but X has 2 columns"):
        NetworkClassifier(categorical_features=[7]).fit(X, y)
    with pytest.raises(ValueError, match="categorical_features names 'z', but X has the columns"):
        NetworkClassifier(categorical_features=["z"]).fit(pd.DataFrame(X, columns=["p", "q"]), y)


def test_every_epoch_is_written_down() -> None:
    X, y = mixed_table()
    model = NetworkClassifier(epochs=6, early_stopping=True, random_state=0).fit(X, y)
    assert {name: len(values) for name, values in model.history_.items()} == dict.fromkeys(
        ("train_loss", "validation_loss", "validation_metric", "seconds"), 6
    )
    assert model.history_["train_loss"][-1] < model.history_["train_loss"][0]
    assert model.best_epoch_ == 1 + int(np.argmin(model.history_["validation_loss"]))
    assert 0 < sum(model.history_["seconds"]) <= model.fit_seconds_


def test_stops_early_and_keeps_the_best_weights() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 5)), rng.integers(0, 2, 100)  # nothing to learn: the best epoch comes soon
    model = NetworkClassifier(
        epochs=200, early_stopping=True, patience=3, learning_rate=0.01, schedule="constant", members=1, random_state=0
    ).fit(X, y)
    assert model.status_ == "stopped"
    assert model.n_epochs_ == model.best_epoch_ + 3 < 200
    until_best = clone(model).set_params(epochs=model.best_epoch_).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), until_best.predict_proba(X), rtol=1e-5)


def test_small_tables_hold_no_rows_out() -> None:
    X, y = mixed_table(40)
    assert NetworkClassifier(epochs=2, early_stopping=True).fit(X, y).history_["validation_loss"] == []
    assert NetworkClassifier(epochs=2, batch_size=1, normalisation="batch").fit(X, y).status_ == "finished"


def test_rows_of_weight_zero_say_nothing() -> None:
    X, y = load_wine(return_X_y=True)
    wrong = np.where(np.arange(len(y)) % 3 == 0, 2 - y, y)
    weight = (wrong == y).astype(float)
    model = NetworkClassifier(random_state=0).fit(X, wrong, sample_weight=weight)
    assert model.score(X, y) > 0.97
    with pytest.raises(ValueError, match="at least one non-zero"):
        model.fit(X, y, sample_weight=np.zeros(len(y)))


def test_class_weights_lift_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2))
    y = (X[:, 0] + rng.standard_normal(400) > 1.9).astype(int)
    plain, balanced = (
        NetworkClassifier(class_weight=w, random_state=0).fit(X, y) for w in (None, "balanced")
    )  # fmt: skip
    assert balanced.predict(X).sum() > 2 * plain.predict(X).sum()
    by_name = NetworkClassifier(class_weight={1: 9.0}, random_state=0).fit(X, y)
    assert by_name.predict(X).sum() > plain.predict(X).sum()


def test_partial_fit_goes_on_from_where_it_was() -> None:
    X, y = load_wine(return_X_y=True)
    model = NetworkClassifier(random_state=0, learning_rate=1e-2)
    for _ in range(15):
        model.partial_fit(X, y, classes=[0, 1, 2])
    losses = model.history_["train_loss"]
    assert len(losses) == 15
    assert losses[-1] < 0.5 * losses[0]
    assert model.score(X, y) > 0.95
    after_fit = NetworkClassifier(random_state=0, epochs=5).fit(X, y)
    assert len(after_fit.partial_fit(X, y).history_["train_loss"]) == 6


def test_partial_fit_knows_classes_to_come() -> None:
    X, y = load_wine(return_X_y=True)
    model = NetworkClassifier(random_state=0).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(ValueError, match=r"y has the labels \[7\], but the classes are"):
        model.partial_fit(X, np.full(len(y), 7))
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    regressor = NetworkRegressor(random_state=0)
    assert np.isfinite(regressor.partial_fit(X, y).partial_fit(X, y).predict(X)).all()


def test_pickles_predict_the_same_and_go_on_the_same() -> None:
    X, y = mixed_table()
    model = NetworkClassifier(epochs=3, normalisation="batch", dropout=0.2, random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(copy.partial_fit(X, y).predict_proba(X), model.partial_fit(X, y).predict_proba(X))


def test_equal_seeds_give_equal_networks_and_leave_global_seeds_alone() -> None:
    X, y = mixed_table()
    before = (torch.random.get_rng_state(), str(np.random.get_state()))  # noqa: NPY002 - the point of the test
    first, second, other = (
        NetworkClassifier(epochs=3, dropout=0.3, random_state=seed).fit(X, y).predict_proba(X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == str(np.random.get_state())  # noqa: NPY002


def test_a_diverging_network_says_so_and_still_predicts() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = NetworkRegressor(optimiser="sgd", learning_rate=1e6, activation="relu", random_state=0)
    with pytest.warns(ConvergenceWarning, match="training diverged in epoch 1; .* Try a lower learning_rate"):
        model.fit(X, y)
    assert model.status_ == "diverged"
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"device": "abacus"}, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', but is 'abacus'"),
        ({"device": "meta"}, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', but is 'meta'"),
        ({"device": "cuda:99"}, "device 'cuda:99' was asked for, but torch sees"),
    ],
)
def test_a_device_that_is_not_there_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        NetworkRegressor(**parameters).fit(*load_diabetes(return_X_y=True))


def test_targets_that_cannot_be_learnt_are_refused() -> None:
    X, y = mixed_table()
    with pytest.raises(ValueError, match="y contains NaN"):
        NetworkRegressor().fit(X, np.where(np.arange(len(X)) == 3, np.nan, 1.0))
    with pytest.raises(ValueError, match="y contains infinity"):
        NetworkRegressor().fit(X, np.where(np.arange(len(X)) == 3, np.inf, 1.0))
    with pytest.raises(ValueError, match="two classes or more"):
        NetworkClassifier().fit(X, np.zeros(len(X), dtype=int))
    with pytest.raises(ValueError, match="X and y must have equally many rows, but have 120 and 119"):
        NetworkClassifier().fit(X, y[1:])


def test_threads_change_nothing() -> None:
    X, y = load_wine(return_X_y=True)
    one, two = (NetworkClassifier(epochs=3, n_jobs=n, random_state=0).fit(X, y).predict_proba(X) for n in (None, 2))
    np.testing.assert_array_equal(one, two)


def test_members_are_averaged_and_differ() -> None:
    X, y = load_wine(return_X_y=True)
    one, four = (NetworkClassifier(members=n, epochs=5, random_state=0).fit(X, y) for n in (1, 4))
    assert [len(model.outcomes_) for model in (one, four)] == [1, 4]
    first, second = (outcome.parameters["numbers.weight"] for outcome in four.outcomes_[:2])
    assert not np.allclose(first, second)
    np.testing.assert_allclose(first, one.outcomes_[0].parameters["numbers.weight"], rtol=1e-3, atol=1e-3)
    four.outcomes_ = four.outcomes_[:1]
    np.testing.assert_allclose(four.predict_proba(X), one.predict_proba(X), atol=0.01)
