"""Meta-features of texts: lengths, vocabulary, characters, and the information about the classes in words.

Legend: n texts, t words in all, v distinct words.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from metahpo.metafeatures.cheap_learners import multinomial_naive_bayes
from metahpo.metafeatures.classes import ROWS, landmark, landmark_features, share_explained
from metahpo.metafeatures.definition import MetaFeature
from metahpo.metafeatures.references import OWN, RIVOLLI
from metahpo.tasks.task import Task
from metahpo.tasks.texts import as_texts, words_of

#: Most frequent words that the information on the class is measured of.
WORDS = 500
#: Characters that are looked at, about, and those of one text: it is cut there. At least `FEW` texts are drawn.
CHARACTERS, LENGTH, FEW = 2_000_000, 10_000, 200

TEXT = (
    MetaFeature("share_empty", "text", "share of the texts without a word", OWN),
    MetaFeature("share_repeated", "text", "share of the texts that another one equals", OWN),
    MetaFeature("log_words_mean", "text", "ln(1 + words of a text), mean", OWN),
    MetaFeature("log_words_spread", "text", "ln(1 + words of a text), standard deviation", OWN),
    MetaFeature("log_words_max", "text", "ln(1 + words of the longest text)", OWN),
    MetaFeature("characters_per_word", "text", "characters of a word, mean over all words", OWN),
    MetaFeature("log_vocabulary", "text", "ln v", OWN),
    MetaFeature("type_token_ratio", "text", "v / t", OWN),
    MetaFeature("share_once", "text", "share of the distinct words that occur once", OWN),
    MetaFeature("zipf_slope", "text", "slope of ln frequency over ln rank of the 1,000 most frequent words", OWN),
    MetaFeature("share_upper", "text", "share of the letters that are capitals", OWN),
    MetaFeature("share_numbers", "text", "share of the words that are numbers", OWN),
    MetaFeature("share_marks", "text", "share of the words that are marks", OWN),
    MetaFeature("length_by_class", "text", "share of the variance of ln(1 + words) between classes", OWN),
    MetaFeature("word_information_mean", "text", "information on the class of a frequent word, mean", RIVOLLI),
    MetaFeature("word_information_max", "text", "information on the class of a frequent word, largest", RIVOLLI),
    *landmark_features("text", "naive_bayes", "naive Bayes on counts of words"),
)


def draw_texts(task: Task, random_state: int) -> tuple[list[str], NDArray[np.int64]]:
    """Some texts of a task, stratified by class, and their classes (n,)."""
    columns = list(task.categorical)
    length = max(1, sum(map(len, as_texts(task.X[columns]))) // task.n_rows)
    drawn = task.subsample(min(ROWS, max(FEW, CHARACTERS // length)), random_state)
    return [text[:LENGTH] for text in as_texts(drawn.X[columns])], np.unique(drawn.y, return_inverse=True)[1]


def text(texts: list[str], y: NDArray[np.int64]) -> dict[str, float]:
    """The meta-features of texts of classes (n,); what is not defined is left out or NaN."""
    words = [words_of(one) for one in texts]
    lengths = np.log1p([len(of_text) for of_text in words])
    copies = Counter(texts)
    letters = {letter: n for letter, n in Counter("".join(texts)).items() if letter.isalpha()}
    found = {
        "share_empty": float(np.mean(lengths == 0)),
        "share_repeated": float(np.mean([copies[one] > 1 for one in texts])),
        "log_words_mean": float(lengths.mean()),
        "log_words_spread": float(lengths.std()),
        "log_words_max": float(lengths.max()),
        "share_upper": sum(n for letter, n in letters.items() if letter.isupper()) / (sum(letters.values()) or np.nan),
        "length_by_class": float(share_explained(lengths[:, None], y)[0]),
    }
    return found | (_of_words(words, y) if any(words) else {})


def _information(there: NDArray[np.bool_], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mutual information, in nats, of the class and of whether a word is there, for columns (n, words)."""
    n = len(y)
    with_word = np.stack([there[y == label].sum(axis=0) for label in range(y.max() + 1)])
    of_class = np.bincount(y)[:, None]
    information = np.zeros(there.shape[1])
    for joint, of_word in ((with_word, there.sum(axis=0)), (of_class - with_word, (~there).sum(axis=0))):
        expected = of_class * of_word / n
        ratio = np.divide(joint, expected, out=np.ones(joint.shape), where=joint > 0)
        information += (joint / n * np.log(ratio)).sum(axis=0)
    return information


def _of_words(words: list[list[str]], y: NDArray[np.int64]) -> dict[str, float]:
    counts = Counter(word for of_text in words for word in of_text)
    total = sum(counts.values())
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    frequencies = np.array([counts[word] for word in ranked[:1000]], dtype=np.float64)
    code = {word: i for i, word in enumerate(ranked)}
    places = [code[word] for of_text in words for word in of_text]
    starts = np.cumsum([0, *map(len, words)])
    table = csr_matrix((np.ones(total), places, starts), shape=(len(words), len(ranked)))
    table.sum_duplicates()
    information = _information(table[:, :WORDS].toarray() > 0, y)
    slope = np.polyfit(np.log(np.arange(1, len(frequencies) + 1)), np.log(frequencies), 1)[0]
    return {
        "characters_per_word": sum(len(word) * n for word, n in counts.items()) / total,
        "log_vocabulary": float(np.log(len(counts))),
        "type_token_ratio": len(counts) / total,
        "share_once": float(np.mean([n == 1 for n in counts.values()])),
        "zipf_slope": float(slope) if len(frequencies) > 1 else float("nan"),
        "share_numbers": sum(n for word, n in counts.items() if word.endswith("digits>")) / total,
        "share_marks": sum(n for word, n in counts.items() if len(word) == 1 and not word.isalpha()) / total,
        "word_information_mean": float(information.mean()),
        "word_information_max": float(information.max()),
        **landmark("naive_bayes", multinomial_naive_bayes, table, y),
    }
