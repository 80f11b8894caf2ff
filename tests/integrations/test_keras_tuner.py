"""Keras Tuner: an oracle that its tuners ask and reload; and hyperparameters both ways."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer, NotEqualsCondition

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras Tuner's own calls
os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("keras_tuner")

import keras_tuner  # noqa: E402

from metahpo.exceptions import DataError, SpaceError, WarmStartWarning  # noqa: E402
from metahpo.integrations.keras_tuner import MetaOracle, from_keras_tuner, to_keras_tuner  # noqa: E402
from metahpo.space.conversion import Conversion  # noqa: E402
from metahpo.space.space_comparison import difference  # noqa: E402
from metahpo.testing import IntegrationContract  # noqa: E402
from metahpo.testing.integrations import Objective  # noqa: E402
from metahpo.testing.optimizers import small_space  # noqa: E402
from tests.integrations.peaked import BEST, Peaked  # noqa: E402


class OneFloat(keras_tuner.Tuner):  # type: ignore[misc]  # no types
    """A tuner whose trials return one loss."""

    def __init__(self, oracle: MetaOracle, loss_of: Any, folder: Path, build: Any = lambda hp: None) -> None:
        self.loss_of = loss_of
        super().__init__(oracle, build, directory=str(folder), project_name="p")

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return self.loss_of(trial.hyperparameters.values)


class KerasTunerTool:
    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        done = len(list(folder.glob("p/trial_*")))
        oracle = MetaOracle(
            max_trials=done + n_trials,
            start=space,
            initial=initial,
            seed=1,
            hyperparameters=to_keras_tuner(space).space,
        )
        OneFloat(oracle, objective, folder).search(verbose=0)

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_keras_tuner(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_keras_tuner(space)


class TestContract(IntegrationContract):
    completes = False  # Keras Tuner knows conditions

    @pytest.fixture
    def tool(self) -> KerasTunerTool:
        return KerasTunerTool()


def test_experience_comes_first_and_a_cold_start_takes_what_the_hypermodel_shows(tmp_path: Path) -> None:

    def build(hp: Any) -> None:
        if hp.Choice("mode", ["tuned", "wild"]) == "tuned":
            hp.Int("depth", 2, 5)
        hp.Float("other", 0.0, 1.0, step=0.5)

    given: list[dict[str, Any]] = []

    def score(values: dict[str, Any]) -> dict[str, float]:
        given.append(values)
        return {"s": -1.0}

    for start in (Peaked(small_space(), BEST), None):
        oracle = MetaOracle(objective=keras_tuner.Objective("s", "max"), max_trials=4, start=start, seed=1)
        tuner = OneFloat(oracle, score, tmp_path / str(start is None), build)
        tuner.search(verbose=0)
    assert given[0] == {"mode": "tuned", "depth": 5, "other": 0.0}
    assert len(given) == 8
    assert {v["other"] for v in given[4:]} <= {0.0, 0.5, 1.0}


def test_a_hypermodel_may_show_hyperparameters_of_the_first_trials_late(tmp_path: Path) -> None:
    class Growing(OneFloat):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            self.hypermodel.build(trial.hyperparameters)
            return super().run_trial(trial)

    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 1, 3)):
            hp.Int(f"width{i}", 1, 9)

    given: list[dict[str, Any]] = []

    def loss(values: dict[str, Any]) -> float:
        given.append(dict(values))
        return float(sum(values.values()))

    initial = [{"layers": 3, "width0": 4, "width1": 5, "width2": 6}, {"layers": 2, "width0": 3}]
    oracle = MetaOracle(max_trials=6, initial=initial, seed=0)
    with pytest.warns(
        WarmStartWarning, match=r"initial has \['width1', 'width2'\], which the hypermodel has not shown"
    ):
        Growing(oracle, loss, tmp_path, build).search(verbose=0)
    assert given[0] == initial[0]
    assert given[1] == {"layers": 2, "width0": 3, "width1": 1, "width2": 1}
    assert len({str(values) for values in given}) == 6
    assert oracle._optimizer is not None
    assert oracle._optimizer.history.losses.tolist()[:2] == [18.0, 7.0]


def test_hypermodels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="nothing in common with the hypermodel"):
        OneFloat(MetaOracle(start=small_space()), abs, tmp_path, lambda hp: hp.Int("z", 0, 1)).search(verbose=0)
    with pytest.raises(DataError, match="no hyperparameters"):
        OneFloat(MetaOracle(), abs, tmp_path / "b").search(verbose=0)


def test_spaces_of_every_kind() -> None:
    space = small_space()
    space.add(
        Float("share", (0.0, 1.0)),
        Integer("width", (1, 512), log=True),
        Categorical("flag", [True, False]),
        Constant("kind", "k"),
    )
    there = to_keras_tuner(space)
    assert there.exact
    back = from_keras_tuner(there.space)
    assert back.exact
    assert difference(space, back.space) is None
    flat = ConfigurationSpace({"share": (0.0, 1.0), "flag": [True, False]})
    other = Float("late", (0.0, 1.0))
    flat.add(other, Categorical("mixed", ["a", 1, None]))
    flat.add(NotEqualsCondition(other, flat["flag"], True))
    lost = to_keras_tuner(flat)
    assert "the condition is lost" in lost.changed["late"]
    assert "its values are texts: ['a', '1', 'None']" in lost.changed["mixed"]
