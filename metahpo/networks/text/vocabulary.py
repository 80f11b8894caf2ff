"""The vocabulary that is learnt from training texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from metahpo.tasks.texts import words_of

#: Codes of a place without a word, and of a word that is not in the vocabulary.
PADDING, UNKNOWN = 0, 1
#: Left neighbour of the first word.
BEGINNING = "<beginning>"


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
        # A pair that is not in the vocabulary adds nothing to its words, so it is left out.
        pairs = [f"{a} {b}" for a, b in zip([BEGINNING, *words], words, strict=False)]
        known = getattr(self, "words", None)
        return words + (pairs if known is None else [pair for pair in pairs if pair in known])
