"""The classifier of texts."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from metahpo.exceptions import DataError
from metahpo.networks.single.network_classifier import ModuleClassifier
from metahpo.networks.text.vocabulary import Vocabulary
from metahpo.tasks.texts import as_texts

if TYPE_CHECKING:
    from torch import nn

ENCODERS = ("mean", "transformer")


class TextClassifier(ModuleClassifier):
    """Small network for texts, trained on smoothed cross-entropy; its vocabulary is that of the training texts.

    X is a sequence of strings, or a table with columns of text, which are joined. A missing or empty text, and one
    without a known word, is one unknown word; so is every word that was not in the training texts.

    Parameters
    ----------
    encoder : {"mean", "transformer"}, default="mean"
        "mean": mean and largest of the word vectors; "transformer": self-attention over the words in their order.
    size : int, default=64
        Length of a word vector.
    layers : int, default=0
        Hidden layers of "mean"; Transformer layers, of which there is one at least.
    heads : int, default=4
        Of "transformer"; they must divide `size`.
    pairs : bool, default=True
        Whether "mean" knows neighbouring words as a word of their own. "transformer" reads single words.
    max_words : int, default=30000
        Of the vocabulary.
    min_count : int, default=1
        Training texts that a word must occur in.
    max_length : int, default=128
        Words that are read of a text.
    lowercase : bool, default=True
    word_dropout : float in [0, 1), default=0.2
        Share of the words that training takes for unknown.
    dropout : float in [0, 1), default=0.3
    optimiser : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}, default="adamw"
    learning_rate : float, default=3e-3
        Peak of the schedule.
    momentum : float in [0, 1), default=0.9
        For "momentum" and "nesterov".
    weight_decay : float, default=0.1
    batch_size : int, default=32
    schedule : {"constant", "cosine", "step", "one_cycle"}, default="one_cycle"
    label_smoothing : float in [0, 1), default=0.05
    epochs : int, default=15
    early_stopping : bool, default=False
        Hold rows out, keep the weights of the epoch with the lowest loss on them, and stop when it no longer falls.
    patience : int, default=5
    validation_fraction : float in (0, 1), default=0.1
    class_weight : "balanced", dict or None, default=None
    device : str, default="cpu"
        "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one.
    random_state : int, RandomState or None, default=None

    Examples
    --------
    >>> texts = ["what a fine day", "a fine thing", "what a bad day", "a bad thing"] * 10
    >>> model = TextClassifier(random_state=0).fit(texts, ["good", "good", "bad", "bad"] * 10)
    >>> model.predict(["bad", "fine"]).tolist()
    ['bad', 'good']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleClassifier._parameter_constraints,
        "encoder": [StrOptions(set(ENCODERS))],
        "size": [Interval(Integral, 1, None, closed="left")],
        "layers": [Interval(Integral, 0, None, closed="left")],
        "heads": [Interval(Integral, 1, None, closed="left")],
        "pairs": ["boolean"],
        "max_words": [Interval(Integral, 1, None, closed="left")],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "lowercase": ["boolean"],
        "word_dropout": [Interval(Real, 0.0, 1.0, closed="left")],
        "dropout": [Interval(Real, 0.0, 1.0, closed="left")],
    }

    def __init__(
        self,
        *,
        encoder: str = "mean",
        size: int = 64,
        layers: int = 0,
        heads: int = 4,
        pairs: bool = True,
        max_words: int = 30000,
        min_count: int = 1,
        max_length: int = 128,
        lowercase: bool = True,
        word_dropout: float = 0.2,
        dropout: float = 0.3,
        optimiser: str = "adamw",
        learning_rate: float = 3e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.1,
        batch_size: int = 32,
        schedule: str = "one_cycle",
        label_smoothing: float = 0.05,
        epochs: int = 15,
        early_stopping: bool = False,
        patience: int = 5,
        validation_fraction: float = 0.1,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.encoder = encoder
        self.size = size
        self.layers = layers
        self.heads = heads
        self.pairs = pairs
        self.max_words = max_words
        self.min_count = min_count
        self.max_length = max_length
        self.lowercase = lowercase
        self.word_dropout = word_dropout
        self.dropout = dropout
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """A sequence of strings."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.string = True, True
        return tags

    def _learn_inputs(self, X: Any) -> list[NDArray[Any]]:
        texts = as_texts(X)
        pairs = self.pairs and self.encoder == "mean"
        self.vocabulary_ = Vocabulary(self.max_words, self.min_count, pairs, self.lowercase, self.max_length).fit(texts)
        return [self.vocabulary_.transform(texts)]

    def _inputs(self, X: Any) -> list[NDArray[Any]]:
        return [self.vocabulary_.transform(as_texts(X))]

    def _module(self, n_classes: int) -> nn.Module:
        from metahpo.networks.text.text_encoders import MeanEncoder, TransformerEncoder

        of_both = (len(self.vocabulary_), n_classes, self.size, self.layers, self.dropout, self.word_dropout)
        if self.encoder == "mean":
            return MeanEncoder(*of_both)
        if self.size % self.heads:
            raise DataError(f"heads must divide size, but heads = {self.heads} and size = {self.size}.")
        return TransformerEncoder(*of_both, self.max_length, self.heads)
