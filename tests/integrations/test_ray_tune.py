"""Ray Tune: a searcher that Ray asks, saves and restores; and spaces both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace

pytest.importorskip("ray", minversion="2.40")
pytest.importorskip("pydantic")  # the extra "tune" of Ray brings it

from metahpo.exceptions import DataError, SpaceError
from metahpo.integrations.ray import MetaSearcher, from_ray, points_to_evaluate, to_ray
from metahpo.space.conversion import Conversion
from metahpo.testing import IntegrationContract
from metahpo.testing.integrations import FIRST, Objective
from metahpo.testing.optimizers import small_space
from tests.integrations.every_kind import check_there_and_back
from tests.integrations.peaked import BEST, Peaked

tune: Any = pytest.importorskip("ray.tune")


class RayTool:
    def search(
        self,
        space: ConfigurationSpace,
        objective: Objective,
        n_trials: int,
        initial: Sequence[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        """Ask and tell as Ray does, with what it saves of a searcher."""
        searcher = MetaSearcher(space, metric="loss", mode="min", initial=initial, seed=0)
        limited = tune.search.ConcurrencyLimiter(searcher, max_concurrent=1)
        if list(folder.iterdir()):
            limited.restore_from_dir(str(folder))
        for i in range(n_trials):
            name = f"trial{len(list(folder.iterdir()))}-{i}"
            limited.on_trial_complete(name, {"loss": objective(limited.suggest(name))})
        limited.save_to_dir(str(folder))

    def convert(self, space: ConfigurationSpace) -> Conversion[Any]:
        return to_ray(space)

    def revert(self, space: Any) -> Conversion[ConfigurationSpace]:
        return from_ray(space)


class TestContract(IntegrationContract):
    @pytest.fixture
    def tool(self) -> RayTool:
        return RayTool()


def test_experience_suggests_first_and_learns_in_both_directions() -> None:
    searcher = MetaSearcher(Peaked(small_space(), BEST), metric="score", mode="max", seed=0)
    first = searcher.suggest("a")
    assert isinstance(first, dict)
    assert (first["mode"], first["depth"]) == ("tuned", 6)
    assert searcher.suggest("a") == first
    second = searcher.suggest("b")
    assert second != first
    searcher.on_trial_complete("a", {"score": 0.75})
    searcher.on_trial_complete("b", error=True)
    searcher.on_trial_complete("unknown", {"score": 1.0})
    searcher.add_evaluated_point({**BEST, "mode": "plain"}, 0.5)
    optimizer = searcher._optimizer
    assert optimizer is not None
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] == -0.75
    assert len(optimizer.history) == 3


def test_a_trial_that_ended_without_a_result_is_suggested_again() -> None:
    searcher = MetaSearcher(small_space(), metric="loss", mode="min", initial=FIRST, seed=0)
    first = searcher.suggest("a")
    searcher.on_trial_complete("a", None)
    assert searcher.suggest("b") == first


def test_the_space_of_the_tuner_is_taken_and_nested_names_come_back() -> None:
    searcher = MetaSearcher(seed=0)
    space = {"net": {"width": tune.randint(1, 9)}, "kind": tune.choice(["a", "b"]), "data": object()}
    assert searcher.set_search_properties("loss", "min", space)
    config = searcher.suggest("a")
    assert isinstance(config, dict)
    assert 1 <= config["net"]["width"] <= 8
    assert config["kind"] in ("a", "b")
    assert not searcher.set_search_properties("loss", "min", space)


def test_what_cannot_be_searched_is_drawn_as_ray_draws_it_and_first_ones_may_be_nested(tmp_path: Path) -> None:
    space = {
        "net": {"width": tune.randint(1, 9), "kind": "k"},
        "twice": tune.sample_from(lambda spec: 2 * spec.config.net.width),
        "block": tune.choice([{"rate": tune.uniform(0, 1)}, {"rate": tune.uniform(2, 3)}]),
        "choice": tune.choice([{"a": 1}, {"a": 2}]),
    }
    searcher = MetaSearcher(initial=[{"net": {"width": 7}, "choice": {"a": 2}}], seed=0)
    assert searcher.set_search_properties("loss", "min", space)
    first = searcher.suggest("a")
    assert isinstance(first, dict)
    assert (first["net"], first["twice"], first["choice"]) == ({"width": 7, "kind": "k"}, 14, {"a": 2})
    searcher.save(str(tmp_path / "state"))
    restored = MetaSearcher()
    restored.restore(str(tmp_path / "state"))
    rates: list[Any] = [searcher.suggest(name)["block"]["rate"] for name in "bcdefgh"]  # type: ignore[index]
    assert all(0 <= rate <= 1 or 2 <= rate <= 3 for rate in rates)
    assert len(set(rates)) == 7
    assert [restored.suggest(name)["block"]["rate"] for name in "bcdefgh"] == rates  # type: ignore[index]
    restored.add_evaluated_point({"net": {"width": 3}, "choice": {"a": 1}}, 0.5)
    assert restored._optimizer is not None
    assert restored._optimizer.history.configurations == [{"net/width": 3, "net/kind": "k", "choice": {"a": 1}}]


def test_a_finite_space_ends() -> None:
    searcher = MetaSearcher(ConfigurationSpace({"x": ["a"]}), metric="loss", mode="min")
    assert isinstance(searcher.suggest("a"), dict)
    assert searcher.suggest("b") == "FINISHED"


def test_what_is_missing_is_said() -> None:
    with pytest.raises(DataError, match="mode must be 'min' or 'max'"):
        MetaSearcher(mode="best")
    with pytest.raises(SpaceError, match="no space yet"):
        MetaSearcher(metric="loss", mode="min").suggest("a")
    with pytest.raises(DataError, match="needs metric and mode"):
        MetaSearcher(small_space()).suggest("a")
    with pytest.raises(DataError, match="there is no start"):
        MetaSearcher(meta_features={"log_rows": 5.0})
    with pytest.raises(SpaceError, match="nothing to search"):
        MetaSearcher().set_search_properties("loss", "min", {"x": 1})


def test_points_have_all_hyperparameters() -> None:
    (point,) = points_to_evaluate(FIRST[:1], small_space())
    assert point == {**FIRST[0], "knob": 0.5}


def test_spaces_of_every_kind() -> None:
    check_there_and_back(to_ray, from_ray)
    read = from_ray(
        {
            "a": tune.randn(1, 2),
            "b": tune.qloguniform(10, 100, 10),
            "c": tune.grid_search([1, 2]),
            "d": tune.sample_from(lambda config: 1),
            "e": {"f": tune.uniform(0, 1)},
            "g": tune.choice([tune.uniform(0, 1), 2]),
        }
    )
    assert read.changed == {
        "a": "uniform, within three standard deviations",
        "c": "searched, not gone through as a grid",
    }
    assert list(read.left_out) == ["d", "g"]
    assert set(read.space) == {"a", "b", "c", "e/f"}
