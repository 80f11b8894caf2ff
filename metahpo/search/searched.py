"""The search space, and the conversion of its configurations to parameters of the estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator, clone

from metahpo.exceptions import DataError
from metahpo.learners.place import Place, learner_in
from metahpo.learners.row_counts import RowCounts
from metahpo.search.alternatives import Alternatives
from metahpo.search.distributions import space_of
from metahpo.search.ignored_parameters import with_conditions
from metahpo.search.search_start import kind_of, sparse
from metahpo.search.several_learners import STEP, SeveralLearners, several_learners
from metahpo.space.domain import Domain
from metahpo.tasks.pipeline import TaskPipeline
from metahpo.tasks.target import as_target, is_continuous


@dataclass(frozen=True)
class Searched:
    """A search space and the estimator that it is of.

    Attributes
    ----------
    space : ConfigurationSpace
    estimator : estimator
        With a learner's own estimator in an empty place.
    parameters : callable
        Configuration -> parameters of `estimator`.
    learner : Place or SeveralLearners or None
        None where the space is the user's own.
    notes : tuple of str
        What the user should know of it.
    alternatives : Alternatives or None
        Where the user has given several spaces.
    """

    space: ConfigurationSpace
    estimator: BaseEstimator
    parameters: Callable[[Mapping[str, Any]], dict[str, Any]]
    learner: Place | SeveralLearners | None = None
    notes: tuple[str, ...] = ()
    alternatives: Alternatives | None = None

    @property
    def parameter_names(self) -> dict[str, str]:
        """Hyperparameter of the user's own space -> parameter of the estimator."""
        return {name: name for name in self.space} if self.alternatives is None else self.alternatives.parameter_names

    def searches(self, parameter: str | None) -> bool:
        """Whether a parameter of the estimator is one of the user's own space."""
        return self.learner is None and parameter in self.parameter_names.values()

    @property
    def prefix(self) -> str:
        """What precedes the names of the space in those of the estimator's parameters."""
        return self.learner.prefix if isinstance(self.learner, Place) else ""

    @property
    def reads_columns(self) -> bool:
        """Whether learners of this package read the columns of a table themselves."""
        return isinstance(self.learner, SeveralLearners) and self.learner.task is not None

    @property
    def leaves_out_rows(self) -> bool:
        """Whether the estimator leaves out rows without a target, which scikit-learn's splitters refuse."""
        return self.reads_columns or isinstance(self.estimator, TaskPipeline)

    def check_fit_parameters(self, given: Iterable[str]) -> None:
        """Refuse parameters of ``fit`` that no step of the learner's own pipeline is named for.

        Raises
        ------
        DataError
            There is such a parameter; the message tells its name in the pipeline.
        """
        nameless = [name for name in given if "__" not in name]
        if self.reads_columns and nameless:
            names = ", ".join(f"{STEP}__learner__{name}" for name in nameless)
            raise DataError(f"without an estimator, parameters of fit are named by their step: {names}.")


def searched(estimator: BaseEstimator | None, given: Any, X: Any, y: Any, random_state: int | None) -> Searched:
    """Find the estimator and the search space that a search uses.

    Parameters
    ----------
    estimator : estimator or None
        The user's.
    given : str, ConfigurationSpace, mapping, list of these, list of str, or None
        The user's search space.

    Raises
    ------
    DataError
        It does not fit the estimator, or a learner has no target to learn.
    UnknownNameError
        It names no learner.
    SpaceError
        It holds what is neither a list nor a distribution.
    """
    if isinstance(given, Mapping):
        if estimator is None:
            raise DataError("an estimator must be given: the space is of its parameters.")
        space, notes = _own_space(estimator, given)
        return Searched(space, estimator, dict, notes=notes)
    if isinstance(given, list | tuple) and given and all(isinstance(one, Mapping) for one in given):
        if estimator is None:
            raise DataError("an estimator must be given: the spaces are of its parameters.")
        found = [_own_space(estimator, one) for one in given]
        several = Alternatives({str(i): space for i, (space, _) in enumerate(found, 1)})
        all_notes = tuple(dict.fromkeys(note for _, notes in found for note in notes))
        return Searched(several.space, estimator, several.parameters, notes=all_notes, alternatives=several)
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        return _of_several(several_learners(estimator, given, (X, y), kind_of(y), random_state), estimator, y)
    if not isinstance(given, str | None):
        raise DataError(
            "space must be the name of a learner, a list of several names, a ConfigurationSpace, a dict of lists and "
            f"distributions of scipy.stats, a list of such dicts, or None, but is {given!r}."
        )
    if y is None:
        raise DataError("MetaSearchCV needs a target y; it searches for supervised learners.")
    if estimator is None:
        names = None if given is None else [given]
        return _of_several(several_learners(None, names, (X, y), kind_of(y), random_state), None, y)
    return _of_place(learner_in(estimator, given, kind_of(y)), estimator, X, y, random_state)


def _of_several(learners: SeveralLearners, estimator: BaseEstimator | None, y: Any) -> Searched:
    notes: tuple[str, ...] = ()
    if learners.kind == "regression" and not is_continuous(as_target(y).dropna()):
        notes = (
            "y is taken for a quantity (regression); if its numbers are names of classes, give them as text, such as "
            "y.astype(str)",
        )
    return Searched(learners.space, learners.whole(estimator), learners.parameters, learners, notes)


def _of_place(place: Place, estimator: BaseEstimator, X: Any, y: Any, random_state: int | None) -> Searched:
    whole = place.whole(estimator, random_state)
    held = place.learner.held_on_sparse
    notes: tuple[str, ...] = ()
    if held.keys() <= place.space.keys() and not held.keys() <= place.held.keys() and sparse(X, whole):
        what = " and ".join(f"{name} at {value!r}" for name, value in held.items())
        notes = (f"on sparse rows the search holds {what}, because others take as long as on dense rows",)
        place = replace(place, held={**held, **place.held})
    parameters = partial(place.parameters, counts=RowCounts.of(y, place.learner.kind))
    return Searched(place.space, whole, parameters, place, notes)


def _own_space(estimator: BaseEstimator, given: Mapping[str, Any]) -> tuple[ConfigurationSpace, tuple[str, ...]]:
    """A space of the user's, and notes on it."""
    own_conditions = isinstance(given, ConfigurationSpace)  # it is a mapping as well
    space = given if isinstance(given, ConfigurationSpace) else space_of(given, _values_of(estimator))
    _check_names(estimator, space)
    return space, () if own_conditions else with_conditions(space, estimator)


def _values_of(estimator: BaseEstimator) -> dict[str, Any]:
    """An estimator's own parameters; none of what is no estimator, which is refused later."""
    values: dict[str, Any] = getattr(estimator, "get_params", dict)()
    return values


def _check_names(estimator: BaseEstimator, space: ConfigurationSpace) -> None:
    """Refuse a space whose default the estimator does not take: it has no parameter of such a name."""
    default = Domain(space).default
    if not default:
        return
    try:
        # Choices may be estimators of the user's, which the names of their own parameters must not change.
        clone(estimator).set_params(**clone(default, safe=False))
    except (TypeError, ValueError, AttributeError) as error:
        known = _values_of(estimator)
        unknown = [name for name in default if name not in known]
        if not unknown:
            return  # a value, not a name: it is for the estimator to refuse
        meant = {
            name: [own for own in known if own.lower().rsplit("__", 1)[-1] == name.lower().rsplit("__", 1)[-1]]
            for name in unknown
        }
        near = "; ".join(f"for {name!r}: {' or '.join(map(repr, own))}" for name, own in meant.items() if own)
        learner = None if all(meant.values()) else _learner_of_names(estimator, space)
        if learner is not None:
            raise DataError(
                f"the search space has the names of the learner {learner!r}, as Recommendations.space gives them, and "
                f"{unknown} are no parameters of {type(estimator).__name__}: search the learner by its name, "
                f"space={learner!r}, or give the narrowed space to a BayesianOptimizer."
            ) from error
        raise DataError(
            f"the search space has {unknown}, which are no parameters of {type(estimator).__name__}. "
            f"{f'Is one of these meant, {near}?' if near else f'It has {sorted(known)}.'} Name them as the estimator "
            "does (step__parameter)."
        ) from error


def _learner_of_names(estimator: BaseEstimator, space: ConfigurationSpace) -> str | None:
    """Name of the learner in an estimator, where all hyperparameters of a space are its; else None."""
    try:
        learner = learner_in(estimator, None).learner
    except DataError:
        return None
    return learner.name if set(space) <= set(learner.space) else None
