"""How far two search spaces overlap: what one of them says of the configurations of the other.

Hyperparameters are the same where their names are, or are aliases (:mod:`metahpo.space.aliases`). A number beyond the
range that is known counts as the end of the range; a number among known choices as the nearest of them. A word that is
one of a pair "word or number" (``gamma="scale"`` or ``gamma=0.1``) is found too: in the space that is known, the number
is active under one choice of another hyperparameter, and the words are the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, EqualsCondition
from ConfigSpace.conditions import Conjunction
from ConfigSpace.hyperparameters import NumericalHyperparameter
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.aliases import likeness
from metahpo.space.configuration import Configuration, value_text
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.values import choices_of

Array = NDArray[np.float64]
#: Codes of hyperparameters of the known space.
Placed = dict[str, Any]
#: Stands for "no value is near": None is a value of some hyperparameters.
_NOTHING: Any = object()


@dataclass(frozen=True)
class Match:
    """One hyperparameter in both spaces.

    Attributes
    ----------
    name : str
        In the user's space.
    known : str
        In the space that is known.
    rule : tuple of str and value, or None
        The hyperparameter that activates the known one, and the choice under which it is active, where the user's space
        has no such hyperparameter.
    """

    name: str
    known: str
    rule: tuple[str, Any] | None = None


class SpaceMapping:
    """What of a user's space is known from another space.

    Parameters
    ----------
    space : ConfigurationSpace
        The user's.
    known : ConfigurationSpace
        The space of the experience.
    names : mapping of str to str, default=None
        Hyperparameter of the user's space -> the name to look for in the known space. One that is missing is not
        looked for; one without a name, "", is nothing of which something could be known. Several of one name are one
        hyperparameter of the known space. None: all are looked for, by their own names.
    held : mapping of str to value, default=None
        Values of known hyperparameters where the user's space does not set them: because it has no such
        hyperparameter, or because that is not active. The others have their defaults. The report tells of names and
        values of which nothing is known.

    Attributes
    ----------
    matches : tuple of Match
    unknown : tuple of str
        Hyperparameters of the user's space of which nothing is known.
    defaults : tuple of str
        Hyperparameters of the known space that the user's lacks; they are taken to be at the value that is held, or
        at their defaults.
    always_set : frozenset of str
        Hyperparameters of the known space that every configuration of the user's space sets.

    Raises
    ------
    SpaceError
        The spaces have nothing in common, `names` has a name that `space` lacks, or `held` a hyperparameter that every
        configuration of `space` sets.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        known: ConfigurationSpace,
        names: Mapping[str, str] | None = None,
        held: Mapping[str, Any] | None = None,
    ) -> None:
        self.encoder, self.known_encoder = SpaceEncoder(space), SpaceEncoder(known)
        self.space, self.known = space, known
        self._held = dict(held or {})
        looked_for = {name: name for name in space} if names is None else names
        if foreign := [name for name in looked_for if name not in space]:
            raise SpaceError(f"`names` has {foreign}, but the hyperparameters of the space are {list(space)}.")
        self.matches = tuple(_matches(space, known, looked_for, self._held))
        always = [match for match in self.matches if not space.parent_conditions_of[match.name]]
        self.always_set = frozenset(match.known for match in always)
        _check_held(self._held, always)
        matched = {match.name for match in self.matches}
        matched_known = {match.known for match in self.matches}
        ruled = matched_known | {match.rule[0] for match in self.matches if match.rule}
        self.unknown = tuple(name for name in space if name not in matched and looked_for.get(name) != "")
        self.defaults = tuple(name for name in known if name not in ruled)
        self._default_codes = {
            name: values.code(known[name].default_value) for name, values in self.known_encoder.domain.values.items()
        }
        self._without_place: list[str] = []
        for name in known:
            if name in self._held:
                match = Match(name, name, _rule_of(name, known, (*matched_known, *self._held)))
                codes = self._codes_of(match, self._held[name])
                self._default_codes.update(codes or {})
                self._without_place += [name] if codes is None else []
        self._tables = {match.name: self._table(match) for match in self.matches}
        if not self.matches:
            raise SpaceError(
                f"the space has nothing in common with the one that experience is of: its hyperparameters "
                f"{list(space)} are none of {list(known)}, nor aliases of them. Search without the surrogate, or give "
                "the hyperparameters the names that are known."
            )

    def rows(self, rows: Array) -> Array:
        """Rows of the known space that stand for rows (n, d) of the user's."""
        n = len(rows)
        blocks, domain = self.encoder.blocks, self.encoder.domain
        own = {block.name: block.values.from_unit(rows[:, block.columns]) for block in blocks}
        active = domain.activity(own, n)
        codes = {name: np.full(n, code) for name, code in self._default_codes.items()}
        for match in self.matches:
            for name, (found, where) in self._placed(match, own[match.name]).items():
                codes[name] = np.where(where & active[match.name], found, codes[name])
        return self.known_encoder.rows_of(codes, self.known_encoder.domain.activity(codes, n), n)

    def place(self, configurations: Sequence[Mapping[str, Any]]) -> list[Configuration]:
        """Configurations of the user's space that are nearest to configurations of the known one.

        What is not known takes the user's default. Configurations that the user's space forbids are left out, with a
        warning.
        """
        found = [self.nearest(configuration) for configuration in configurations]
        placed = [configuration for configuration in found if configuration is not None]
        if len(placed) < len(found):
            warnings.warn(
                f"{len(found) - len(placed)} of {len(found)} configurations have no place in the space, which forbids "
                "what is nearest to them",
                stacklevel=2,
            )
        return placed

    def nearest(self, configuration: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> Configuration | None:
        """The configuration of the user's space that is nearest to a known one; None where the space forbids it.

        Parameters
        ----------
        configuration : mapping
            Of the known space.
        given : mapping, default=None
            Values of hyperparameters of which nothing is known; the others have the user's defaults.

        Raises
        ------
        SpaceError
            `given` has a name that the user's space lacks.
        """
        if foreign := [name for name in given or {} if name not in self.space]:
            raise SpaceError(f"{foreign} are given, but the hyperparameters of the space are {list(self.space)}.")
        values = {name: hyperparameter.default_value for name, hyperparameter in self.space.items()} | dict(given or {})
        for match in self.matches:
            speaks = match.rule[0] if match.rule and match.known not in configuration else match.known
            legal = _nearest(self.space[match.name], configuration.get(speaks, _NOTHING))
            if legal is not _NOTHING:
                values[match.name] = legal
        try:
            return self.encoder.domain.canonical(values)
        except SpaceError:
            return None

    def to_frame(self) -> pd.DataFrame:
        """One row a hyperparameter of either space: its name in both, and what becomes of it."""
        rows: list[tuple[str | None, str | None, str]] = []
        rows += [(match.name, match.known, self.fate(match)) for match in self.matches]
        rows += [(name, None, "left out: nothing is known of it") for name in self.unknown]
        values = self.known_encoder.domain.values
        for name in self.defaults:
            lost = f", because nothing is known of {self._held[name]!r}" if name in self._without_place else ""
            rows.append((None, name, f"taken to be {values[name].value(self._default_codes[name])!r}{lost}"))
        known = self.known
        rows += [(name, None, "held, but left out: nothing is known of it") for name in self._held if name not in known]
        return pd.DataFrame(rows, columns=["name", "known as", "what becomes of it"])

    def __str__(self) -> str:
        return self.to_frame().fillna("").to_string(index=False)

    def fate(self, match: Match) -> str:
        """What becomes of a hyperparameter that is in both spaces."""
        own, known = self.space[match.name], self.known[match.known]
        if inactive := self._inactive_under(match.known):
            return f"left out: it is known to have no effect where {inactive}"
        if _has_numbers(own) and _has_numbers(known):
            (lowest, highest), (low, high) = _range_of(own), _range_of(known)
            if lowest < low or highest > high:
                return f"clipped: [{lowest:g}, {highest:g}] is known in [{low:g}, {high:g}]"
        if isinstance(own, NumericalHyperparameter):
            return "taken"
        table = self._tables[match.name]
        choices = choices_of(own)[0]
        missing = [choice for choice, placed in zip(choices, table or (), strict=False) if placed is None]
        if missing:
            return f"taken, but for the choices {', '.join(map(str, missing))}, which count as the default"
        return "taken"

    def _inactive_under(self, name: str) -> str:
        """Values that are not searched, and under which a known hyperparameter is inactive, in words; "": none."""
        values = self.known_encoder.domain.values
        for condition in self.known.parent_conditions_of[name]:
            if not isinstance(condition, Conjunction) and condition.parent.name in self.defaults:
                parent = condition.parent.name
                value = values[parent].value(self._default_codes[parent])
                if not condition.satisfied_by_value({parent: value}):
                    return f"{parent} is {value!r}"
        return ""

    def _table(self, match: Match) -> list[Placed | None] | None:
        """Codes in the known space of each choice of the user's; None for a number."""
        own = self.space[match.name]
        if isinstance(own, NumericalHyperparameter):
            return None
        return [self._codes_of(match, choice) for choice in choices_of(own)[0]]

    def _codes_of(self, match: Match, value: Any) -> Placed | None:
        """Codes in the known space of one value; None where it has no place there."""
        domain, known = self.known_encoder.domain, self.known[match.known]
        if match.rule is not None:
            rule, chosen = match.rule
            word = _same_choice(choices_of(self.known[rule])[0], value)
            if word is not None and word[0] != domain.values[rule].code(chosen):
                return {rule: word[0]}
        legal = _nearest(known, value)
        if legal is _NOTHING:
            return None
        placed = {match.known: domain.values[match.known].code(legal)}
        return (
            placed
            if match.rule is None
            else {match.rule[0]: domain.values[match.rule[0]].code(match.rule[1]), **placed}
        )

    def _placed(self, match: Match, codes: NDArray[Any]) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Codes in the known space of codes (n,) of the user's, and where each of them holds."""
        table = self._tables[match.name]
        if table is not None:
            names = {name for placed in table if placed for name in placed}
            found = {}
            for name in names:
                default = self._default_codes[name]
                of_choice = np.array([(placed or {}).get(name, default) for placed in table])
                holds = np.array([name in (placed or {}) for placed in table])
                found[name] = (of_choice[codes.astype(int)], holds[codes.astype(int)])
            return found
        everywhere, domain = np.ones(len(codes), dtype=bool), self.known_encoder.domain
        known = self.known[match.known]
        if isinstance(known, NumericalHyperparameter):
            number = np.clip(codes, known.lower, known.upper)
            placed = np.rint(number).astype(np.int64) if isinstance(known.default_value, (int, np.integer)) else number
        else:
            numbers = [(i, c) for i, c in enumerate(choices_of(known)[0]) if _is_number(c)]
            distances = np.abs(codes[:, None] - np.array([float(c) for _, c in numbers]))
            placed = np.array([i for i, _ in numbers])[distances.argmin(axis=1)]
        found = {match.known: (placed, everywhere)}
        if match.rule is not None:
            rule, chosen = match.rule
            of_rule = np.full(len(codes), domain.values[rule].code(chosen))
            for i, word in enumerate(choices_of(self.known[rule])[0]):
                if _is_number(word):
                    of_rule = np.where(codes == word, i, of_rule)
            found[rule] = (of_rule, everywhere)
        return found


def _check_held(held: Mapping[str, Any], searched: Sequence[Match]) -> None:
    """Refuse to hold what is always searched."""
    for match in searched:
        for name in {match.known, match.name} & held.keys():
            raise SpaceError(
                f"{name!r} is held at {held[name]!r}, but the space searches it, as {match.name!r}: leave {name!r} out "
                f"of `held`, or {match.name!r} out of the space."
            )


def _matches(
    space: ConfigurationSpace, known: ConfigurationSpace, looked_for: Mapping[str, str], held: Mapping[str, Any]
) -> list[Match]:
    """Pairs of hyperparameters of the same meaning, each at most once, the surest first."""
    pairs = [
        (-likeness(looked_for[name], other), i, j, name, other)
        for i, name in enumerate(space)
        for j, other in enumerate(known)
        if name in looked_for and likeness(looked_for[name], other) and _comparable(space[name], other, known)
    ]
    taken: dict[str, str] = {}
    for _, _, _, name, other in sorted(pairs):
        if name not in taken and all(looked_for[name] == looked_for[one] for one in taken if taken[one] == other):
            taken[name] = other
    given = {*taken.values(), *held}
    return [Match(name, other, _rule_of(other, known, given)) for name, other in taken.items()]


def _rule_of(name: str, known: ConfigurationSpace, given: Container[str]) -> tuple[str, Any] | None:
    """The hyperparameter that activates another one by one of its choices, unless it is given itself."""
    for condition in known.parent_conditions_of[name]:
        if isinstance(condition, EqualsCondition) and isinstance(condition.parent, CategoricalHyperparameter):
            parent = condition.parent.name
            return None if parent in given else (parent, condition.value)
    return None


def _comparable(own: Any, name: str, known: ConfigurationSpace) -> bool:
    """Whether values of a hyperparameter can say anything of a known one, or of the words that stand for it."""
    other = known[name]
    if _has_numbers(own) and _has_numbers(other):
        return True
    rule = _rule_of(name, known, ())
    known_words = [choice for choice in choices_of(known[rule[0]])[0] if choice != rule[1]] if rule else []
    if not _has_numbers(other):
        known_words += choices_of(other)[0]
    own_words = [] if isinstance(own, NumericalHyperparameter) else choices_of(own)[0]
    return any(_same_choice(known_words, word) is not None for word in own_words)


def _has_numbers(hyperparameter: Any) -> bool:
    if isinstance(hyperparameter, NumericalHyperparameter):
        return True
    return any(_is_number(choice) for choice in choices_of(hyperparameter)[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def _range_of(hyperparameter: Any) -> tuple[float, float]:
    """Lowest and highest number of a hyperparameter."""
    if isinstance(hyperparameter, NumericalHyperparameter):
        return float(hyperparameter.lower), float(hyperparameter.upper)
    numbers = [float(choice) for choice in choices_of(hyperparameter)[0] if _is_number(choice)]
    return min(numbers), max(numbers)


def _same_choice(choices: Sequence[Any], value: Any) -> tuple[int, Any] | None:
    """Position and form of the choice that a value is; words are compared without regard to case."""
    for plain in (value_text, lambda v: str(v).lower()):
        for i, choice in enumerate(choices):
            if plain(choice) == plain(value) and isinstance(choice, bool) == isinstance(value, bool):
                return i, choice
    return None


def _nearest(hyperparameter: Any, value: Any) -> Any:
    """The value of a hyperparameter that is nearest to one from elsewhere; `_NOTHING`: there is nothing like it."""
    if value is _NOTHING:
        return _NOTHING
    if isinstance(hyperparameter, NumericalHyperparameter):
        if not _is_number(value):
            return _NOTHING
        number = min(max(value, hyperparameter.lower), hyperparameter.upper)
        return round(number) if isinstance(hyperparameter.default_value, (int, np.integer)) else float(number)
    choices = choices_of(hyperparameter)[0]
    same = _same_choice(choices, value)
    if same is not None:
        return same[1]
    numbers = [choice for choice in choices if _is_number(choice)]
    return min(numbers, key=lambda choice: abs(choice - value)) if numbers and _is_number(value) else _NOTHING
