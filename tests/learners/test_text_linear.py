"""The linear baseline for texts keeps the contract of learners; its terms and classifiers are scikit-learn's."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from metahpo.exceptions import DataError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.learners.text_linear_classifier import TextLinearClassifier
from metahpo.space.activity import default_configuration
from metahpo.tasks.task import Task, TaskKind
from metahpo.testing import LearnerContract, small_task
from tests.networks.test_texts import sayings


class TestTextLinearAsLearner(LearnerContract):
    @pytest.fixture
    def learner(self) -> Learner:
        return learner_named("text_linear", "classification")

    def task(self, kind: TaskKind) -> Task:
        return Task.from_texts(*sayings(60, 3))

    def test_unseen_categories_and_all_missing_rows_are_predicted(self, learner: Learner) -> None:
        task = self.task("classification")
        model = learner.pipeline(default_configuration(learner.space), task, 0).fit(task.X, task.y)
        new = pd.DataFrame({"text": ["", None, "entirely unheard of", "  "]})
        probability = model.predict_proba(new)
        assert np.isfinite(probability).all()
        np.testing.assert_array_equal(*probability[:2])


@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge"])
@pytest.mark.parametrize("terms", ["words", "characters", "both"])
def test_texts_are_told_apart(terms: Any, loss: Any) -> None:
    X, y = sayings(120, 3)
    model = TextLinearClassifier(terms=terms, loss=loss, random_state=0).fit(X[:80], y[:80])
    assert model.classes_.tolist() == ["rain", "snow", "sun"]
    assert model.score(X[80:], y[80:]) > 0.9
    assert hasattr(model, "predict_proba") == (loss == "log_loss")
    assert model.decision_function(X[80:]).shape == (40, 3)
    assert clone(model).get_params() == model.get_params()


def test_the_default_is_logistic_regression_on_tf_idf_of_words() -> None:
    X, y = sayings(60)
    plain = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(TextLinearClassifier().fit(X, y).predict_proba(X), plain.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(("terms", "expected"), [("words", {"ab", "c", "ab c"}), ("characters", {" a", "ab", "b "})])
def test_terms_by_hand(terms: Literal["words", "characters"], expected: set[str]) -> None:
    model = TextLinearClassifier(terms=terms, word_ngrams=2, character_ngrams=2).fit(["ab c", "ab"], [0, 1])
    found = set(model.model_[0].transformer_list[0][1].vocabulary_)
    assert found >= expected
    rare = TextLinearClassifier(terms=terms, word_ngrams=2, character_ngrams=2, min_df=2).fit(["ab c", "ab"], [0, 1])
    assert not any("c" in term for term in rare.model_[0].transformer_list[0][1].vocabulary_)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="X has 2 texts, but y has 3 labels"):
        TextLinearClassifier().fit(["a", "b"], [0, 1, 1])
    with pytest.raises(ValueError, match="two classes or more"):
        TextLinearClassifier().fit(["a", "b"], [1, 1])
    with pytest.raises(DataError, match="texts must be strings"):
        TextLinearClassifier().fit([1, 2], [0, 1])
    task = Task.from_arrays(small_task("regression").X[["b"]], np.arange(60) % 2)
    learner = learner_named("text_linear", "classification")
    with pytest.raises(DataError, match="no column of text"):
        learner.pipeline(default_configuration(learner.space), task)
