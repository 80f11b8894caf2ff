"""Syne Tune: a searcher in its schedulers and its tuner; and spaces both ways."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter

pytest.importorskip("syne_tune", minversion="0.16")

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from syne_tune.optimizer.schedulers.searchers.random_searcher import RandomSearcher
from syne_tune.optimizer.schedulers.single_objective_scheduler import SingleObjectiveScheduler

from metahpo.exceptions import SpaceError
from metahpo.integrations.syne_tune import MetaSearcher, from_syne_tune, points_to_evaluate, to_syne_tune
from metahpo.space.conversion import Conversion
from metahpo.testing import IntegrationContract
from metahpo.testing.integrations import FIRST, Objective
from metahpo.testing.optimizers import loss_of, small_space
from tests.integrations.every_kind import check_there_and_back_as_texts
from tests.integrations.guide import run_example
from tests.integrations.peaked import BEST, Peaked

domains: Any = pytest.importorskip("syne_tune.config_space")


def scheduler_of(config_space: dict[str, Any], searcher: Any, minimised: bool = True) -> SingleObjectiveScheduler:
    return SingleObjectiveScheduler(config_space, "loss", minimised, searcher, random_seed=0)


def begun(scheduler: SingleObjectiveScheduler, n_trials: int) -> list[Trial]:
    return [Trial(number, scheduler.suggest().config, None) for number in range(n_trials)]


def ended(scheduler: SingleObjectiveScheduler, trial: Trial, loss: float) -> None:
    """End a trial as the tuner of Syne Tune does."""
    scheduler.on_trial_result(trial, {"loss": loss})
    scheduler.on_trial_complete(trial, {"loss": loss})


class SyneTuneTool:
    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        """Ask and tell as a loop of Syne Tune does, with a scheduler that is kept in a file."""
        file, config_space = folder / "scheduler.pickle", to_syne_tune(space).space
        if file.exists():
            scheduler = pickle.loads(file.read_bytes())
        else:
            searcher = MetaSearcher(config_space, space, initial=initial, seed=0)
            scheduler = AskTellScheduler(scheduler_of(config_space, searcher))
        for _ in range(n_trials):
            trial = scheduler.ask()
            scheduler.tell(trial, {"loss": objective(trial.config)})
        file.write_bytes(pickle.dumps(scheduler))

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_syne_tune(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_syne_tune(space)


class TestContract(IntegrationContract):
    @pytest.fixture
    def tool(self) -> SyneTuneTool:
        return SyneTuneTool()


def test_experience_suggests_first_inside_the_ranges_and_learns_in_both_directions() -> None:
    config_space = {
        **to_syne_tune(small_space()).space,
        "depth": domains.randint(1, 4),
        "momentum": domains.uniform(0.5, 0.9),
        "data": "a.csv",
    }
    searcher = MetaSearcher(config_space, Peaked(small_space(), BEST), seed=0)
    scheduler = scheduler_of(config_space, searcher, minimised=False)
    first, second, third = begun(scheduler, 3)
    config = first.config
    assert (config["mode"], config["depth"], config["data"]) == ("tuned", 4, "a.csv")
    assert 0.5 <= config["momentum"] <= 0.9
    ended(scheduler, first, 0.75)
    scheduler.on_trial_error(second)
    ended(scheduler, third, 0.5)
    optimizer = searcher._optimizer
    assert optimizer.incumbent == ({name: config[name] for name in ("mode", "depth", "knob", "rate")}, -0.75)
    assert np.isnan(optimizer.history.losses).tolist() == [False, True, False]
    assert len(set(map(str, optimizer.history.configurations))) == 3


def test_a_choice_that_the_space_lacks_is_drawn_from_those_it_has() -> None:
    config_space = {"mode": domains.choice(["plain", "wild"]), "depth": domains.finrange(1.0, 8.0, 8, cast_int=True)}
    config = MetaSearcher(config_space, Peaked(small_space(), BEST), seed=0).suggest()
    assert config is not None
    assert config["mode"] in ("plain", "wild")
    assert config["depth"] == BEST["depth"]


def test_a_finite_space_ends_and_nothing_global_is_drawn_from() -> None:
    before = str(np.random.get_state())  # noqa: NPY002 - the global generator is what is asked about
    config_space = {"x": domains.choice(["a", "b"]), "kind": "k"}
    scheduler = SingleObjectiveScheduler(config_space, "loss", searcher=MetaSearcher(config_space), random_seed=0)
    first, second = begun(scheduler, 2)
    scheduler.on_trial_error(first)
    ended(scheduler, second, math.nan)
    assert scheduler.suggest() is None
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(SpaceError, match="config_space holds nothing to search"):
        MetaSearcher({"kind": "k"})
    with pytest.raises(SpaceError, match="nothing in common with config_space"):
        MetaSearcher({"z": domains.uniform(0, 1)}, small_space())


def test_points_come_first_in_a_searcher_of_syne_tune() -> None:
    config_space = to_syne_tune(small_space()).space
    points = points_to_evaluate(FIRST, small_space())
    assert points[0] == {**FIRST[0], "knob": 0.5}
    searcher = RandomSearcher(config_space, points_to_evaluate=points, random_seed=0)
    scheduler = scheduler_of(config_space, searcher)
    assert [scheduler.suggest().config for _ in FIRST] == points


def test_the_tuner_runs_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # Syne Tune writes the file std.out into the working directory
    script = tmp_path / "train.py"
    script.write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--x', type=float)\n"
        "x = parser.parse_known_args()[0].x\n"
        "if x != 0.5:\n    raise ValueError('another one fails')\n"
        "from syne_tune import Reporter\n"
        "Reporter()(loss=x)\n"
    )
    config_space = {"x": domains.uniform(0.0, 1.0)}
    searcher = MetaSearcher(config_space, initial=[{"x": 0.75}, {"x": 0.5}], seed=0)
    Tuner(
        LocalBackend(str(script)),
        scheduler_of(config_space, searcher),
        StoppingCriterion(max_num_trials_completed=0),
        n_workers=1,
        sleep_time=0.1,
        wait_trial_completion_when_stopping=True,
        save_tuner=False,
        callbacks=[],
        print_update_interval=1e9,
        max_failures=9,
        tuner_name="tuner",
    ).run()
    history = searcher._optimizer.history  # the tuner may have begun a third trial before it stopped
    assert [configuration["x"] for configuration in history.configurations][:2] == [0.75, 0.5]
    assert np.isnan(history.losses).tolist()[:2] == [True, False]


def test_spaces_of_every_kind() -> None:
    check_there_and_back_as_texts(to_syne_tune, from_syne_tune)
    read = from_syne_tune(
        {
            "a": domains.qloguniform(10, 100, 10),
            "b": domains.reverseloguniform(0.0, 0.9),
            "c": domains.Categorical([1, 2]).grid(),
            "d": domains.logfinrange(1, 100, 3, cast_int=True),
            "e": object(),
            "f": domains.ordinal([False, True], kind="equal"),
        }
    )
    assert read.changed == {
        "b": "its scale is linear, not reverse_log",
        "c": "searched, not gone through as a grid",
    }
    assert list(read.left_out) == ["e"]
    assert read.space["d"] == OrdinalHyperparameter("d", [1, 10, 100], default_value=10)
    flag = ConfigurationSpace()
    flag.add(OrdinalHyperparameter("f", [False, True]), Categorical("g", [True, False]))
    assert to_syne_tune(flag).exact


def test_the_example_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"start": Peaked(small_space(), BEST), "space": small_space(), "rec": FIRST, "loss": loss_of}
    run_example("Syne Tune", names)
    assert "tuned" in capsys.readouterr().out
