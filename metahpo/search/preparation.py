"""From the data and the arguments of ``fit`` to what the trials of a search need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_method_params, _num_samples

from metahpo.exceptions import DataError
from metahpo.tasks.target import as_target

#: What a fold's training rows are shuffled by, where trials on few rows take the first ones.
ROWS_SEED = 0
#: The smallest number of rows, for each class and fold; scikit-learn's halving search has the same.
ROWS_A_CLASS = 2
#: The fewest resources are at most so many times less than the most, in powers of the factor.
MAX_LEVELS = 4


@dataclass(frozen=True)
class Fidelity:
    """The fidelity of a search.

    Attributes
    ----------
    parameter : str or None
        Parameter of the estimator that is the resource; None: rows of the data are.
    smallest, largest : int
    """

    parameter: str | None
    smallest: int
    largest: int

    def in_words(self, resources: int | None) -> str:
        """Resources of a trial: "44 rows" or "n_estimators=7"."""
        return f"{resources} rows" if self.parameter is None else f"{self.parameter}={resources}"


@dataclass(frozen=True)
class HeldOut:
    """Data of a search, and those that its best estimator is tested on.

    Attributes
    ----------
    X, y, params
        For the search.
    X_test, y_test
        For the test.
    """

    X: Any
    y: Any
    params: dict[str, Any]
    X_test: Any
    y_test: Any


def held_out(
    estimator: BaseEstimator, X: Any, y: Any, params: Mapping[str, Any], size: float, random_state: int | None
) -> HeldOut:
    """Hold a part of the data out: of each class its share, where there are classes, and whole groups.

    Raises
    ------
    DataError
        Too few rows are left on one side.
    """
    groups = params.get("groups")
    try:
        if groups is not None:
            split = GroupShuffleSplit(1, test_size=size, random_state=random_state).split(X, y, groups)
        elif is_classifier(estimator) and _has_classes(y) and np.unique(y, return_counts=True)[1].min() > 1:
            split = StratifiedShuffleSplit(1, test_size=size, random_state=random_state).split(X, y)
        else:
            split = ShuffleSplit(1, test_size=size, random_state=random_state).split(X)
        train, test = next(iter(split))
    except ValueError as error:
        raise DataError(f"test_size={size!r} cannot be held out of {_num_samples(X)} rows: {error}") from error
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, y_test = _safe_split(estimator, X, y, test, train)
    return HeldOut(X_train, y_train, _check_method_params(X, params, indices=train), X_test, y_test)


def with_target(X: Any, y: Any, params: Mapping[str, Any], cv: Any) -> tuple[Any, Any, dict[str, Any], int]:
    """The rows that have a target, parameters of ``fit`` for them, and the number of rows that are left out.

    Raises
    ------
    DataError
        Rows would be left out, but `cv` is a list of folds, which names rows by their numbers.
    """
    known = as_target(y).notna().to_numpy()
    if known.all():
        return X, y, dict(params), 0
    n_left_out = int((~known).sum())
    if not (cv is None or isinstance(cv, Integral) or hasattr(cv, "split")):
        raise DataError(f"{n_left_out} rows have no target, but `cv` names rows by number; drop these rows first.")
    rows = np.flatnonzero(known)
    kept = _check_method_params(X, dict(params), indices=rows)
    return _safe_indexing(X, rows), _safe_indexing(y, rows), kept, n_left_out


def splits_of(splitter: Any, X: Any, y: Any, split_params: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Draw the folds, once, so that they are the same for every trial.

    Raises
    ------
    ValueError
        The splitter gives none, or another number of folds than it says.
    """
    splits = list(splitter.split(X, y, **split_params))
    expected = splitter.get_n_splits(X, y, **split_params)
    if len(splits) != expected:
        raise ValueError(
            f"cv.split and cv.get_n_splits return inconsistent results. Expected {expected} splits, got {len(splits)}"
        )
    if not splits:
        raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
    return splits


def in_order_of_use(splits: list[tuple[Any, Any]], y: Any) -> list[tuple[Any, Any]]:
    """Folds whose training rows come in a random order, one of each class first.

    A trial on few rows takes the first ones, so that what is trained on few is among what is trained on more.
    """
    rng = np.random.default_rng(ROWS_SEED)
    target = None if y is None else np.asarray(y, dtype=object)
    ordered = []
    for train, test in splits:
        rows = rng.permutation(np.asarray(train))
        if target is not None and _has_classes(y):
            _, first = np.unique(target[rows].astype(str), return_index=True)
            rows = np.concatenate([rows[first], np.delete(rows, first)])
        ordered.append((rows, test))
    return ordered


def fidelity_of(
    name: str,
    estimator: BaseEstimator,
    prefix: str,
    data: tuple[Any, Any],
    n_splits: int,
    bounds: tuple[int | None, int | None],
    factor: float,
    searches: Callable[[str], bool],
) -> Fidelity:
    """Interpret the fidelity of a search.

    Parameters
    ----------
    name : str
        "rows", or a parameter of the estimator, with or without the prefix of its step in a pipeline.
    bounds : tuple of int or None
        The fewest and the most resources, where the user gave them.
    searches : callable
        Tells whether a parameter is searched.

    Raises
    ------
    DataError
        The estimator has no such parameter, or it is no whole number or is searched, or the bounds do not fit together
        or the data.
    """
    smallest, largest = bounds
    parameter = None
    if name == "rows":
        X, y = data
        n_rows = _num_samples(X)
        n_classes = len(np.unique(np.asarray(y).astype(str))) if y is not None and is_classifier(estimator) else 1
        least = min(n_rows, ROWS_A_CLASS * n_classes * n_splits)
        largest = n_rows if largest is None else largest
        if largest > n_rows:
            raise DataError(f"max_resources is {largest} rows, but the data have {n_rows}.")
    else:
        parameter = parameter_of(name, estimator, prefix)
        _check_whole(estimator, parameter)
        if searches(parameter):
            raise DataError(f"{parameter!r} cannot be the fidelity and be searched; take it out of the search space.")
        largest = most_resources(estimator, parameter, largest)
        least = 1
    if smallest is None:
        smallest = min(largest, max(least, round(largest / factor ** (MAX_LEVELS - 1)), 1))
    if not smallest <= largest:
        raise DataError(f"min_resources is {smallest}, above max_resources, {largest}.")
    return Fidelity(parameter, smallest, largest)


def _has_classes(y: Any) -> bool:
    """Whether a target is one column of classes."""
    return type_of_target(y) in ("binary", "multiclass")


def most_resources(estimator: BaseEstimator, parameter: str | None, given: int | None) -> int:
    """The most resources: those that are given, or the estimator's own value of the parameter.

    Raises
    ------
    DataError
        None are given, and the estimator has no such parameter or no number for it.
    """
    if given is not None:
        return given
    if parameter is None:
        raise DataError(
            f"give max_resources, the steps of a whole training: {type(estimator).__name__} has no parameter for it."
        )
    own: Any = estimator.get_params(deep=True)[parameter]
    if not isinstance(own, Integral) or int(own) < 1:
        raise DataError(
            f"give max_resources: the estimator's own {parameter} is {own!r}, which does not say how far to go."
        )
    return int(own)


def _check_whole(estimator: BaseEstimator, parameter: str) -> None:
    """Raise DataError if the estimator's own value of a parameter shows that it is not a whole number."""
    own: Any = estimator.get_params(deep=True)[parameter]
    if own is not None and (isinstance(own, bool | np.bool_) or not isinstance(own, Integral)):
        raise DataError(
            f"the fidelity must be 'rows' or a parameter that is a whole number, such as 'n_estimators' or 'max_iter', "
            f"but the estimator's own {parameter} is {own!r}."
        )


def parameter_of(name: str, estimator: BaseEstimator, prefix: str) -> str:
    """Name of a fidelity among the parameters of an estimator.

    Raises
    ------
    DataError
        It is none of them.
    """
    known = clone(estimator).get_params(deep=True)
    for full in (name, f"{prefix}{name}"):
        if full in known:
            return full
    near = sorted(full for full in known if full.endswith(f"__{name}") or full.lower() == name.lower())
    meant = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {sorted(known)}."
    if name.lower() == "rows":
        meant = "did you mean 'rows'?"
    raise DataError(f"fidelity={name!r} is neither 'rows' nor a parameter of the estimator; {meant}")
