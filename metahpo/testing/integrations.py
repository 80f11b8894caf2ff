"""What every integration of another tool must satisfy: a subclass gives the fixture `tool` and inherits the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from ConfigSpace import ConfigurationSpace

from metahpo.space.activity import canonical
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.conversion import Conversion, placed
from metahpo.space.space_comparison import description
from metahpo.testing.optimizers import loss_of, small_space

#: Values that a tool gives for a trial -> loss.
Objective = Callable[[Mapping[str, Any]], float]

#: Configurations of :func:`metahpo.testing.optimizers.small_space` that no search comes to by itself. They have 13
#: places at most, as ConfigSpace keeps no more.
FIRST: tuple[Configuration, ...] = (
    {"mode": "wild", "depth": 7, "rate": 0.1234567890123},
    {"mode": "tuned", "depth": 2, "rate": 3.3, "knob": 0.9876543210987},
    {"mode": "plain", "depth": 1, "rate": 0.0078125},
)


class Tool(Protocol):
    """A tool with what an integration adds to it."""

    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        """Make `n_trials` trials, `initial` first; with the same folder again, go on with the same search."""

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        """Space of the tool."""

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        """Search space of a space of the tool."""


class IntegrationContract:
    """Contract of an integration. Give the fixture ``tool``; `completes` says whether it wants inactive values, too."""

    completes = True

    @pytest.fixture
    def tool(self) -> Tool:
        """What is under test."""
        raise NotImplementedError

    def test_first_come_exactly_the_given_ones_once_and_in_order_also_after_resume(
        self, tool: Tool, tmp_path: Path
    ) -> None:
        space = small_space()
        given: list[dict[str, Any]] = []

        def objective(values: Mapping[str, Any]) -> float:
            given.append(dict(values))
            return loss_of(canonical(space, values))

        tool.search(space, objective, 2, FIRST, tmp_path)
        assert len(given) == 2
        tool.search(space, objective, 3, FIRST, tmp_path)
        assert len(given) == 5
        configurations = [canonical(space, values) for values in given]
        assert configurations[:3] == list(FIRST)
        assert len({to_json(configuration) for configuration in configurations}) == 5
        if self.completes:
            assert all(values.keys() >= space.keys() for values in given)

    def test_choices_of_several_types_come_exactly(self, tool: Tool, tmp_path: Path) -> None:
        space = ConfigurationSpace({"weight": [0.0, None, "auto"], "flag": [True, False], "rate": (0.0, 1.0)})
        initial = [{"weight": weight, "flag": False, "rate": 0.25} for weight in (None, 0.0, "auto")]
        given: list[dict[str, Any]] = []

        def objective(values: Mapping[str, Any]) -> float:
            given.append(placed(space, values))
            return 1.0

        tool.search(space, objective, 3, initial, tmp_path)
        assert given == initial

    def test_spaces_convert_both_ways_and_what_is_lost_is_reported(self, tool: Tool) -> None:
        space = small_space()
        there = tool.convert(space)
        back = tool.revert(there.space)
        expected, found = description(space), description(back.space)
        reported = {*there.changed, *there.left_out, *back.changed, *back.left_out}
        for key, text in expected.items():
            name = key.removeprefix("hyperparameter '").removesuffix("'")
            assert found.get(key) == text or name in reported, (key, text, found.get(key))
        assert found.keys() == expected.keys()
        assert there.exact == (not there.changed and not there.left_out)
        assert str(there)
