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

from metahpo.exceptions import SpaceError
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
        "b": "its log scale is lost",
        "c": "its probabilities are lost",
    }
    assert read.space["d"] == OrdinalHyperparameter("d", [0.0, 0.25, 0.5, 0.75, 1.0])
