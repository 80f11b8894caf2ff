"""What users add from outside the package, each in at most 30 lines, with no file of the package changed."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

import metahpo
from metahpo.building.engines.engine import Engine
from metahpo.building.engines.options import add_engine_arguments, engine_from, register_engine, unregister_engine
from metahpo.building.planning import make_plan
from metahpo.building.protocol import Protocol
from metahpo.cli import main
from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.catalogue import method_named, register_baseline, unregister_baseline
from metahpo.exceptions import ArtefactError, DataError, PluginError, UnknownNameError
from metahpo.learners.learner import Learner
from metahpo.learners.registry import learner_named, register_learner, unregister_learner
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import META_FEATURES, extract
from metahpo.metafeatures.others import MetaFeatureGroup, register_meta_features, unregister_meta_features
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.recommender import Recommender
from metahpo.registry import Registry
from metahpo.surrogates import tensor_file
from metahpo.surrogates.artefact import (
    load_surrogate,
    register_surrogate_kind,
    save_surrogate,
    surrogate_path,
    unregister_surrogate_kind,
)
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import TrainedSurrogate
from metahpo.tasks.metric import Metric, metric_named, register_metric, unregister_metric
from metahpo.tasks.scorers import check_scorer, nearest_metric
from metahpo.testing import BaselineContract, EngineContract, LearnerContract, TrainedSurrogateContract, small_task

LEARNER = """
from ConfigSpace import ConfigurationSpace, Float
from sklearn.naive_bayes import GaussianNB

from metahpo.learners.learner import Learner

def bayes(kind):
    if kind != "classification":
        return None
    space = ConfigurationSpace()
    space.add(Float("var_smoothing", (1e-12, 1e-1), log=True, default=1e-9))
    return Learner("naive_bayes", kind, space, GaussianNB, "scaled")
"""

METRIC = """
from sklearn.metrics import brier_score_loss, make_scorer, zero_one_loss

from metahpo.tasks.metric import Metric

ERRORS = Metric("errors", "classification", best_score=0.0, near="accuracy",
                scorer=make_scorer(zero_one_loss, greater_is_better=False))
"""

META_FEATURE = """
from metahpo.metafeatures.others import MetaFeatureGroup

def compute(task):
    return {"rows_per_column": task.n_rows / task.X.shape[1]}

SHAPE = MetaFeatureGroup({"rows_per_column": "n / p"}, compute, source="folklore")
"""

BASELINE = """
class Last:
    name, n_replays = "last", 1

    def learn(self, tables, space_name, random_state):
        return self

    def start(self, meta_features, random_state):
        return self

    def suggest(self, X_obs, loss_obs, X_pool):
        return len(X_pool) - 1
"""

ENGINE = """
from metahpo.building.worker import close_tools, run_batch

class OneByOne:
    def __init__(self, queue="short"):
        self.queue = queue

    def run(self, batches, place):
        try:
            for batch in batches:
                yield run_batch(batch, place)
        finally:
            close_tools()

def make(options):
    return OneByOne(**options.engine_options)
"""

SURROGATE = """
from metahpo.space import SpaceEncoder, read_space
from metahpo.surrogates import GaussianProcessSurrogate, encoded, encoded_trials, explain, save_surrogate

class OneProcess:
    task_names = ("none",)

    def __init__(self, space, space_name, metric):
        self.space, self.space_name, self.metric = space, space_name, metric
        self.encoder = SpaceEncoder(space)

    def posterior(self, configurations, observed=None, meta_features=None, noise=None):
        rows = encoded(self.encoder, configurations)
        trials = encoded_trials(self.encoder, observed) if observed and len(observed[1]) else None
        return GaussianProcessSurrogate().posterior(rows, trials, noise)

    def task_weights(self, observed=None, meta_features=None):
        return {"none": 1.0}

    def explain(self, observed=None, meta_features=None):
        mean = lambda rows: self.posterior(rows, observed).mixture_mean()
        return explain(mean, self.space, self.task_weights(), {})

    def save(self, path):
        header = {"space": self.space.to_serialized_dict(), "about": [self.space_name, self.metric]}
        save_surrogate(path, "one_process", {}, header)

def read(tensors, header):
    return OneProcess(read_space(header["space"]), *header["about"])
"""

#: A package that offers all of it, and one thing of each sort that is broken.
ENTRY_POINTS = """
[metahpo.learners]
naive_bayes = own_plugin.learner:bayes
broken = own_plugin.missing:thing
[metahpo.metrics]
errors = own_plugin.metric:ERRORS
broken = own_plugin.metric:make_scorer
[metahpo.meta_features]
shape = own_plugin.meta_feature:SHAPE
broken = own_plugin.missing:thing
[metahpo.baselines]
last = own_plugin.baseline:Last
broken = own_plugin.broken:Thing
[metahpo.engines]
one_by_one = own_plugin.engine:make
broken = own_plugin.missing:thing
[metahpo.surrogates]
one_process = own_plugin.surrogate:read
broken = own_plugin.missing:thing
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an installed package."""
    folder = tmp_path_factory.mktemp("site")
    about, code = folder / "own_plugin-1.2.dist-info", folder / "own_plugin"
    about.mkdir()
    code.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-plugin\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    parts = {
        "__init__": "",
        "learner": LEARNER,
        "metric": METRIC,
        "meta_feature": META_FEATURE,
        "baseline": BASELINE,
        "engine": ENGINE,
        "surrogate": SURROGATE,
        "broken": "raise RuntimeError('no licence found')",
    }
    for name, text in parts.items():
        (code / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is installed, for this process and those that it starts."""
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", str(package))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_plugin"]:
        del sys.modules[name]


def test_each_is_at_most_30_lines() -> None:
    for text in (LEARNER, METRIC, META_FEATURE, BASELINE, ENGINE, SURROGATE):
        assert len(text.strip().splitlines()) <= 30


def test_the_documentation_lists_every_registry() -> None:
    package = Path(metahpo.__file__).parent
    page = (package.parent / "docs" / "extend" / "registries.md").read_text(encoding="utf-8")
    own = [path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path != package / "registry.py"]
    groups = {group for text in own for group in re.findall(r'Registry\(\s+[^,]+,\s+"(metahpo\.\w+)"', text)}
    assert len(groups) >= 6
    for group in groups:
        assert f"`{group}`" in page, f"name {group} in docs/extend/registries.md"


@pytest.mark.usefixtures("installed")
class TestLearner(LearnerContract):
    @pytest.fixture
    def learner(self) -> Learner:
        return learner_named("naive_bayes", "classification")

    def test_is_only_for_the_kind_it_is_for(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown regression learner 'naive_bayes'"):
            learner_named("naive_bayes", "regression")


@pytest.mark.usefixtures("installed")
class TestBaseline(BaselineContract):
    @pytest.fixture
    def method(self) -> Method:
        return method_named("last")

    def test_is_evaluated_by_name(self, toy: MetaDataset) -> None:
        report = metahpo.evaluate(toy, methods=["last", "random_search"], n_trials=3, n_folds=2)
        assert set(report.regrets["method"]) == {"last", "random_search"}


@pytest.mark.usefixtures("installed")
class TestEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        options = argparse.ArgumentParser()
        add_engine_arguments(options)
        return engine_from(options.parse_args(["--engine", "one_by_one", "--engine-options", "queue=long"]))


@pytest.mark.usefixtures("installed")
class TestSurrogate(TrainedSurrogateContract):
    @pytest.fixture
    def surrogate(self) -> TrainedSurrogate:
        space = ConfigurationSpace({"x": (0.0, 1.0), "rate": (1.0, 9.0)})
        made: TrainedSurrogate = import_module("own_plugin.surrogate").OneProcess(space, "toy", "r2")
        return made

    @pytest.fixture
    def trials(self) -> tuple[Any, Any]:
        rows = np.random.default_rng(0).random((8, 2))
        losses = np.square(rows - 0.4).sum(axis=1)
        order = losses.argsort()
        return rows[order], losses[order]

    def test_a_recommender_reads_it_from_the_folder_of_a_meta_dataset(
        self, toy: MetaDataset, surrogate: TrainedSurrogate, tmp_path: Path
    ) -> None:
        toy.save(tmp_path / "toy")
        surrogate.save(surrogate_path(tmp_path / "toy", "toy", "r2"))
        read = Recommender(tmp_path / "toy").surrogate("toy", "r2")
        assert (read.space, read.task_names) == (surrogate.space, ("none",))


def stored_of_kind(kind: str, path: Path) -> Path:
    tensor_file.write(path, kind, {}, {})
    return path


def test_a_kind_of_surrogate_is_registered_until_it_is_taken_away(tmp_path: Path) -> None:
    def read(tensors: Any, header: Any) -> Any:
        raise ValueError(f"{header['space']} is missing")

    with pytest.raises(DataError, match="'own' is not a registered kind of surrogate; known are"):
        save_surrogate(tmp_path / "own", "own", {}, {})
    register_surrogate_kind("own", read)
    try:
        save_surrogate(tmp_path / "own", "own", {}, {"space": "a thing"})
        with pytest.raises(ArtefactError, match=r"incomplete or inconsistent: ValueError\('a thing is missing'\)"):
            load_surrogate(tmp_path / "own")
    finally:
        unregister_surrogate_kind("own")
    with pytest.raises(ArtefactError, match=r"of the kind 'own', but known are .*mixture.* Install the package"):
        load_surrogate(tmp_path / "own")


@pytest.mark.usefixtures("installed")
def test_a_file_does_not_choose_what_is_imported(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"of the kind 'own_plugin\.surrogate:read', but known are"):
        load_surrogate(stored_of_kind("own_plugin.surrogate:read", tmp_path / "file"))
    assert "own_plugin.surrogate" not in sys.modules
    with pytest.raises(PluginError, match="kind of surrogate 'broken' cannot be loaded"):
        load_surrogate(stored_of_kind("broken", tmp_path / "file"))


@pytest.mark.usefixtures("installed")
def test_a_build_of_installed_plug_ins_by_the_command_line(
    small_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, released = str(tmp_path / "build"), str(tmp_path / "own")
    design = ["--cache", str(small_cache), "--tasks", "s1", "s2", "--learners", "naive_bayes", "--configurations", "4"]
    design += ["--folds", "2", "--max-fits", "2", "--metrics", "errors"]
    run = ["build", "run", build, *design, "--engine", "one_by_one", "--engine-options", "queue=long"]
    assert main(run) == 0, capsys.readouterr().err
    release = ["release", build, released, "--kind", "classification", "--min-skill", "-9", "--meta-features", "shape"]
    assert main([*release, "--jobs", "1"]) == 0, capsys.readouterr().err
    md = MetaDataset.load(released)
    np.testing.assert_allclose(md.trials["loss.errors"], md.trials["loss.accuracy"], atol=1e-6)
    assert md.metrics[-1] == "errors"
    assert md.meta_features is not None
    assert (md.meta_features["shape.rows_per_column"] > 10).all()


@pytest.mark.usefixtures("installed")
def test_a_metric_is_searched_by_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    tune = ["tune", "iris", "--learner", "svm", "--metric", "errors", "--trials", "2", "--folds", "2"]
    assert main([*tune, "--json"]) == 0, capsys.readouterr().err
    *trials, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert any("the experience is of 'accuracy', the nearest" in note for note in result["notes"])
    assert {trial["metric"] for trial in trials} == {"errors"}
    assert all(-0.5 <= trial["score"] <= 0.0 for trial in trials)


@pytest.mark.usefixtures("installed")
def test_meta_features_that_experience_has_are_computed_where_they_are_known() -> None:
    recommender = Recommender("tabular_classification")
    features = recommender.meta_dataset.meta_features
    assert features is not None
    more: dict[str, Any] = {"shape.rows_per_column": np.arange(len(features), dtype=float), "elsewhere.x": 1.0}
    recommender.meta_dataset.meta_features = features.assign(**more)
    told = recommender.recommend(small_task("classification"), "svm", n=2)
    assert told.meta_features["shape.rows_per_column"] == 60 / 4
    assert any("elsewhere" in note for note in told.notes)


def test_meta_features_are_given_by_name() -> None:
    task = small_task("regression")
    group = MetaFeatureGroup({"a": "n", "b": "never"}, lambda task: {"a": task.n_rows})
    register_meta_features("own", group)
    try:
        found = extract(task, others=["own"])
        assert list(found.values)[-2:] == ["own.a", "own.b"]
        assert found.values["own.a"] == 60
        assert np.isnan(found.values["own.b"])
        assert "own" in found.seconds
        assert list(extract(task).values) == [feature.name for feature in META_FEATURES]
        assert [d.name for d in group.definitions("own")] == ["own.a", "own.b"]
    finally:
        unregister_meta_features("own")
    wrong: list[tuple[Any, str]] = [(lambda task: {"c": 1.0}, "returned c"), (lambda task: 1 / 0, "ZeroDivisionError")]
    for compute, message in wrong:
        with pytest.raises(PluginError, match=message):
            extract(task, others={"own": MetaFeatureGroup({"a": "n"}, compute)})


def test_a_metric_is_registered_and_stands_near_a_recorded_one() -> None:
    def scorer(estimator: Any, X: Any, y: Any) -> float:
        return 0.0

    register_metric(Metric("own", "regression", 1.0, scorer=scorer, near="r2"))
    try:
        check_scorer("own", "regression")
        assert metric_named("own", "regression").scorer is scorer
        assert nearest_metric("own", "regression", ["neg_mean_absolute_error", "r2"]) == ("r2", False)
        assert nearest_metric("own", "regression", ["r2", "own"]) == ("own", True)
        with pytest.raises(UnknownNameError, match="unknown classification metric 'own'"):
            metric_named("own", "classification")
        with pytest.raises(DataError, match="there is a metric 'own' already"):
            register_metric(Metric("own", "regression", 1.0, scorer=scorer))
    finally:
        unregister_metric("own")
    for metric, message in (
        (Metric("own", "regression", 1.0), "has no scorer"),
        (Metric("own", "regression", 1.0, scorer=scorer, near="accuracy"), "is near 'accuracy'"),
        (Metric("a.b", "regression", 1.0, scorer=scorer), "letters, digits"),
        (Metric("r2", "regression", 1.0, scorer=scorer), "already"),
    ):
        with pytest.raises(DataError, match=message):
            register_metric(metric)
    with pytest.raises(UnknownNameError, match="unknown regression metric 'own'"):
        metric_named("own", "regression")


@pytest.mark.parametrize(
    ("register", "unregister", "taken"),
    [
        (register_learner, unregister_learner, "svm"),
        (register_baseline, unregister_baseline, "metahpo"),
        (register_engine, unregister_engine, "local"),
    ],
)
def test_what_is_registered_is_there_until_it_is_taken_away(
    register: Callable[[str, Any], None], unregister: Callable[[str], None], taken: str
) -> None:
    def nothing(*arguments: Any) -> None: ...

    register("own", nothing)
    with pytest.raises(DataError, match="already"):
        register("own", nothing)
    unregister("own")
    with pytest.raises(UnknownNameError, match="unknown registered"):
        unregister("own")
    with pytest.raises(DataError, match="already"):
        register(taken, nothing)
    with pytest.raises(DataError, match="must be a"):
        register("own", 1)


@pytest.mark.usefixtures("installed")
def test_a_broken_plug_in_is_named_when_it_is_asked_for() -> None:
    package = "of the package own-plugin 1.2"
    with pytest.raises(PluginError, match=rf"learner 'broken' cannot be loaded .*{package}: ModuleNotFoundError"):
        learner_named("broken", "classification")
    with pytest.raises(PluginError, match=rf"'broken' must be a Metric, but .*{package} is"):
        metric_named("broken", "regression")
    with pytest.raises(PluginError, match=r"RuntimeError: no licence found\. Upgrade or uninstall that package"):
        method_named("broken")
    with pytest.raises(PluginError, match="group of meta-features 'broken'"):
        extract(small_task("regression"), others=["broken"])
    with pytest.raises(UnknownNameError, match=r"metahpo, .*botorch, broken, last"):
        method_named("grid")
    assert method_named("random_search").name == "random_search"  # those that work are not hindered


def test_two_packages_that_offer_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[metahpo.baselines]\nsame = os:getcwd\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"first 1\.0 and second 1\.0 both offer a method 'same'"):
        method_named("same")


def test_nothing_is_loaded_by_the_import(package: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import metahpo, metahpo.registry; "
        "print([m for m in ('importlib.metadata', 'own_plugin', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_threads_register_each_name_once() -> None:
    registry: Registry[int] = Registry("number", "metahpo.none", {}, expected="1", accepts=lambda n: n == 1)

    def tried(i: int) -> bool:
        try:
            registry.register(f"n{i % 10}", 1)
        except DataError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(tried, range(200))) == 10
    assert sorted(registry.names()) == [f"n{i}" for i in range(10)]


def test_an_unknown_metric_is_refused_before_a_build(small_cache: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'cost'"):
        make_plan(small_cache, keys=["s0"], learners=["linear"], protocol=Protocol(metrics=("cost",)))


class NearestNeighbour:
    """A surrogate of ten lines: the loss of the nearest trial, the surer the nearer it is."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space

    def posterior(self, configurations: Any, observed: Any = None) -> Posterior:
        n = len(configurations)
        if observed is None:
            return Posterior(np.ones(1), np.zeros((1, n)), np.ones((1, n)), np.ones(1))
        distance = np.abs(configurations[:, None] - observed[0][None]).sum(axis=2)
        loss = observed[1][distance.argmin(axis=1)]
        return Posterior(np.ones(1), loss[None], 0.01 + distance.min(axis=1)[None], np.array([observed[1].min()]))


def test_a_surrogate_needs_a_space_and_a_posterior() -> None:
    space = ConfigurationSpace({"x": (0.0, 1.0)})
    optimizer = BayesianOptimizer(space, NearestNeighbour(space), n_initial=0, random_state=0)  # type: ignore[arg-type]
    for _ in range(15):
        configuration = optimizer.ask()
        optimizer.tell(configuration, (configuration["x"] - 0.3) ** 2)
    assert optimizer.incumbent is not None
    assert optimizer.incumbent[1] < 0.01


class LowestMean:
    """An acquisition function that never explores, and counts how often it was asked."""

    def __init__(self, shape: tuple[int, ...] | None = None) -> None:
        self.n_asked, self.n_with_seconds, self.shape = 0, 0, shape

    def values(self, posterior: Posterior, log_seconds: Any = None) -> Any:
        self.n_asked += 1
        self.n_with_seconds += log_seconds is not None
        return -posterior.mixture_mean() if self.shape is None else np.full(self.shape, np.nan)


@pytest.mark.parametrize("per_second", [False, True])
def test_the_acquisition_function_is_an_argument(per_second: bool) -> None:
    space, own = ConfigurationSpace({"x": (0.0, 1.0)}), LowestMean()
    optimizer = BayesianOptimizer(space, random_state=0, acquisition=own, per_second=per_second)
    for _ in range(10):
        configuration = optimizer.ask()
        optimizer.tell(configuration, (configuration["x"] - 0.3) ** 2, seconds=1.0)
    assert own.n_asked > 5
    assert own.n_with_seconds == (own.n_asked if per_second else 0)
    default = BayesianOptimizer(space, random_state=0)
    for configuration, loss in zip(optimizer.history.configurations, optimizer.history.losses, strict=True):
        default.tell(configuration, loss)
    assert default.ask() != optimizer.ask()


def test_an_acquisition_function_that_cannot_be_is_refused() -> None:
    space = ConfigurationSpace({"x": (0.0, 1.0)})
    with pytest.raises(DataError, match="acquisition must be an object with the method values"):
        BayesianOptimizer(space, acquisition=lambda posterior: 0)  # type: ignore[arg-type]
    optimizer = BayesianOptimizer(space, n_initial=0, acquisition=LowestMean((3,)))
    with pytest.raises(DataError, match=r"LowestMean.values must return \d+ numbers, .* of shape \(3,\) with 3 NaN"):
        optimizer.ask()
