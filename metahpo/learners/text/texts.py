"""Texts as they come, and the vocabulary that is learnt from some of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.exceptions import DataError

#: Words with inner apostrophes, numbers, or single marks.
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[^\w\s]|_")
#: Codes of a place without a word, and of a word that is not in the vocabulary.
PADDING, UNKNOWN = 0, 1
#: Left neighbour of the first word.
BEGINNING = "<beginning>"


def as_texts(X: Any) -> list[str]:
    """Texts of any container, a missing one empty; several columns of a table are joined by spaces.

    Raises
    ------
    DataError
        Values that are no text, or more than two dimensions.
    """
    columns = X.to_numpy(dtype=object) if isinstance(X, (pd.DataFrame, pd.Series)) else np.asarray(X, dtype=object)
    if columns.ndim not in (1, 2):
        raise DataError(f"texts must be a sequence, or columns of a table, but X has {columns.ndim} dimensions.")
    return [
        _text(row) if isinstance(row, str) or columns.ndim == 1 else " ".join(map(_text, row))
        for row in columns.tolist()
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    raise DataError(f"texts must be strings, but one is {value!r} ({type(value).__name__}); convert it with str().")


def words_of(text: str, lowercase: bool = True) -> list[str]:
    """Words, numbers and marks of a text, in order; numbers are told by their length only."""
    found = WORD.findall(text.lower() if lowercase else text)
    return [f"<{len(word)} digits>" if word.isdigit() else word for word in found]


class Vocabulary:
    """The words of training texts that are frequent enough, and pairs of neighbours likewise.

    Parameters
    ----------
    max_words : int
        The most frequent are kept; of equally frequent ones the first in the alphabet.
    min_count : int
        Texts that a word must occur in.
    pairs : bool
        Whether neighbouring words are a word as well, after all single ones.
    lowercase : bool
    max_length : int
        Words of a text that are read; those of its beginning.
    """

    def __init__(self, max_words: int, min_count: int, pairs: bool, lowercase: bool, max_length: int) -> None:
        self.max_words, self.min_count, self.pairs = max_words, min_count, pairs
        self.lowercase, self.max_length = lowercase, max_length

    def fit(self, texts: Iterable[str]) -> Vocabulary:
        """Learn the words of training texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(self._terms(text)))
        frequent = [(-count, word) for word, count in counts.items() if count >= self.min_count]
        self.words = {
            word: code for code, (_, word) in enumerate(sorted(frequent)[: self.max_words], start=UNKNOWN + 1)
        }
        return self

    def __len__(self) -> int:
        """Codes, those of padding and of the unknown word included."""
        return len(self.words) + 2

    def transform(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Codes of shape (n, length of the longest), padded by 0; a text without a word is one unknown word."""
        coded = [[self.words.get(word, UNKNOWN) for word in self._terms(text)] or [UNKNOWN] for text in texts]
        codes = np.full((len(texts), max((len(row) for row in coded), default=1)), PADDING, dtype=np.int64)
        for i, row in enumerate(coded):
            codes[i, : len(row)] = row
        return codes

    def _terms(self, text: str) -> list[str]:
        words = words_of(text, self.lowercase)[: self.max_length]
        if not self.pairs:
            return words
        # A pair that is not in the vocabulary says nothing that its words do not: it is left out once that is known.
        pairs = [f"{a} {b}" for a, b in zip([BEGINNING, *words], words, strict=False)]
        known = getattr(self, "words", None)
        return words + (pairs if known is None else [pair for pair in pairs if pair in known])
