"""Datasets by name that need no network: real ones that scikit-learn bundles, and a large one that it generates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from sklearn import datasets

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.task import Task, TaskKind


def _friedman1() -> tuple[pd.DataFrame, Any]:
    X, y = datasets.make_friedman1(n_samples=8000, n_features=10, noise=1.0, random_state=0)
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(1, 11)]), y


#: name -> (loader, family in the meta-datasets, so that a bundled dataset is recognised as one already tuned)
_LOADERS: dict[str, tuple[Callable[[], tuple[pd.DataFrame, Any]], str]] = {
    "iris": (partial(datasets.load_iris, return_X_y=True, as_frame=True), "iris"),
    "wine": (partial(datasets.load_wine, return_X_y=True, as_frame=True), "wine"),
    "breast_cancer": (partial(datasets.load_breast_cancer, return_X_y=True, as_frame=True), "breast_wisconsin"),
    "digits": (partial(datasets.load_digits, return_X_y=True, as_frame=True), "digits"),
    "diabetes": (partial(datasets.load_diabetes, return_X_y=True, as_frame=True), "diabetes_progression"),
    "friedman1": (_friedman1, "friedman1"),
}

BUNDLED = tuple(_LOADERS)
_REGRESSION = {"diabetes", "friedman1"}


def bundled_task(name: str, kind: TaskKind | None = None) -> Task:
    """A task made of one of scikit-learn's bundled datasets (iris, wine, breast_cancer, digits, diabetes) or friedman1.

    friedman1 is generated and is always the same: 8,000 rows of Friedman's function of five columns, with five more
    columns that are noise (https://doi.org/10.1214/aos/1176347963), with standard normal noise.

    Parameters
    ----------
    name : str
    kind : {"classification", "regression"}, default=None
        None: regression for diabetes and friedman1, classification for the others.

    Raises
    ------
    UnknownNameError
        No such dataset.
    """
    if name not in _LOADERS:
        raise UnknownNameError("bundled dataset", name, BUNDLED)
    loader, family = _LOADERS[name]
    X, y = loader()
    kind = kind or ("regression" if name in _REGRESSION else "classification")
    return Task.from_arrays(X, y, kind=kind, name=name, family=family)
