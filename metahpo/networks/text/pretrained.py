"""Fine-tuning of a pre-trained model from a folder: BERT and what is like it. Nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from metahpo.exceptions import DataError, MissingDependencyError
from metahpo.networks.single.network_classifier import ModuleClassifier
from metahpo.tasks.texts import as_texts

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Number of a layer in the name of a parameter.
LAYER = re.compile(r"\.layers?\.(\d+)\.")


class PretrainedTextClassifier(ModuleClassifier):
    """A pre-trained encoder with a fresh classification layer, all of it fine-tuned.

    X is a sequence of strings, or a table with columns of text, which are joined; a missing text is an empty one. Needs
    the package transformers: ``pip install 'metahpo[transformers]'``.

    Parameters
    ----------
    folder : path, default="."
        What ``save_pretrained`` of a model and of its tokeniser wrote.
    max_length : int, default=128
        Tokens that are read of a text.
    layer_decay : float in (0, 1], default=0.9
        Factor of the learning rate from each layer to the one below it; the fresh layer has all of it.
    optimiser : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}, default="adamw"
    learning_rate : float, default=5e-5
        Peak of the schedule.
    momentum : float in [0, 1), default=0.9
        For "momentum" and "nesterov".
    weight_decay : float, default=0.01
    batch_size : int, default=16
    schedule : {"constant", "cosine", "step", "one_cycle"}, default="one_cycle"
        "one_cycle" warms up for the first fifth of the training.
    label_smoothing : float in [0, 1), default=0.0
    epochs : int, default=3
    early_stopping : bool, default=False
    patience : int, default=2
    validation_fraction : float in (0, 1), default=0.1
    class_weight : "balanced", dict or None, default=None
    device : str, default="cpu"
    random_state : int, RandomState or None, default=None
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ModuleClassifier._parameter_constraints,
        "folder": [str, Path],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "layer_decay": [Interval(Real, 0.0, 1.0, closed="right")],
    }

    def __init__(
        self,
        *,
        folder: str | Path = ".",
        max_length: int = 128,
        layer_decay: float = 0.9,
        optimiser: str = "adamw",
        learning_rate: float = 5e-5,
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        batch_size: int = 16,
        schedule: str = "one_cycle",
        label_smoothing: float = 0.0,
        epochs: int = 3,
        early_stopping: bool = False,
        patience: int = 2,
        validation_fraction: float = 0.1,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.folder = folder
        self.max_length = max_length
        self.layer_decay = layer_decay
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
        if not (Path(self.folder) / "config.json").is_file():
            raise DataError(
                f"{str(self.folder)!r} holds no pre-trained model: it has no config.json. Save one there with "
                "model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."
            )
        self._tokeniser = _transformers().AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        return self._tokens(texts)

    def _inputs(self, X: Any) -> list[NDArray[Any]]:
        return self._tokens(as_texts(X))

    def _tokens(self, texts: list[str]) -> list[NDArray[Any]]:
        """Token ids and mask, each (n, length of the longest)."""
        tokens = self._tokeniser(
            texts, truncation=True, max_length=self.max_length, padding="longest", return_tensors="np"
        )
        ids, mask = (np.asarray(tokens[name], dtype=np.int64) for name in ("input_ids", "attention_mask"))
        if ids.shape[1] == 0:
            ids, mask = np.zeros((2, len(texts), 1), dtype=np.int64)
        # Without marks of beginning and end, an empty text has no token at all: it becomes an unknown word.
        empty = mask.sum(axis=1) == 0
        ids[empty, 0], mask[empty, 0] = self._tokeniser.unk_token_id or 0, 1
        return [ids, mask]

    def _module(self, n_classes: int) -> nn.Module:
        from metahpo.networks.text.logits import LogitsOf

        model = _transformers().AutoModelForSequenceClassification.from_pretrained(
            str(self.folder), num_labels=n_classes, local_files_only=True, ignore_mismatched_sizes=True
        )
        return LogitsOf(model)

    def _groups(self, module: torch.nn.Module) -> list[dict[str, Any]]:
        """Parameters by layer, each with its factor of the learning rate."""
        by_depth: dict[int, list[Any]] = {}
        names = [name for name, _ in module.named_parameters()]
        n_layers = 1 + max((int(found[1]) for name in names if (found := LAYER.search(name))), default=-1)
        for name, parameter in module.named_parameters():
            found = LAYER.search(name)
            # From the top: the classification layer is 0, the embeddings lie below all layers.
            depth = n_layers - int(found[1]) if found else n_layers + 1 if "embeddings" in name else 0
            by_depth.setdefault(depth, []).append(parameter)
        return [{"params": of_depth, "scale": self.layer_decay**depth} for depth, of_depth in by_depth.items()]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        message = "fine-tuning needs the package transformers: pip install 'metahpo[transformers]'."
        raise MissingDependencyError(message) from error
    return transformers
