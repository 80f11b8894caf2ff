"""Texts: what comes in, the vocabulary, what the networks learn, and fine-tuning from a folder."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from metahpo.exceptions import DataError, MissingDependencyError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named
from metahpo.networks.text.pretrained import PretrainedTextClassifier
from metahpo.networks.text.text_classifier import TextClassifier
from metahpo.networks.text.vocabulary import UNKNOWN, Vocabulary
from metahpo.tasks.preprocessing import preprocessing
from metahpo.tasks.task import Task, TaskKind
from metahpo.tasks.texts import as_texts, words_of
from metahpo.testing import LearnerContract, small_task

SMALL: dict[str, Any] = {"size": 16, "epochs": 8, "batch_size": 16, "learning_rate": 0.01, "random_state": 0}


def sayings(n: int = 90, n_classes: int = 2) -> tuple[list[str], NDArray[Any]]:
    """Filler words, and one that tells the class."""
    rng = np.random.default_rng(0)
    filler, telling = [f"word{chr(97 + i)}" for i in range(20)], ["sun", "rain", "snow"][:n_classes]
    y = rng.integers(0, n_classes, n)
    return [" ".join([*rng.choice(filler, 4), telling[k], *rng.choice(filler, 3)]) for k in y], np.array(telling)[y]


class TestTextAsLearner(LearnerContract):
    @pytest.fixture
    def learner(self) -> Learner:
        return learner_named("text", "classification")

    def task(self, kind: TaskKind) -> Task:
        X, y = sayings(36, 3)
        return Task.from_arrays(pd.DataFrame({"text": X}), y, categorical=("text",))

    def test_unseen_categories_and_all_missing_rows_are_predicted(self, learner: Learner) -> None:
        X, y = sayings()
        model = TextClassifier(**SMALL).fit([*X, "", None], [*y, "sun", "sun"])
        assert np.isfinite(model.predict_proba(["", None, "entirely unheard of", "  "])).all()
        empty, blank = model.predict_proba(["", "   "])
        np.testing.assert_allclose(empty, blank, rtol=1e-6)


def test_texts_come_in_any_container() -> None:
    texts = ["one", "", "two words"]
    for X in (["one", None, "two words"], pd.Series(["one", np.nan, "two words"]), np.array(["one", "", "two words"])):
        assert as_texts(X) == texts
    frame = pd.DataFrame({"a": ["one", "x"], "b": pd.Categorical(["two", None])})
    assert as_texts(frame) == ["one two", "x "]
    with pytest.raises(DataError, match=r"texts must be strings, but one is 3 \(int\)"):
        as_texts(["one", 3])
    with pytest.raises(DataError, match="X has 3 dimensions"):
        as_texts(np.zeros((1, 1, 1), dtype=str))


def test_words_by_hand() -> None:
    assert words_of("Don't call 08712 now!!") == ["don't", "call", "<5 digits>", "now", "!", "!"]
    assert words_of("Größe, ok", lowercase=False) == ["Größe", ",", "ok"]
    assert words_of(" \n ") == []


def test_a_vocabulary_holds_the_most_frequent_words_and_pairs() -> None:
    texts = ["a b c", "a b d", "b a"]
    words = Vocabulary(3, 2, pairs=False, lowercase=True, max_length=9).fit(texts)
    assert words.words == {"a": 2, "b": 3}
    assert words.transform(["b z a", ""]).tolist() == [[3, UNKNOWN, 2], [UNKNOWN, 0, 0]]
    pairs = Vocabulary(9, 2, pairs=True, lowercase=True, max_length=2).fit(texts)
    assert set(pairs.words) == {"a", "b", "a b", "<beginning> a"}
    assert pairs.transform(["a b c"]).shape == (1, 4)
    assert len(pairs) == 6
    assert Vocabulary(1, 1, pairs=False, lowercase=True, max_length=9).fit(texts).words == {"a": 2}


@pytest.mark.parametrize("encoder", ["mean", "transformer"])
def test_learns_texts_it_has_not_seen(encoder: str) -> None:
    X, y = sayings(240)
    model = TextClassifier(encoder=encoder, **SMALL).fit(X[:120], y[:120])
    assert model.score(X[120:], y[120:]) > 0.95
    again = TextClassifier(encoder=encoder, **SMALL).fit(X[:120], y[:120])
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    # A text's prediction does not depend on the texts beside it, nor on their length.
    np.testing.assert_allclose(model.predict_proba([X[0]])[0], model.predict_proba([X[0], " ".join(X)])[0], atol=1e-5)


def test_the_order_of_words_is_heard_by_pairs_and_by_the_transformer() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = ["dog bites man" if k else "man bites dog" for k in y]
    assert TextClassifier(**SMALL).fit(X, y).score(X, y) == 1.0
    assert TextClassifier(**SMALL, encoder="transformer").fit(X, y).score(X, y) == 1.0
    assert TextClassifier(**SMALL, pairs=False).fit(X, y).score(X, y) < 0.7


def test_wrong_parameters_are_refused() -> None:
    X, y = sayings(20)
    with pytest.raises(DataError, match="heads must divide size, but heads = 3 and size = 16"):
        TextClassifier(**SMALL, encoder="transformer", heads=3).fit(X, y)
    with pytest.raises(ValueError, match="X and y must have equally many rows, but have 20 and 19"):
        TextClassifier(**SMALL).fit(X, y[1:])
    with pytest.raises(ValueError, match="two classes or more"):
        TextClassifier(**SMALL).fit(X, np.zeros(20))
    with pytest.raises(ValueError, match="y contains NaN"):
        TextClassifier(**SMALL).fit(X, [None, *y[1:]])
    task = small_task("regression")
    numbers = Task.from_arrays(task.X[["a", "b"]], task.y)
    with pytest.raises(DataError, match=r"has no column of text; its columns are \['a', 'b'\]"):
        preprocessing(numbers, "text")


# --- fine-tuning ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, and its tokeniser."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    path = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in sayings()[0] for word in text.split()})
    codes = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokeniser = tokenizers.Tokenizer(tokenizers.models.WordLevel(codes, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokeniser, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(path)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(vocab_size=len(codes), max_position_embeddings=32, **size)
        transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_a_folder_is_fine_tuned(folder: Path) -> None:
    X, y = sayings(120)
    model = PretrainedTextClassifier(folder=folder, learning_rate=0.01, epochs=8, max_length=16, random_state=0)
    model.fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.9
    assert len(model.history_["train_loss"]) == 8
    np.testing.assert_allclose(model.predict_proba([X[0]])[0], model.predict_proba([X[0], "sun"])[0], atol=1e-5)
    assert np.isfinite(model.predict_proba(["", None])).all()
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


@pytest.mark.filterwarnings("ignore")
def test_lower_layers_learn_more_slowly(folder: Path) -> None:
    X, y = sayings(20)
    model = PretrainedTextClassifier(folder=folder, epochs=1, layer_decay=0.5, random_state=0).fit(X, y)
    scale_of = {id(p): group["scale"] for group in model._groups(model.module_) for p in group["params"]}
    scales = {name: scale_of[id(p)] for name, p in model.module_.named_parameters()}
    assert {s for name, s in scales.items() if "classifier" in name or "pooler" in name} == {1.0}
    assert {s for name, s in scales.items() if ".layer.1." in name} == {0.5}
    assert {s for name, s in scales.items() if ".layer.0." in name} == {0.25}
    assert {s for name, s in scales.items() if "embeddings" in name} == {0.125}


def test_without_a_model_or_the_package_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = sayings(20)
    with pytest.raises(DataError, match=r"holds no pre-trained model: it has no config.json. Save one there with"):
        PretrainedTextClassifier(folder=tmp_path).fit(X, y)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metahpo\[transformers\]'"):
        PretrainedTextClassifier(folder=tmp_path).fit(X, y)
