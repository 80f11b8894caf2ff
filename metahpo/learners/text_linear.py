"""The linear baseline for texts: TF-IDF of words and of characters, then a linear classifier.

Ranges: pairs of words and up to five characters, rare terms left out, and the strength of the penalty as in the text
classification examples of scikit-learn and in auto-sklearn's text preprocessing.
"""

from __future__ import annotations

from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, OrdinalHyperparameter
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from metahpo.learners.learner import Learner, Steps
from metahpo.learners.text_linear_classifier import TextLinearClassifier

#: Parameters that a pipeline's TF-IDF and its classifier share with the learner, by the same names.
_OF_TERMS, _OF_CLASSIFIER = ("min_df", "sublinear_tf"), ("C", "class_weight")
_LOSS_OF_CLASS = {LogisticRegression: "log_loss", LinearSVC: "squared_hinge"}


def text_linear_classifier() -> Learner:
    """Linear classifier of TF-IDF with class weighting."""
    default = TextLinearClassifier().get_params()
    space = ConfigurationSpace()
    terms = Categorical("terms", ["words", "characters", "both"], default=default["terms"])
    word_ngrams = OrdinalHyperparameter("word_ngrams", [1, 2], default_value=default["word_ngrams"])
    character_ngrams = OrdinalHyperparameter("character_ngrams", [3, 4, 5], default_value=default["character_ngrams"])
    space.add(
        terms,
        word_ngrams,
        character_ngrams,
        OrdinalHyperparameter("min_df", [1, 2, 5], default_value=default["min_df"]),
        Categorical("sublinear_tf", [False, True], default=default["sublinear_tf"]),
        Categorical("loss", ["log_loss", "squared_hinge"], default=default["loss"]),
        Float("C", (1e-2, 1e2), log=True, default=default["C"]),
        Categorical("class_weight", [None, "balanced"], default=default["class_weight"]),
        InCondition(word_ngrams, terms, ["words", "both"]),
        InCondition(character_ngrams, terms, ["characters", "both"]),
    )
    return Learner("text_linear", "classification", space, TextLinearClassifier, "text", steps_of=_steps_of)


def _steps_of(estimator: BaseEstimator) -> Steps | None:
    """Parameters of a pipeline of TF-IDF and a linear classifier.

    Its number of neighbouring terms is a pair of numbers, of which the learner has the larger one: it is held.
    """
    steps = estimator.steps if isinstance(estimator, Pipeline) else []
    if len(steps) != 2 or not isinstance(steps[0][1], TfidfVectorizer) or type(steps[1][1]) not in _LOSS_OF_CLASS:
        return None
    (first, terms), (last, classifier) = steps
    names = {f"{first}__{name}": name for name in _OF_TERMS} | {f"{last}__{name}": name for name in _OF_CLASSIFIER}
    words = terms.analyzer == "word"
    held: dict[str, Any] = {"loss": _LOSS_OF_CLASS[type(classifier)], "terms": "words" if words else "characters"}
    held["word_ngrams" if words else "character_ngrams"] = terms.ngram_range[1]
    return Steps(names, held)
