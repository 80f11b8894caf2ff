"""Hyperopt: our optimiser as an algorithm of fmin, points that it makes first, and spaces both ways."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, OrdinalHyperparameter

pytest.importorskip("hyperopt", minversion="0.3")

from hyperopt import Trials, fmin, hp

from metahpo.exceptions import DataError, SpaceError
from metahpo.integrations.hyperopt import (
    MetaSuggest,
    from_hyperopt,
    points_to_evaluate,
    to_hyperopt,
    trials_to_calculate,
)
from metahpo.space.conversion import Conversion
from metahpo.testing import IntegrationContract
from metahpo.testing.integrations import FIRST, Objective
from metahpo.testing.optimizers import loss_of, small_space
from tests.integrations.every_kind import check_there_and_back
from tests.integrations.peaked import BEST, Peaked


def minimise(objective: Any, space: Any, algorithm: Any, n_trials: int, trials: Any = None) -> Trials:
    trials = Trials() if trials is None else trials
    rng = np.random.default_rng(0)
    fmin(objective, space, algorithm, n_trials, trials=trials, rstate=rng, show_progressbar=False, verbose=False)
    return trials


class HyperoptTool:
    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        file = folder / "trials.pickle"
        trials = pickle.loads(file.read_bytes()) if file.exists() else Trials()
        algorithm = MetaSuggest(space, initial=initial, seed=0)
        minimise(objective, to_hyperopt(space).space, algorithm, len(trials) + n_trials, trials)
        file.write_bytes(pickle.dumps(trials))

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_hyperopt(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_hyperopt(space)


class TestContract(IntegrationContract):
    @pytest.fixture
    def tool(self) -> HyperoptTool:
        return HyperoptTool()


def test_experience_suggests_first() -> None:
    space = {**to_hyperopt(small_space()).space, "momentum": hp.uniform("momentum", 0, 1)}
    given: list[dict[str, Any]] = []

    def objective(values: dict[str, Any]) -> float:
        given.append(values)
        return loss_of(values)

    minimise(objective, space, MetaSuggest(Peaked(small_space(), BEST), seed=0), 1)
    assert given[0]["mode"] == "tuned"
    assert given[0]["depth"] == 6
    assert 0 <= given[0]["momentum"] <= 1


def test_a_cold_start_learns_in_a_nested_space() -> None:
    space = hp.choice("kind", [{"x": hp.uniform("x", -1, 1)}, {"n": hp.randint("n", 10)}])
    trials = minimise(lambda v: v["x"] ** 2 if "x" in v else 1.0 + v["n"], space, MetaSuggest(), 12)
    assert min(trials.losses()) < 0.1
    assert len({tuple(map(str, misc["vals"].items())) for misc in trials.miscs}) == 12


def test_labels_of_an_option_are_active_under_it_only() -> None:
    shared = hp.uniform("shared", 0, 1)
    rbf = {"gamma": hp.loguniform("gamma", -5, 2), "shared": shared}
    svm = {"kernel": hp.choice("kernel", ["linear", rbf])}
    only = hp.choice("only", [{"trees": hp.uniformint("trees", 1, 9)}])
    space = {"model": hp.choice("model", [svm, {"forest": only}, shared]), "scale": hp.uniform("scale", 0, 1)}
    read = from_hyperopt(space)
    assert read.exact
    assert {name: [str(c) for c in read.space.parent_conditions_of[name]] for name in read.space} == {
        "scale": [],
        "model": [],
        "kernel": ["kernel | model == 0"],
        "only": ["only | model == 1"],
        "trees": ["trees | model == 1"],
        "gamma": ["(gamma | model == 0 && gamma | kernel == 1)"],
        "shared": ["((shared | model == 0 && shared | kernel == 1) || shared | model == 2)"],
    }
    trials = minimise(lambda values: values["scale"], space, MetaSuggest(seed=0), 12)
    made = [{name for name, values in misc["vals"].items() if values} for misc in trials.miscs]
    assert {"model", "scale", "only", "trees"} in made
    assert {"model", "scale", "shared"} in made
    assert all(("gamma" in names) <= ({"kernel", "shared"} <= names) for names in made)
    assert all(set(misc["vals"]) == set(read.space) for misc in trials.miscs)


def test_what_depends_on_a_label_that_is_left_out_is_reported() -> None:
    choice = hp.choice("a", [{"b": hp.uniform("b", 0, 1)}, 2])
    read = from_hyperopt({"c": hp.choice("c", [True, 1, choice])})
    assert read.exact  # the options of c are counted
    read = from_hyperopt([hp.choice("d", [1, True])])
    assert list(read.left_out) == ["d"]


def test_an_objective_that_raises_is_a_failure_and_another_search_begins_again() -> None:
    def objective(x: float) -> float:
        if x < 0.6:
            raise ValueError("too small")
        return x

    suggest = MetaSuggest(initial=[{"x": 0.25}], seed=0)
    for _ in range(2):
        trials = Trials()
        fmin(
            objective,
            hp.uniform("x", 0, 1),
            suggest,
            8,
            rstate=np.random.default_rng(0),
            trials=trials,
            catch_eval_exceptions=True,
            show_progressbar=False,
        )
        assert suggest._optimizer is not None
        history = suggest._optimizer.history
        assert history.configurations[0] == {"x": 0.25}
        assert len(history) == 7
        assert np.isnan(history.losses).tolist() == [c["x"] < 0.6 for c in history.configurations]
        assert np.isnan(history.losses[0])


def test_failed_trials_and_exhausted_spaces() -> None:
    trials = minimise(
        lambda x: {"status": "fail"} if x == "b" else {"status": "ok", "loss": 1.0},
        hp.choice("x", ["a", "b"]),
        MetaSuggest(seed=0),
        5,
    )
    assert len(trials) == 2


def test_a_space_with_nothing_in_common_is_refused() -> None:
    with pytest.raises(SpaceError, match="nothing in common with the space of fmin"):
        minimise(abs, hp.uniform("z", 0, 1), MetaSuggest(small_space()), 1)
    with pytest.raises(SpaceError, match="nothing to search: the space of fmin has no hyperparameters"):
        minimise(lambda values: 1.0, {"k": 3}, MetaSuggest(seed=0), 1)
    with pytest.raises(SpaceError, match="give space"):
        points_to_evaluate(FIRST)


def test_points_have_positions_for_choices_and_come_first() -> None:
    space = small_space()
    trials = minimise(
        loss_of, to_hyperopt(space).space, MetaSuggest(space, seed=0), 1, trials_to_calculate(FIRST, space)
    )
    assert [round(loss, 9) for loss in trials.losses()[:3]] == [round(loss_of(c), 9) for c in FIRST]
    assert points_to_evaluate(FIRST[:1], small_space()) == [
        {"mode": 2, "depth": 7, "knob": 0.5, "rate": 0.1234567890123}
    ]


def test_spaces_of_every_kind() -> None:
    check_there_and_back(to_hyperopt, from_hyperopt)
    read = from_hyperopt(
        {
            "a": hp.normal("a", 1, 2),
            "b": hp.qloguniform("b", 0, np.log(100), 10),
            "c": hp.pchoice("c", [(0.2, "x"), (0.8, "y")]),
            "d": hp.quniform("d", 0, 1, 0.25),
        }
    )
    assert read.changed == {
        "a": "uniform, within three standard deviations",
        "b": "without 0, which has no logarithm",
        "c": "its probabilities are lost",
    }
    assert read.space["d"] == OrdinalHyperparameter("d", [0.0, 0.25, 0.5, 0.75, 1.0], default_value=0.5)


def test_meta_features_need_a_start() -> None:
    with pytest.raises(DataError, match="there is no start"):
        MetaSuggest(meta_features={"log_rows": 5.0})
