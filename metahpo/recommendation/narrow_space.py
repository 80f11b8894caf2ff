"""A search space narrowed to a dataset: the smallest box that is likely to hold the best configuration.

Symbols: n recorded configurations, q (n,) the probability that each is the best one on the dataset, m configurations
drawn from the whole space. The mass of a box is the sum of q inside of it, its volume the share of the m inside.

The box is peeled (patient rule induction: Friedman and Fisher, Statistics and Computing 1999): again and again one end
of the range of a number, or one choice, is given up, the one that lowers the logarithm of the volume most for the mass
that it loses, as long as the mass stays above what is asked for. An end lies half-way between the outermost
configuration that is kept and the next one that is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Float, Integer, OrdinalHyperparameter
from ConfigSpace.conditions import AndConjunction, Condition, EqualsCondition, InCondition, OrConjunction
from ConfigSpace.hyperparameters import Hyperparameter, IntegerHyperparameter, NumericalHyperparameter
from numpy.typing import NDArray

from metahpo.exceptions import DataError, SpaceError, UnknownNameError
from metahpo.recommendation.basis import Basis
from metahpo.recommendation.prediction import Prediction
from metahpo.space.configuration import Configuration, builtin
from metahpo.space.domain import Domain
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.values import choices_of

Array = NDArray[np.float64]

#: Configurations drawn to measure volumes.
DRAWN = 2000
#: Configurations of a source task that may be the best one, and their shares: the recorded order is noisy.
SHARES = (0.5, 0.25, 0.15, 0.1)
#: Mass given to all source tasks alike, because weights by meta-features are uncertain.
EQUAL_SHARE = 0.5
#: Least width of a range in the unit cube.
MIN_WIDTH = 0.02


@dataclass
class _Side:
    """Values of one hyperparameter, of the recorded configurations and of those drawn, and what of them is kept.

    Attributes
    ----------
    known, drawn : ndarray of shape (n,), (m,)
        Position in [0, 1] of a number or an ordered choice, or the code of a choice; NaN where it is not active.
    choices : set of int or None
        Codes that are kept; None for a number.
    low, high : float
        Range that is kept.
    """

    known: Array
    drawn: Array
    choices: frozenset[int] | None
    low: float = 0.0
    high: float = 1.0

    def holds(self, values: Array) -> NDArray[np.bool_]:
        """Which values are kept; one that is not active is."""
        inactive = np.isnan(values)
        if self.choices is not None:
            return inactive | np.isin(values, list(self.choices))
        return inactive | ((values >= self.low) & (values <= self.high))

    def cuts(self, held: NDArray[np.bool_]) -> list[_Side]:
        """The same with one more part given up; `held`, shape (n,), are the configurations inside of the box."""
        values = np.unique(self.known[held & ~np.isnan(self.known)])
        if self.choices is not None:
            options = [frozenset(self.choices - {c}) for c in self.choices] if len(self.choices) > 1 else []
            return [_Side(self.known, self.drawn, option) for option in options]
        if len(values) < 2:
            return []
        first, second, before, last = values[0], values[1], values[-2], values[-1]
        raised, lowered = 0.5 * (first + second), 0.5 * (before + last)
        found = []
        if self.high - raised >= MIN_WIDTH:
            found.append(_Side(self.known, self.drawn, None, raised, self.high))
        if lowered - self.low >= MIN_WIDTH:
            found.append(_Side(self.known, self.drawn, None, self.low, lowered))
        return found


def narrowed_space(basis: Basis, learner: str, share: float) -> ConfigurationSpace:
    """The box of a learner: see :meth:`metahpo.recommendation.recommendations.Recommendations.space`."""
    if not 0.0 < share <= 1.0:
        raise DataError(f"share must lie in (0, 1], but is {share}.")
    prediction = basis.prediction
    names = [prediction.candidates.learner_and_own(i)[0] for i in range(len(prediction.candidates))]
    if learner not in names:
        raise UnknownNameError("learner", learner, sorted(set(names)), "These were asked for.")
    configurations, mass = good_configurations(prediction, learner)
    best = next((configurations[i] for i in np.argsort(-mass, kind="stable")), None)
    return box(basis.spaces[learner], configurations, mass, share, best)


def good_configurations(prediction: Prediction, learner: str) -> tuple[list[Configuration], Array]:
    """Configurations of a learner, and the probability, shape (n,), that each is the best one of the learner."""
    candidates, against = prediction.candidates, prediction.against
    own = [i for i in range(len(candidates)) if candidates.learner_and_own(i)[0] == learner]
    if against is not None and (known := [i for i in own if i in against.places]):
        columns = [against.places.index(i) for i in known]
        weights, change = against.improvement.weights, against.improvement.change[:, columns]
        own, values = known, -change
    else:
        weights, values = prediction.posterior.weights, prediction.posterior.mean[:, own]
    return [candidates.learner_and_own(i)[1] for i in own], best_shares(weights, values)


def best_shares(weights: Array, values: Array) -> Array:
    """Probability, shape (n,), that each configuration is the best, from weighted tasks and their values (T, n)."""
    weights = (1.0 - EQUAL_SHARE) * weights / weights.sum() + EQUAL_SHARE / len(weights)
    order = np.argsort(values, axis=1, kind="stable")
    shares = np.array(SHARES[: values.shape[1]])
    mass = np.zeros(values.shape[1])
    for rank, part in enumerate(shares / shares.sum()):
        np.add.at(mass, order[:, rank], part * weights)
    return mass


def box(
    space: ConfigurationSpace,
    configurations: Sequence[Configuration],
    mass: Array,
    share: float,
    best: Configuration | None = None,
) -> ConfigurationSpace:
    """The smallest box that holds a share of the mass.

    Parameters
    ----------
    space : ConfigurationSpace
    configurations : sequence of dict
        The n recorded ones.
    mass : ndarray of shape (n,)
        Sums to one.
    share : float
    best : dict, default=None
        Becomes the default of the box where the default of the space lies outside.
    """
    sides = _peeled(space, configurations, mass, share)
    return _as_space(space, sides, best)


def holds(narrow: ConfigurationSpace, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
    """Which configurations of a space, shape (n,), a narrowed one holds."""
    return np.array(
        [all(name in narrow and _legal(narrow[name], value) for name, value in c.items()) for c in configurations]
    )


def volume(narrow: ConfigurationSpace, space: ConfigurationSpace) -> float:
    """Share of random configurations of a space that a narrowed one holds."""
    encoder, rng = SpaceEncoder(space), np.random.default_rng(1)
    drawn = encoder.decode(encoder.legal_rows(rng.random((DRAWN, encoder.n_columns)), rng))
    return float(holds(narrow, drawn).mean())


def _legal(hyperparameter: Hyperparameter[Any, Any], value: Any) -> bool:
    if isinstance(hyperparameter, NumericalHyperparameter):
        return bool(hyperparameter.lower <= value <= hyperparameter.upper)
    return value in choices_of(hyperparameter)[0]


def _peeled(
    space: ConfigurationSpace, configurations: Sequence[Configuration], mass: Array, share: float
) -> dict[str, _Side]:
    encoder = SpaceEncoder(space)
    rng = np.random.default_rng(0)
    rows = encoder.legal_rows(rng.random((DRAWN, encoder.n_columns)), rng)
    drawn = encoder.decode(rows)
    sides = {}
    for name, hyperparameter in space.items():
        if _size(hyperparameter) < 2:
            continue
        free = isinstance(hyperparameter, CategoricalHyperparameter)
        known, random = (_positions(hyperparameter, some) for some in (configurations, drawn))
        choices = frozenset(range(len(choices_of(hyperparameter)[0]))) if free else None
        sides[name] = _Side(known, random, choices)
    held = {name: (side.holds(side.known), side.holds(side.drawn)) for name, side in sides.items()}
    while True:
        outside = _count([~own for own, _ in held.values()], len(mass))
        outside_drawn = _count([~own for _, own in held.values()], len(drawn))
        inside, volume = outside == 0, max(1, int((outside_drawn == 0).sum()))
        have = float(mass[inside].sum())
        best: tuple[float, str, _Side] | None = None
        for name, side in sides.items():
            own, own_drawn = held[name]
            for cut in side.cuts(inside):
                kept = (outside - ~own == 0) & cut.holds(cut.known)
                left = float(mass[kept].sum())
                if left < share - 1e-9:
                    continue
                n_left = int(((outside_drawn - ~own_drawn == 0) & cut.holds(cut.drawn)).sum())
                if n_left == 0 or n_left == volume:
                    continue
                gain = np.log(volume / n_left) / (have - left + 1e-4)
                if best is None or gain > best[0]:
                    best = (float(gain), name, cut)
        if best is None:
            return sides
        _, name, cut = best
        sides[name] = cut
        held[name] = (cut.holds(cut.known), cut.holds(cut.drawn))


def _count(masks: Sequence[NDArray[np.bool_]], n: int) -> NDArray[np.int64]:
    """How many of the masks (n,) are true."""
    return np.asarray(np.sum([np.zeros(n, dtype=np.int64), *masks], axis=0))


def _size(hyperparameter: Hyperparameter[Any, Any]) -> int:
    return 2 if isinstance(hyperparameter, NumericalHyperparameter) else len(choices_of(hyperparameter)[0])


def _positions(hyperparameter: Hyperparameter[Any, Any], configurations: Sequence[Configuration]) -> Array:
    """Positions or codes of values, shape (n,); NaN where it is not active."""
    name = hyperparameter.name
    active = np.array([name in c for c in configurations], dtype=bool)
    values = [c[name] for c in configurations if name in c]
    found = np.full(len(configurations), np.nan)
    if not values:
        return found
    if isinstance(hyperparameter, NumericalHyperparameter):
        low, high = hyperparameter.lower, hyperparameter.upper
        found[active] = hyperparameter.to_vector(np.clip(np.array(values), low, high))
        return found
    choices, ordered = choices_of(hyperparameter)
    codes = np.array([choices.index(v) if v in choices else np.nan for v in values])
    found[active] = codes / max(1, len(choices) - 1) if ordered else codes
    return found


def _as_space(space: ConfigurationSpace, sides: dict[str, _Side], best: Configuration | None) -> ConfigurationSpace:
    default = Domain(space).default
    inside = all(
        bool(side.holds(_positions(space[name], [default])).all()) for name, side in sides.items() if name in default
    )
    wanted = default if inside or best is None else best
    meta = {"narrowed": True, "default_of_the_library_inside": inside}
    narrow = ConfigurationSpace(name=space.name, meta=meta)
    for name, hyperparameter in space.items():
        conditions = []
        for condition in space.parent_conditions_of[name]:
            new = _condition(condition, narrow, hyperparameter)
            if new is None:
                break
            conditions.append(new)
        else:
            narrowed = _narrowed(hyperparameter, sides.get(name), wanted.get(name))
            narrow.add(narrowed)
            for make in conditions:
                narrow.add(make(narrowed))
    for clause in space.forbidden_clauses:
        try:
            narrow.add(clause)
        except (ValueError, KeyError, SpaceError):  # it is of values that the box does not hold
            continue
    return narrow


def _narrowed(hyperparameter: Hyperparameter[Any, Any], side: _Side | None, wanted: Any) -> Hyperparameter[Any, Any]:
    name = hyperparameter.name
    if side is None:
        return hyperparameter
    if side.choices is not None:
        kept = [c for i, c in enumerate(choices_of(hyperparameter)[0]) if i in side.choices]
        return CategoricalHyperparameter(name, kept, default_value=wanted if wanted in kept else kept[0])
    if isinstance(hyperparameter, OrdinalHyperparameter):
        choices = choices_of(hyperparameter)[0]
        place = np.arange(len(choices)) / max(1, len(choices) - 1)
        kept = [c for c, p in zip(choices, place, strict=True) if side.low <= p <= side.high] or [choices[0]]
        return OrdinalHyperparameter(name, kept, default_value=wanted if wanted in kept else kept[0])
    assert isinstance(hyperparameter, NumericalHyperparameter)
    low, high = (builtin(v) for v in hyperparameter.to_value(np.array([side.low, side.high])))
    low, high = max(low, builtin(hyperparameter.lower)), min(high, builtin(hyperparameter.upper))
    if isinstance(hyperparameter, IntegerHyperparameter):
        low, high = int(np.floor(low)), int(np.ceil(high))
        if low == high:
            low, high = (low - 1, high) if low > hyperparameter.lower else (low, high + 1)
    default = builtin(hyperparameter.default_value) if wanted is None else wanted
    log = bool(getattr(hyperparameter, "log", False))
    if isinstance(hyperparameter, IntegerHyperparameter):
        return Integer(name, (low, high), default=min(max(default, low), high), log=log)
    return Float(name, (low, high), default=min(max(default, low), high), log=log)


def _condition(condition: Any, narrow: ConfigurationSpace, child: Hyperparameter[Any, Any]) -> Any:
    """A function of the narrowed child that makes the condition anew; None where it can never hold."""
    if isinstance(condition, (AndConjunction, OrConjunction)):
        parts = [_condition(part, narrow, child) for part in condition.components]
        left = [part for part in parts if part is not None]
        if not left or (isinstance(condition, AndConjunction) and len(left) < len(parts)):
            return None
        kind = type(condition)
        return left[0] if len(left) == 1 else lambda new: kind(*(part(new) for part in left))
    assert isinstance(condition, Condition)
    name = condition.parent.name
    if name not in narrow:
        return None
    parent = narrow[name]
    if isinstance(condition, InCondition):
        values = [value for value in condition.values if parent.legal_value(value)]
        return (lambda new: InCondition(new, parent, values)) if values else None
    if isinstance(condition, EqualsCondition) and not parent.legal_value(condition.value):
        return None
    kind_of, value = type(condition), condition.value
    if not parent.legal_value(value):  # an inequality that holds, or does not, in the whole box
        holds = condition.satisfied_by_value({name: builtin(parent.default_value)})
        return (lambda new: InCondition(new, parent, [builtin(parent.default_value)])) if holds else None
    return lambda new: kind_of(new, parent, value)
