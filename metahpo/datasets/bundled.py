"""scikit-learn's bundled datasets by name: real data that need no network."""

from __future__ import annotations

from sklearn import datasets

from metahpo.exceptions import UnknownNameError
from metahpo.tasks.task import Task, TaskKind

#: name -> (loader, family in the meta-datasets, so that a bundled dataset is recognised as one already tuned)
_LOADERS = {
    "iris": ("load_iris", "iris"),
    "wine": ("load_wine", "wine"),
    "breast_cancer": ("load_breast_cancer", "breast_wisconsin"),
    "digits": ("load_digits", "digits"),
    "diabetes": ("load_diabetes", "diabetes_progression"),
}

BUNDLED = tuple(_LOADERS)


def bundled_task(name: str, kind: TaskKind | None = None) -> Task:
    """A task made of one of scikit-learn's bundled datasets: iris, wine, breast_cancer, digits or diabetes.

    Parameters
    ----------
    name : str
    kind : {"classification", "regression"}, default=None
        None: regression for diabetes, classification for the others.

    Raises
    ------
    UnknownNameError
        No such dataset.
    """
    if name not in _LOADERS:
        raise UnknownNameError("bundled dataset", name, BUNDLED)
    loader, family = _LOADERS[name]
    X, y = getattr(datasets, loader)(return_X_y=True, as_frame=True)
    kind = kind or ("regression" if name == "diabetes" else "classification")
    return Task.from_arrays(X, y, kind=kind, name=name, family=family)
