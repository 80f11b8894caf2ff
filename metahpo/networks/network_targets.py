"""Targets of networks: codes and weights of classes, validation rows, and learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from metahpo.networks.training_record import Training


def classes_of(target: NDArray[Any]) -> NDArray[Any]:
    """The distinct labels, sorted.

    Raises
    ------
    ValueError
        No labels of classes, or only one.
    """
    check_classification_targets(target)
    classes: NDArray[Any] = np.unique(target)
    if len(classes) < 2:
        raise ValueError(f"a classifier needs two classes or more, but y has one class: {classes[0]!r}.")
    return classes


def class_codes(target: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Index of each label in the sorted `classes`.

    Raises
    ------
    ValueError
        A label is not among the classes.
    """
    unknown = sorted(set(target.tolist()) - set(classes.tolist()), key=str)
    if unknown:
        raise ValueError(f"y has the labels {unknown}, but the classes are {classes.tolist()}.")
    return np.searchsorted(classes, target).astype(np.int64)


def weights_with_classes(
    weight: NDArray[np.float64] | None,
    class_weight: Literal["balanced"] | Mapping[Any, float] | None,
    codes: NDArray[np.int64],
    classes: NDArray[Any],
) -> NDArray[np.float64] | None:
    """Weights of rows times those of their classes, of mean one; None where all are equal."""
    if class_weight is None:
        return weight
    chosen: Any = class_weight
    if isinstance(class_weight, Mapping):
        chosen = {i: class_weight.get(c, 1.0) for i, c in enumerate(classes.tolist())}
    by_class: NDArray[np.float64] = compute_sample_weight(chosen, codes)
    both = by_class if weight is None else by_class * weight
    normed: NDArray[np.float64] = both / both.mean()
    return normed


def held_out_rows(target: NDArray[Any], fraction: float, seed: int) -> NDArray[np.int64]:
    """Rows to stop by, sorted: of each class a share, as far as it has rows to spare.

    Parameters
    ----------
    target : ndarray of shape (n,)
        Class codes (int), or numbers, which are one class.
    """
    rng = np.random.default_rng([seed, 3])
    rows = np.arange(len(target))
    strata = target if target.dtype.kind == "i" else np.zeros(len(target), dtype=np.int64)
    held_out = []
    for stratum in np.unique(strata):
        members = rng.permutation(rows[strata == stratum])
        n_held_out = int(len(members) * fraction + rng.random())
        held_out.append(members[: min(n_held_out, len(members) - 1)])
    return np.sort(np.concatenate(held_out))


def training_of(estimator: Any, metric: str) -> Training:
    """Record of the training of a fitted network. Its validation metric is converted to the loss of `metric`."""
    history = estimator.history_
    curve = {name: history[name] for name in ("train_loss", "validation_loss") if history[name]}
    if history["validation_metric"]:
        curve[metric] = [1.0 - value for value in history["validation_metric"]]
    diverged = f"training diverged in epoch {estimator.n_epochs_}" if estimator.status_ == "diverged" else ""
    return Training(estimator.fit_seconds_, curve, diverged)
