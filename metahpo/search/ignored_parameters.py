"""Parameters that an estimator of scikit-learn ignores, by the value of another one.

Lists and distributions of a user's have no conditions. A number that is ignored would be varied in vain, and the search
would take trials for different that are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ConfigSpace import ConfigurationSpace, InCondition
from ConfigSpace.hyperparameters import NumericalHyperparameter
from sklearn.base import BaseEstimator

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import builtin
from metahpo.space.values import choices_of

#: Parameter -> the parameter that it depends on, and the values of that one with which it counts.
_Dependence = Mapping[str, tuple[str, tuple[Any, ...]]]

_KERNEL: _Dependence = {
    "gamma": ("kernel", ("rbf", "poly", "sigmoid")),
    "coef0": ("kernel", ("poly", "sigmoid")),
    "degree": ("kernel", ("poly",)),
}
#: Where the penalty is not given by its name, "deprecated", l1_ratio says what it is.
_PENALTY: _Dependence = {"l1_ratio": ("penalty", ("elasticnet", "deprecated"))}
_LOGISTIC: _Dependence = {**_PENALTY, "C": ("penalty", ("l1", "l2", "elasticnet", "deprecated"))}
_SGD: _Dependence = {
    **_PENALTY,
    "eta0": ("learning_rate", ("constant", "invscaling", "adaptive", "pa1", "pa2")),
    "power_t": ("learning_rate", ("invscaling",)),
    "epsilon": ("loss", ("huber", "epsilon_insensitive", "squared_epsilon_insensitive")),
}
_FOREST: _Dependence = {"max_samples": ("bootstrap", (True,))}
_NETWORK: _Dependence = {
    "momentum": ("solver", ("sgd",)),
    "power_t": ("learning_rate", ("invscaling",)),
    "learning_rate_init": ("solver", ("sgd", "adam")),
    "beta_1": ("solver", ("adam",)),
    "beta_2": ("solver", ("adam",)),
    "epsilon": ("solver", ("adam",)),
}
_NEIGHBOURS: _Dependence = {"p": ("metric", ("minkowski",))}

#: Class of scikit-learn, or of a subclass -> what it ignores.
_BY_CLASS: Mapping[str, _Dependence] = {
    **dict.fromkeys(("SVC", "SVR", "NuSVC", "NuSVR"), _KERNEL),
    "LogisticRegression": _LOGISTIC,
    **dict.fromkeys(("SGDClassifier", "SGDRegressor"), _SGD),
    **dict.fromkeys(
        ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"), _FOREST
    ),
    **dict.fromkeys(("MLPClassifier", "MLPRegressor"), _NETWORK),
    **dict.fromkeys(("KNeighborsClassifier", "KNeighborsRegressor"), _NEIGHBOURS),
}


def with_conditions(space: ConfigurationSpace, estimator: BaseEstimator) -> tuple[str, ...]:
    """Make numbers of a space active only where the estimator does not ignore them.

    Parameters
    ----------
    space : ConfigurationSpace
        Without conditions, named as the estimator names its parameters; it is changed.
    estimator : estimator

    Returns
    -------
    notes : tuple of str
        Numbers that the estimator ignores whatever the search chooses.
    """
    notes = []
    for name, parent, counts in _dependences(space, estimator):
        if parent in space:
            counting = [choice for choice in _choices(space, parent) if choice in counts]
            ignoring = [choice for choice in _choices(space, parent) if choice not in counts]
        else:
            own = estimator.get_params(deep=True)[parent]
            counting, ignoring = ([own], []) if callable(own) or own in counts else ([], [own])
        if not counting and ignoring:
            notes.append(f"{name} has no effect, because {parent} is {' or '.join(map(repr, ignoring))}")
        elif ignoring:
            space.add(InCondition(space[name], space[parent], counting))
    return tuple(notes)


def _dependences(space: ConfigurationSpace, estimator: BaseEstimator) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Numbers of a space that may be ignored, what they depend on, and the values with which they count."""
    parts: dict[str, Any] = estimator.get_params(deep=True)
    for name, known in space.items():
        prefix, _, own = name.rpartition("__")
        part = parts.get(prefix) if prefix else estimator
        if part is None or prefix in space or not isinstance(known, NumericalHyperparameter):
            continue
        of_class = next((_BY_CLASS[c.__name__] for c in type(part).__mro__ if c.__name__ in _BY_CLASS), {})
        if own in of_class:
            parent, counts = of_class[own]
            parent = f"{prefix}__{parent}" if prefix else parent
            if parent in space or parent in parts:
                yield name, parent, counts


def _choices(space: ConfigurationSpace, name: str) -> Sequence[Any]:
    """Choices of a hyperparameter; none where it is a number."""
    try:
        return [builtin(choice) for choice in choices_of(space[name])[0]]
    except SpaceError:
        return []
