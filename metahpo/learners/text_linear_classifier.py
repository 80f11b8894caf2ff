"""The estimator of the linear baseline for texts."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from metahpo.networks.network_targets import classes_of
from metahpo.tasks.texts import as_texts

#: Enough iterations for nearly every fit; the rest stop there, as data.
MAX_ITERATIONS = 300
#: A word, its marks left out; a text of single letters has words, too.
WORD = r"(?u)\b\w+\b"
#: The most frequent terms that are kept of words, and of characters.
MAX_TERMS = 50_000


class TextLinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """TF-IDF of words, of characters within words, or of both, and a linear classifier of scikit-learn.

    X is a sequence of strings, or a table with columns of text, which are joined; a missing text is an empty one.

    Parameters
    ----------
    terms : {"words", "characters", "both"}, default="words"
    word_ngrams : int, default=1
        Most neighbouring words that make one term.
    character_ngrams : int, default=4
        Most neighbouring characters that make one term; the fewest are two.
    min_df : int, default=1
        Texts that a term must occur in.
    sublinear_tf : bool, default=False
        Count a term by one plus the logarithm of its number.
    loss : {"log_loss", "squared_hinge"}, default="log_loss"
        Logistic regression, or a linear SVM, which has no ``predict_proba``.
    C : float > 0, default=1.0
        Inverse strength of the L2 penalty.
    class_weight : "balanced", dict or None, default=None
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    model_ : Pipeline
        The fitted TF-IDF and classifier.

    Examples
    --------
    >>> texts = ["good film", "fine film", "bad film", "poor film"] * 5
    >>> TextLinearClassifier().fit(texts, [1, 1, 0, 0] * 5).predict(["a good one"]).tolist()
    [1]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "terms": [StrOptions({"words", "characters", "both"})],
        "word_ngrams": [Interval(Integral, 1, None, closed="left")],
        "character_ngrams": [Interval(Integral, 2, None, closed="left")],
        "min_df": [Interval(Integral, 1, None, closed="left")],
        "sublinear_tf": ["boolean"],
        "loss": [StrOptions({"log_loss", "squared_hinge"})],
        "C": [Interval(Real, 0.0, None, closed="neither")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        terms: Literal["words", "characters", "both"] = "words",
        word_ngrams: int = 1,
        character_ngrams: int = 4,
        min_df: int = 1,
        sublinear_tf: bool = False,
        loss: Literal["log_loss", "squared_hinge"] = "log_loss",
        C: float = 1.0,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.terms = terms
        self.word_ngrams = word_ngrams
        self.character_ngrams = character_ngrams
        self.min_df = min_df
        self.sublinear_tf = sublinear_tf
        self.loss = loss
        self.C = C
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the terms and the classifier.

        Parameters
        ----------
        X : sequence of str, or DataFrame with columns of text
        y : array-like of shape (n_rows,)

        Raises
        ------
        ValueError
            One class, another number of labels than of texts, or texts without a term that `min_df` of them have.
        """
        self._validate_params()
        texts, target = as_texts(X), column_or_1d(y, warn=True)
        if len(texts) != len(target):
            raise ValueError(f"X has {len(texts)} texts, but y has {len(target)} labels.")
        self.classes_ = classes_of(target)
        self.model_ = Pipeline([("terms", self._vectorizers()), ("classifier", self._classifier())])
        self.model_.fit(texts, target)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable classes, of shape (n_rows,)."""
        check_is_fitted(self)
        predicted: NDArray[Any] = self.model_.predict(as_texts(X))
        return predicted

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores of shape (n_rows,) for two classes, (n_rows, n_classes) for more."""
        check_is_fitted(self)
        score: NDArray[np.float64] = self.model_.decision_function(as_texts(X))
        return score

    @available_if(lambda self: self.loss == "log_loss")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, of shape (n_rows, n_classes)."""
        check_is_fitted(self)
        probability: NDArray[np.float64] = self.model_.predict_proba(as_texts(X))
        return probability

    def _vectorizers(self) -> FeatureUnion:
        shared = {"min_df": self.min_df, "sublinear_tf": self.sublinear_tf, "max_features": MAX_TERMS}
        words = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, self.word_ngrams), **shared)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, self.character_ngrams), **shared)
        chosen = {"words": [words], "characters": [characters], "both": [words, characters]}[self.terms]
        return FeatureUnion([(vectorizer.analyzer, vectorizer) for vectorizer in chosen])

    def _classifier(self) -> BaseEstimator:
        shared = {"C": self.C, "class_weight": self.class_weight, "random_state": self.random_state}
        if self.loss == "squared_hinge":
            return LinearSVC(dual=True, max_iter=10 * MAX_ITERATIONS, **shared)
        return LogisticRegression(max_iter=MAX_ITERATIONS, **shared)
