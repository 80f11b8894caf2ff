"""The linear baseline for texts: TF-IDF of words and of characters, then a linear classifier.

Ranges: pairs of words and up to five characters, rare terms left out, and the strength of the penalty as in the text
classification examples of scikit-learn and in auto-sklearn's text preprocessing.
"""

from __future__ import annotations

from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, OrdinalHyperparameter

from metahpo.learners.learner import Learner
from metahpo.learners.text_linear_classifier import TextLinearClassifier


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
    return Learner("text_linear", "classification", space, TextLinearClassifier, "text")
