"""SMAC3: recommendations as its initial design, experience as its prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace

pytest.importorskip("smac")

from smac import RandomFacade, Scenario
from smac.runhistory import TrialValue
from smac.utils.configspace import get_types

from metahpo.exceptions import DataError, SpaceError
from metahpo.integrations.smac import MetaInitialDesign, prior_space
from metahpo.recommendation.warm_start import WarmStart
from metahpo.space.conversion import Conversion
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.testing import IntegrationContract
from metahpo.testing.integrations import FIRST, Objective
from metahpo.testing.optimizers import small_space
from tests.integrations.peaked import Peaked


class SmacTool:
    """SMAC's own space is ours, so there is nothing to convert."""

    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        done = len(list(folder.glob("done*")))
        scenario = Scenario(space, n_trials=20, output_directory=folder / "smac", deterministic=True, seed=0)
        facade = RandomFacade(
            scenario,
            lambda configuration, seed: 0.0,
            initial_design=MetaInitialDesign(scenario, initial),
            logging_level=False,
            overwrite=False,
        )
        for i in range(done, done + n_trials):
            info = facade.ask()
            facade.tell(info, TrialValue(cost=objective(dict(info.config))))
            (folder / f"done{i}").touch()

    def convert(self, space: ConfigurationSpace) -> Conversion[ConfigurationSpace]:
        return Conversion(space)

    revert = convert


class TestContract(IntegrationContract):
    completes = False

    @pytest.fixture
    def tool(self) -> SmacTool:
        return SmacTool()


def test_the_prior_lies_where_experience_expects_the_best() -> None:
    space, best = small_space(), {"mode": "tuned", "depth": 7, "rate": 0.01, "knob": 0.8}
    candidates = sobol_design(space, 200)
    start = WarmStart(space, Peaked(space, best), None, [], candidates, None)
    prior = prior_space(start)
    mode: Any = prior["mode"]
    assert mode.probabilities[1] > 0.7
    encoder = SpaceEncoder(space)
    drawn = encoder.encode([dict(c) for c in prior.sample_configuration(300)])
    drawn = drawn[drawn[:, encoder.columns.index("mode=tuned")] == 1.0]
    expected = encoder.encode([best])[0]
    for name in ("depth", "rate"):
        column = encoder.columns.index(name)
        assert abs(drawn[:, column].mean() - expected[column]) < 0.2
        assert drawn[:, column].std() < 0.25
    get_types(prior, None)  # SMAC3 takes it
    assert prior["knob"] == space["knob"]  # it is not always active
    assert [str(c) for c in prior.conditions] == [str(c) for c in space.conditions]
    with pytest.raises(DataError, match="no configurations"):
        prior_space(WarmStart(space, Peaked(space, best), None, [], [], None))


def test_a_configuration_of_another_space_is_refused(tmp_path: Path) -> None:
    scenario = Scenario(small_space(), n_trials=20, output_directory=tmp_path)
    with pytest.raises(SpaceError, match="'depth' = 99"):
        MetaInitialDesign(scenario, [{**FIRST[0], "depth": 99}])
