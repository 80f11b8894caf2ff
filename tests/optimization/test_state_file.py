"""A search saved in its midst goes on with the same suggestions; a file that is not its own is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float

from metahpo.exceptions import ArtefactError, StoreError
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.surrogates.learning_curves import LearningCurves
from metahpo.surrogates.surrogate import TrainedSurrogate
from tests.conftest import toy_space
from tests.optimization.test_optimizer import bowl, run


def in_its_midst(optimizer: BayesianOptimizer, n: int) -> BayesianOptimizer:
    for i in range(n):
        configuration = optimizer.ask()
        rows = 100 if i % 4 == 1 else None
        loss = np.nan if i == 2 else bowl(configuration)
        optimizer.tell(configuration, loss, rows=rows, seconds=1.0 + i, constraints=[-1.0, float(i % 3 == 0)])
    optimizer.tell(optimizer.ask(), status="timeout")
    lost, _ = optimizer.ask(2)
    optimizer.withdraw(lost)
    return optimizer


def assert_same(loaded: BayesianOptimizer, optimizer: BayesianOptimizer) -> None:
    assert loaded.incumbent == optimizer.incumbent
    assert loaded.history.to_frame().equals(optimizer.history.to_frame())
    assert loaded.history.statuses == optimizer.history.statuses
    for _ in range(4):
        asked = optimizer.ask()
        assert loaded.ask() == asked
        for one in (optimizer, loaded):
            one.tell(asked, bowl(asked))
    assert loaded.ask(3) == optimizer.ask(3)


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("warm", [True, False])
def test_load__goes_on_with_the_same_suggestions(
    toy_surrogate: TrainedSurrogate, tmp_path: Path, n: int, warm: bool
) -> None:
    surrogate = toy_surrogate if warm else None
    features = {"shift": 0.3, "unknown": np.nan} if warm else None
    initial = [{"mode": "wild", "rate": 5.0}, {"mode": "tuned", "rate": 0.1, "knob": 0.2}]
    optimizer = BayesianOptimizer(toy_space(), surrogate, features, initial, n_rows=1000, random_state=0)
    in_its_midst(optimizer, n).save(tmp_path / "new" / "state.json")
    loaded = BayesianOptimizer.load(tmp_path / "new" / "state.json", surrogate)
    assert_same(loaded, optimizer)


def test_load__goes_on_with_what_was_partly_trained(tmp_path: Path) -> None:
    curves = LearningCurves.learn([[np.exp(-np.arange(6) * rate) for rate in (0.1, 0.4, 0.9)]] * 2)
    optimizer = BayesianOptimizer(toy_space(), random_state=0, learning_curves=curves)
    optimizer.tell_curve(optimizer.ask(), [1.0, 0.8], 6)
    run(optimizer, 7).save(tmp_path / "state.json")
    assert_same(BayesianOptimizer.load(tmp_path / "state.json", learning_curves=curves), optimizer)
    with pytest.raises(ArtefactError, match=r"learning_curves LearningCurves.*but None is given"):
        BayesianOptimizer.load(tmp_path / "state.json")


def test_load__with_choices_that_json_does_not_know_needs_the_space(tmp_path: Path) -> None:
    space = ConfigurationSpace()
    space.add(Categorical("f", [abs, len, max], default=len), Categorical("t", [(1, 2), (3,)]), Float("x", (0.0, 1.0)))
    optimizer = BayesianOptimizer(space, random_state=0)
    for _ in range(7):
        asked = optimizer.ask()
        optimizer.tell(asked, asked["x"] + (asked["f"] is abs))
    optimizer.save(tmp_path / "state.json")
    with pytest.raises(ArtefactError, match=r"give BayesianOptimizer\.load the space"):
        BayesianOptimizer.load(tmp_path / "state.json")
    loaded = BayesianOptimizer.load(tmp_path / "state.json", space=space)
    assert loaded.history.configurations == optimizer.history.configurations
    assert loaded.ask() == optimizer.ask()


def test_load__refuses_a_state_of_another_space(tmp_path: Path, toy_surrogate: TrainedSurrogate) -> None:
    path = tmp_path / "state.json"
    BayesianOptimizer(ConfigurationSpace({"x": (0.0, 1.0)})).save(path)
    with pytest.raises(ArtefactError, match=r"another space.*'x' is a float from 0\.0 to 1\.0.*missing"):
        BayesianOptimizer.load(path, space=ConfigurationSpace({"y": (0.0, 1.0)}))
    with pytest.raises(ArtefactError, match=r"surrogate None, but MetaLearnedSurrogate.*is given"):
        BayesianOptimizer.load(path, toy_surrogate)


def replaced(**entries: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **entries})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "cannot be read"),
        (lambda text: "[]", "is not the state of a search"),
        (lambda text: '{"format": "another"}', "is not the state of a search"),
        (replaced(version=99), "version 99, but this metahpo knows version 1"),
        (replaced(state={}), "is damaged"),
        (replaced(state={"trials": [{}]}), "is damaged"),
        (replaced(space_record={"hyperparameters": 1}), "is damaged"),
    ],
)
def test_load__refuses_a_file_that_is_no_state(tmp_path: Path, damage: Callable[[str], str], message: str) -> None:
    path = tmp_path / "state.json"
    BayesianOptimizer(toy_space()).save(path)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ArtefactError, match=message):
        BayesianOptimizer.load(path)


def test_load__names_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no state of a search at"):
        BayesianOptimizer.load(tmp_path / "none.json")


def test_two_searches__cannot_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = run(BayesianOptimizer(toy_space(), random_state=0), 3)
    first.save(path)
    first.save(path)
    with pytest.raises(ArtefactError, match="another search, with 3 trials"):
        BayesianOptimizer(toy_space(), random_state=1).save(path)
    second = run(BayesianOptimizer.load(path), 2)
    second.save(path)
    with pytest.raises(ArtefactError, match="another process goes on with the same search"):
        first.save(path)
    assert len(BayesianOptimizer.load(path).history) == 5
    for _ in range(2):
        first.save(tmp_path / "other.json")
        second.save(path)


def test_save__overwrites_no_other_file_and_names_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "precious.csv"
    path.write_text("a,b\n", encoding="utf-8")
    optimizer = BayesianOptimizer(toy_space())
    with pytest.raises(ArtefactError, match="cannot be read as the state"):
        optimizer.save(path)
    assert path.read_text(encoding="utf-8") == "a,b\n"
    with pytest.raises(StoreError, match="cannot be"):
        optimizer.save(path / "state.json")
    assert [p.name for p in tmp_path.iterdir()] == ["precious.csv"]
