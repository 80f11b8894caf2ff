"""Ax: a generation node in its client, trials that are attached first, and spaces both ways."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)

pytest.importorskip("ax", minversion="1.3.1", exc_type=ImportError)

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, DerivedParameterConfig, RangeParameterConfig
from ax.core.parameter import ParameterType, RangeParameter
from ax.core.search_space import SearchSpace
from ax.exceptions.core import SearchSpaceExhausted
from ax.generation_strategy.generation_strategy import GenerationStrategy

from metahpo.exceptions import ArtefactError, DataError, SpaceError
from metahpo.integrations.ax import MetaGenerationNode, attach_trials, from_ax, load_client, to_ax
from metahpo.space.conversion import Conversion, placed
from metahpo.testing import IntegrationContract
from metahpo.testing.integrations import FIRST, Objective
from metahpo.testing.optimizers import loss_of, small_space
from tests.integrations.every_kind import check_there_and_back_as_texts
from tests.integrations.guide import run_example
from tests.integrations.peaked import BEST, Peaked

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ax's own calls


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Without the lines that Ax writes for each trial."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def client_of(
    parameters: Sequence[Any], node: MetaGenerationNode | None = None, objective: str = "-loss", limits: Any = None
) -> Client:
    client = Client(random_seed=0)
    client.configure_experiment(parameters)
    client.configure_optimization(objective, limits)
    if node is not None:
        client.set_generation_strategy(GenerationStrategy(nodes=[node]))
    return client


def next_trial(client: Client) -> tuple[int, dict[str, Any]]:
    ((index, parameters),) = client.get_next_trials(max_trials=1).items()
    return index, dict(parameters)


class AxTool:
    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        file, node = folder / "client.json", MetaGenerationNode(space, initial=initial, seed=0)
        if file.exists():
            client = load_client(file, GenerationStrategy(nodes=[node]))
        else:
            client = client_of(to_ax(space).space, node)
        for index, parameters in client.get_next_trials(n_trials).items():
            client.complete_trial(index, {"loss": objective(parameters)})
        client.save_to_json_file(str(file))

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_ax(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_ax(space)


class TestContract(IntegrationContract):
    completes = False  # Ax knows conditions

    @pytest.fixture
    def tool(self) -> AxTool:
        return AxTool()


def test_experience_suggests_first_inside_the_ranges_and_learns_in_both_directions() -> None:
    parameters = [
        ChoiceParameterConfig("mode", ["plain", "tuned"], "str", is_ordered=False),
        ChoiceParameterConfig("depth", [1, 3, 5], "int", is_ordered=True),
        RangeParameterConfig("rate", (0.1, 0.5), "float"),
        RangeParameterConfig("momentum", (0.5, 0.9), "float"),
        DerivedParameterConfig("twice", "2 * rate", "float"),
    ]
    node = MetaGenerationNode(Peaked(small_space(), BEST), seed=0)
    client = client_of(parameters, node, "score")
    trials = client.get_next_trials(max_trials=4)
    assert {**trials[0], "momentum": 0} == {"mode": "tuned", "depth": 5, "rate": 0.1, "momentum": 0, "twice": 0.2}
    assert 0.5 <= float(trials[0]["momentum"]) <= 0.9
    assert len(set(map(str, trials.values()))) == 4
    client.complete_trial(0, {"score": 0.75})
    client.mark_trial_failed(1)
    client.mark_trial_abandoned(2)
    outside = {**trials[0], "rate": 0.2, "twice": 0.4}
    client.complete_trial(client.attach_trial(outside), {"score": 0.5})
    optimizer = node._optimizer
    assert optimizer is not None
    node.update_generator_state(client._experiment, client._experiment.lookup_data())
    assert optimizer.history.losses[[0, 3]].tolist() == [-0.75, -0.5]
    assert np.isnan(optimizer.history.losses).tolist() == [False, True, True, False]
    assert optimizer.history.configurations[3] == {"mode": "tuned", "depth": 5, "rate": 0.2, "knob": 0.5}


def test_a_trial_counts_once_it_has_all_its_metrics_and_constraints_count() -> None:
    node = MetaGenerationNode(initial=[{"x": 0.25}], seed=0)
    client = client_of([RangeParameterConfig("x", (0, 1), "float")], node, "2*a - b", ["memory <= 8", "speed >= 2"])
    assert next_trial(client) == (0, {"x": 0.25})
    client.complete_trial(0, {"a": 1.0, "memory": 9.0})
    next_trial(client)
    optimizer = node._optimizer
    assert optimizer is not None
    assert len(optimizer.history) == 0
    client.attach_data(0, {"b": 0.5, "speed": 3.0})
    next_trial(client)
    assert optimizer.history.losses.tolist() == [-1.5]
    assert optimizer.history.constraints.tolist() == [[1.0, -1.0]]


def test_another_experiment_is_another_search() -> None:
    node = MetaGenerationNode(initial=[{"x": 0.25}], seed=0)
    for bound in (1.0, 2.0):
        client = client_of([RangeParameterConfig("x", (0.0, bound), "float")], node)
        assert next_trial(client) == (0, {"x": 0.25})
        client.complete_trial(0, {"loss": bound})
        next_trial(client)
        optimizer = node._optimizer
        assert optimizer is not None
        assert optimizer.history.losses.tolist() == [bound]
        x: Any = optimizer.space["x"]
        assert x.upper == bound


def test_a_finite_space_ends() -> None:
    client = client_of([ChoiceParameterConfig("x", ["a", "b"], "str", is_ordered=False)], MetaGenerationNode(seed=0))
    assert {next_trial(client)[1]["x"], next_trial(client)[1]["x"]} == {"a", "b"}
    with pytest.raises(SearchSpaceExhausted):
        next_trial(client)


def test_attached_trials_are_exact_and_are_not_repeated() -> None:
    client = client_of(to_ax(small_space()).space)
    assert attach_trials(client, FIRST[:2], small_space()) == {0: FIRST[0], 1: FIRST[1]}
    assert attach_trials(client, FIRST) == {2: FIRST[2]}
    node = MetaGenerationNode(small_space(), initial=FIRST, seed=0)
    client.set_generation_strategy(GenerationStrategy(nodes=[node]))
    assert next_trial(client)[1] not in FIRST
    with pytest.raises(SpaceError, match=r"no values for the parameters \['depth', 'rate'\]"):
        attach_trials(client, [{"mode": "wild"}])
    with pytest.raises(SpaceError, match=r"no parameters \['momentum'\]; add them"):
        attach_trials(client, [{**FIRST[0], "momentum": 0.5}])
    with pytest.raises(SpaceError, match="not of the search space of the experiment"):
        attach_trials(client, [{**FIRST[0], "depth": "many"}])


def test_attached_choices_of_any_type_come_back_and_conditions_hold() -> None:
    space, layers, width = ConfigurationSpace(), Categorical("layers", [None, (8, 8), 3]), Integer("width", (1, 9))
    space.add(layers, width, EqualsCondition(width, layers, None))
    client = client_of(to_ax(space).space)
    given: list[dict[str, Any]] = [{"layers": None, "width": 7}, {"layers": (8, 8)}]
    attached = attach_trials(client, given, space)
    assert attached == {0: {"layers": "None", "width": 7}, 1: {"layers": "(8, 8)"}}
    assert [placed(space, parameters) for parameters in attached.values()] == given


def test_trials_under_way_failed_and_stale_ones_are_known_after_resume(tmp_path: Path) -> None:
    def strategy() -> GenerationStrategy:
        return GenerationStrategy(nodes=[MetaGenerationNode(initial=[{"x": x} for x in (0.1, 0.2, 0.3, 0.4)], seed=0)])

    client, file = client_of([RangeParameterConfig("x", (0, 1), "float")]), tmp_path / "client.json"
    client.set_generation_strategy(strategy())
    client.get_next_trials(max_trials=3)
    client.mark_trial_failed(0)
    client._experiment.trials[1].mark_stale(unsafe=True)
    client.save_to_json_file(str(file))
    client = load_client(file, strategy())
    assert next_trial(client)[1]["x"] == 0.4  # Ax does not make the arm of a stale trial again
    client.complete_trial(2, {"loss": np.nan})
    assert next_trial(client)[1]["x"] not in (0.1, 0.2, 0.3, 0.4)
    (tmp_path / "other.json").write_text("{}")
    for other in ("other.json", "none.json"):
        with pytest.raises(ArtefactError, match=r"holds no experiment .*save_to_json_file has written"):
            load_client(tmp_path / other, strategy())


def test_experiments_that_cannot_be_searched_are_refused() -> None:
    x, y = (RangeParameterConfig(name, (0, 1), "float") for name in "xy")
    for objective, limits, text in (
        ("a, b", None, "one objective"),
        ("a", ["b >= 0.9 * baseline"], "relative to a baseline"),
    ):
        client = client_of([x], None, objective, limits)
        client.attach_baseline({"x": 0.5})
        client.set_generation_strategy(GenerationStrategy(nodes=[MetaGenerationNode(seed=0)]))
        with pytest.raises(DataError, match=text):
            next_trial(client)
    with pytest.raises(SpaceError, match="nothing in common with the experiment"):
        next_trial(client_of([x], MetaGenerationNode(small_space(), seed=0)))
    with pytest.raises(DataError, match="leave out fixed_parameters"):
        client_of([x, y], MetaGenerationNode(seed=0)).get_next_trials(1, {"x": 0.5})
    client = Client()
    client.configure_experiment([x, y], ["x + y <= 1"])
    client.configure_optimization("loss")
    client.set_generation_strategy(GenerationStrategy(nodes=[MetaGenerationNode(seed=0)]))
    with pytest.raises(DataError, match="constraints on parameters"):
        next_trial(client)


def test_spaces_of_every_kind() -> None:
    parameters = check_there_and_back_as_texts(to_ax, from_ax)
    client = client_of(parameters, MetaGenerationNode(seed=0))  # Ax takes them
    assert next_trial(client)[1].keys() == {parameter.name for parameter in parameters}


def test_what_ax_cannot_say_is_reported() -> None:
    space = ConfigurationSpace()
    depth, mode, kind = Integer("depth", (1, 9)), Categorical("mode", ["a", "b", "c"]), Constant("kind", "k")
    under, late, narrow = Float("under", (0, 1)), Float("late", (0, 1)), Float("narrow", (1e-8, 1e-6), log=True)
    space.add(depth, mode, kind, under, late, narrow, Categorical("mixed", ["a", 1, "1"]))
    space.add(OrdinalHyperparameter("falls", [3, 2, 1]), OrdinalHyperparameter("two", [1, 2]))
    space.add(InCondition(under, mode, ["a", "b"]), GreaterThanCondition(late, depth, 5))
    written = to_ax(space)
    ignored = "always active; its value is ignored where the condition does not hold"
    assert written.changed == {
        "under": ignored,
        "late": ignored,
        "falls": "its values are in ascending order",
        "two": "the order of its two values is lost",
    }
    assert written.left_out.keys() == {"narrow", "mixed"}
    read = from_ax(
        SearchSpace(
            [
                RangeParameter("a", ParameterType.FLOAT, 0.1, 0.9, logit_scale=True),
                RangeParameter("b", ParameterType.FLOAT, 0.0, 1.0, digits=2),
            ]
        )
    )
    assert read.changed == {"a": "its scale is linear, not logit", "b": "any value; the number of its digits is lost"}


def test_the_example_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"start": Peaked(small_space(), BEST), "space": small_space(), "rec": FIRST, "loss": loss_of}
    run_example("Ax", names)
    assert "tuned" in capsys.readouterr().out
