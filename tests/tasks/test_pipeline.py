"""Pipelines that take a dataset as its user has it: the same columns as the task, the user's own labels."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from metahpo.exceptions import DataError
from metahpo.learners.registry import learner_named
from metahpo.space.activity import default_configuration
from metahpo.tasks.modality import as_task
from metahpo.tasks.pipeline import TaskPipeline
from metahpo.tasks.task import Task, TaskKind

N = 100
RNG = np.random.default_rng(0)
SIDE = RNG.integers(0, 2, N).astype(bool)
NOISE = RNG.normal(size=N)
DAY = dt.date(2020, 1, 1)


def pipeline(task: Task, learner: str = "linear", **parameters: Any) -> TaskPipeline:
    chosen = learner_named(learner, task.kind)
    few = {"random_forest": {"n_estimators": 10}, "boosting": {"max_iter": 5}}.get(learner, {})
    made = chosen.pipeline({**default_configuration(chosen.space), **few}, task, 0).set_params(**parameters)
    assert isinstance(made, TaskPipeline)
    return made


#: Columns of every sort that tell the two sides apart.
COLUMNS: dict[str, Any] = {
    "booleans": SIDE,
    "booleans with gaps": np.array([None if i % 10 == 0 else bool(v) for i, v in enumerate(SIDE)], dtype=object),
    "nullable booleans": pd.array(SIDE, dtype="boolean"),
    "categories of integers": pd.Categorical(np.where(SIDE, 10, 20)),
    "categories of fractions": pd.Categorical(np.where(SIDE, 1.5, 2.5)),
    "intervals": pd.cut(SIDE.astype(float), [-1, 0.5, 2]),
    "texts": np.where(SIDE, "p", "q"),
    "numbers and words": np.array([1 if v else "one" for v in SIDE], dtype=object),
    "decimals": np.array([Decimal(int(v)) for v in SIDE], dtype=object),
    "decimal commas": np.where(SIDE, "1.234,5", "0,5"),
    "percent": np.where(np.arange(N) % 15 == 0, "?", np.where(SIDE, "12 %", "3 %")),
    "dates": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.where(SIDE, 1000, 0), "D"),
    "dates in a zone": (pd.Timestamp("2020-01-01") + pd.to_timedelta(np.where(SIDE, 1000, 0), "D")).tz_localize("CET"),
    "dates as texts": np.where(SIDE, "31.12.2020", "01.02.1999"),
    "dates as objects": [DAY if v else DAY.replace(year=1990) for v in SIDE],
    "durations": pd.to_timedelta(np.where(SIDE, 1000, 0), "h"),
    "periods": pd.PeriodIndex(np.where(SIDE, "2021-01", "2015-01"), freq="M"),
    "arrow": pd.Series(SIDE).astype("bool[pyarrow]"),
}


@pytest.mark.parametrize("sort", COLUMNS)
def test_raw_rows_are_predicted_as_prepared_ones(sort: str) -> None:
    X = pd.DataFrame({"f": COLUMNS[sort], "g": NOISE, "id": [f"row {i} of a text" for i in range(N)]})
    X.index = pd.Index([0] * N)
    y = np.where(SIDE, "yes", "no")
    task = Task.from_arrays(X, y)
    assert list(task.X.columns) == ["f", "g"]
    for learner in ("linear", "random_forest"):
        model = pipeline(task, learner).fit(X, y)
        assert model.score(X, y) > 0.85
        np.testing.assert_array_equal(model.predict(X), model.predict(task.X))
        assert model.predict(X.iloc[:1]).tolist() == model.predict(X)[:1].tolist()
        on_prepared = pipeline(task, learner).fit(task.X, task.y)
        np.testing.assert_array_equal(np.array(task.classes)[on_prepared.predict(X)], model.predict(X))


@pytest.mark.parametrize(
    "y",
    [
        np.where(SIDE, "1", "0"),
        pd.Series(np.where(SIDE, "1", "0")).astype("category"),
        np.where(SIDE, "yes", "no").astype(object),
        SIDE,
        SIDE.astype(object),
        np.where(SIDE, 7, -3),
        np.where(SIDE, 1.0, 2.0),
        pd.array(SIDE.astype(int), dtype="Int64"),
        [0 if v else "1" for v in SIDE],
        [True if v else "True" for v in SIDE],
        [(1, 2) if v else (2, 3) for v in SIDE],
    ],
)
@pytest.mark.parametrize("learner", ["linear", "random_forest", "boosting"])
def test_labels_come_back_as_they_were_given(y: Any, learner: str) -> None:
    X = pd.DataFrame({"f": SIDE + NOISE / 100, "g": NOISE})
    model = pipeline(Task.from_arrays(X, y), learner, learner__class_weight="balanced").fit(X, y)
    given, predicted = list(y), model.predict(X).tolist()
    assert [(str(v), isinstance(v, str)) for v in predicted] == [(str(v), isinstance(v, str)) for v in given]
    assert all(a == b for a, b in zip(given, predicted, strict=True))
    assert model.predict_proba(X).shape == (N, 2)
    assert model.classes_.shape == (2,)
    assert model.score(X, y) == 1.0


def test_what_scikit_learn_does_with_estimators_works() -> None:
    X = pd.DataFrame({"f": COLUMNS["booleans with gaps"], "when": COLUMNS["dates as texts"], "g": NOISE})
    y = pd.Series(np.where(SIDE, "1", "0"))
    model = pipeline(Task.from_arrays(X, y), "random_forest", learner__n_estimators=5, learner__class_weight="balanced")
    assert is_classifier(model)
    assert clone(model).get_params()["learner__n_estimators"] == 5
    for scoring in ("accuracy", "roc_auc", "balanced_accuracy", "neg_log_loss"):
        scores = cross_val_score(model, X, y, cv=3, scoring=scoring)
        assert np.isfinite(scores).all()
    assert scores.mean() > -0.3
    assert set(cross_val_predict(model, X, y, cv=3)) == {"0", "1"}
    search = GridSearchCV(model, {"learner__n_estimators": [1, 5]}, cv=2).fit(X, y)
    assert search.best_estimator_.predict(X.iloc[:3]).tolist() == y[:3].tolist()
    fitted = pickle.loads(pickle.dumps(model.fit(X, y)))
    np.testing.assert_array_equal(fitted.predict(X), model.predict(X))
    assert model[:-1].transform(X).shape == (N, 3)


def test_weights_of_classes_are_given_by_the_users_labels() -> None:
    X, y = NOISE[:, None], np.where(SIDE, "rare", "usual")
    for weights, expected in (({"rare": 1e6, "usual": 1.0}, "rare"), ({"rare": 1.0, "usual": 1e6}, "usual")):
        model = pipeline(Task.from_arrays(X, y), learner__class_weight=weights).fit(X, y)
        assert set(model.predict(X)) == {expected}
        assert model.get_params()["learner__class_weight"] == weights
    with pytest.raises(DataError, match=r"class_weight names \['never'\], but the labels are \['rare', 'usual'\]"):
        pipeline(Task.from_arrays(X, y), learner__class_weight={"never": 1.0}).fit(X, y)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_rows_without_a_target_are_left_out(kind: TaskKind) -> None:
    X = pd.DataFrame({"f": COLUMNS["percent"], "g": NOISE})
    y = pd.Series(SIDE + NOISE if kind == "regression" else np.where(SIDE, "a", "b"), dtype=object)
    gaps = y.where(np.arange(N) % 5 > 0, None)
    weights = np.arange(N) + 1.0
    task = Task.from_arrays(X, gaps, kind=kind)
    model = pipeline(task, "random_forest").fit(X, gaps, learner__sample_weight=weights)
    known = gaps.notna().to_numpy()
    same = pipeline(task, "random_forest").fit(X[known], y[known], learner__sample_weight=weights[known])
    np.testing.assert_array_equal(model.predict(X), same.predict(X))
    assert model.score(X, gaps) == pytest.approx(same.score(X[known], y[known]))


def test_rows_without_names_are_told_by_their_place() -> None:
    X = [
        [None if i % 9 == 0 else float(v), "p" if side else "q", f"text {i}"]
        for i, (v, side) in enumerate(zip(NOISE, SIDE, strict=True))
    ]
    task = Task.from_arrays(X, SIDE)
    model = pipeline(task).fit(X, SIDE)
    assert model.n_features_in_ == 3
    assert model.score(np.array(X, dtype=object), SIDE) == model.score(task.X, SIDE) == 1.0
    with pytest.raises(DataError, match=r"X must have 3 columns, \['x0', 'x1', 'x2'\], but has 2"):
        model.predict([row[:2] for row in X])


@pytest.mark.parametrize(
    "make",
    [
        lambda X: X.tolist(),
        lambda X: pd.DataFrame(X, columns=["x0", "x1"]).to_dict("list"),
        lambda X: pd.DataFrame(X, columns=["x0", "x1"]).to_dict("records"),
        lambda X: iter(X.tolist()),
        lambda X: sp.csr_matrix(X),
        lambda X: np.array([tuple(row) for row in X], dtype=[("x0", float), ("x1", float)]),
        lambda X: np.ma.masked_array(X, mask=False),
    ],
)
def test_any_container_is_taken(make: Any) -> None:
    X = np.stack([SIDE + NOISE / 100, NOISE], axis=1)
    task = as_task(make(X), SIDE)
    np.testing.assert_array_equal(task.X, X)
    assert pipeline(task).fit(make(X), SIDE).predict(make(X)).tolist() == SIDE.tolist()


def test_new_rows_may_hold_what_was_never_seen_and_gaps() -> None:
    X = pd.DataFrame({"f": COLUMNS["texts"], "when": COLUMNS["dates"], "n": COLUMNS["percent"], "g": NOISE})
    task = Task.from_arrays(X, SIDE)
    new = pd.DataFrame(
        {"f": ["never seen", None], "when": [None, "2020-05-01"], "n": ["3 %", 4.0], "g": ["?", 1], "h": 1}
    )
    for learner in ("linear", "svm", "random_forest", "boosting"):
        assert pipeline(task, learner).fit(X, SIDE).predict(new).shape == (2,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"g": None}, r"X lacks the columns \['g'\]"),
        ({"g": "soon"}, "column 'g' must hold numbers, but 'soon' is no number"),
        ({"g": np.inf}, "column 'g' holds infinite values"),
        ({"when": "soon"}, r"column 'when' must hold dates, but 'soon' is no date \(ISO 8601\)"),
        ({"when": pd.Timedelta("1h")}, "column 'when' must hold dates, but holds values of type timedelta"),
    ],
)
def test_rows_of_another_table_are_refused(change: dict[str, Any], message: str) -> None:
    X = pd.DataFrame({"when": COLUMNS["dates"], "g": NOISE})
    model = pipeline(Task.from_arrays(X, SIDE)).fit(X, SIDE)
    ((name, value),) = change.items()
    with pytest.raises(DataError, match=message):
        model.predict(X.drop(columns=name) if value is None else X.assign(**{name: value}))


def test_a_target_is_needed_and_classes_only_a_classifier_has() -> None:
    task = Task.from_arrays(NOISE[:, None], NOISE)
    with pytest.raises(DataError, match="y must be given"):
        pipeline(task).fit(NOISE[:, None])
    with pytest.raises(DataError, match="every row's target is missing"):
        pipeline(task).fit(NOISE[:, None], [None] * N)
    assert not hasattr(pipeline(task).fit(NOISE[:, None], NOISE), "classes_")


def test_images_and_texts_are_taken_as_they_are() -> None:
    bright = np.array([0, 1] * 10)
    images = np.random.default_rng(0).random((20, 6, 5)) + bright[:, None, None]
    y = np.where(bright == 1, "bright", "dark")
    model = pipeline(as_task(images, y), "convnet", learner__epochs=2).fit(images, y)
    np.testing.assert_array_equal(model.predict(images), model.predict(as_task(images, y).X))
    assert set(model.classes_) == {"bright", "dark"}
    with pytest.raises(DataError, match="images must be of 6 x 5 pixels and 1 channel, but are of 5 x 6"):
        model.predict(images.transpose(0, 2, 1))
    said = [f"rain {i}" if dark else f"sun {i}" for i, dark in enumerate(1 - bright)]
    model = pipeline(as_task(said, y), "text", learner__epochs=2).fit(said, y)
    assert model.predict([*said, None]).shape == (21,)
    np.testing.assert_array_equal(model.predict(said), model.predict(as_task(said, y).X))


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", object])
def test_whole_labels_beside_gaps_stay_whole(dtype: Any) -> None:
    y = pd.Series([None if i % 10 == 0 else int(v) for i, v in enumerate(SIDE)], dtype=dtype)
    X = pd.DataFrame({"a": SIDE, "b": NOISE})
    task = Task.from_arrays(X, y)
    assert task.kind == "classification"
    assert task.n_rows == N - 10
    predicted = pipeline(task).fit(X, y).predict(X)
    assert predicted.dtype.kind == "i"
    np.testing.assert_array_equal(predicted[1:10], SIDE[1:10].astype(int))


def test_many_whole_numbers_beside_gaps_are_a_quantity() -> None:
    y = pd.array([None if i % 10 == 0 else i for i in range(N)], dtype="Int64")
    assert Task.from_arrays(pd.DataFrame({"a": NOISE}), y).kind == "regression"
