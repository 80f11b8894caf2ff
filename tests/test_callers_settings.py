"""Settings of the caller: under all of them the results are the same, and all of them stand afterwards."""

from __future__ import annotations

import decimal
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from ConfigSpace import ConfigurationSpace
from sklearn.datasets import load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metahpo import BayesianOptimizer, MetaSearchCV, evaluate
from metahpo.acquisition.expected_improvement import log_expected_improvement
from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.baselines.deep_ranking_ensemble import DeepRankingEnsemble
from metahpo.evaluation.baselines.fsbo import FewShotDeepKernel
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.networks.convnet.convnet_classifier import ConvNetClassifier
from metahpo.networks.mlp.mlp_classifier import NetworkClassifier
from metahpo.networks.mlp.mlp_regressor import NetworkRegressor
from metahpo.networks.text.text_classifier import TextClassifier
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.recommendation.recommender import Recommender
from metahpo.space.design import sobol_design
from metahpo.surrogates.artefact import load_surrogate
from metahpo.surrogates.fitting.training import TrainingSettings, train_surrogate
from metahpo.tasks.task import Task
from tests.conftest import toy_meta_dataset

#: What a caller may set, and how it is read.
PANDAS = {
    "mode.string_storage": "python",
    "io.parquet.engine": "pyarrow",
    "display.max_columns": 2,
    "display.width": 20,
}
SKLEARN = {"assume_finite": True, "skip_parameter_validation": True, "transform_output": "pandas"}


@contextmanager
def unusual_settings() -> Iterator[None]:
    """All that a caller may set for its thread or process, at once; every setting must stand afterwards."""
    with ExitStack() as undo:
        undo.enter_context(np.errstate(all="raise"))
        undo.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.bfloat16)
        undo.callback(torch.set_default_device, None)
        torch.set_default_device("meta")
        undo.enter_context(torch.inference_mode())
        undo.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        undo.enter_context(pd.option_context(PANDAS))
        undo.enter_context(sklearn.config_context(**SKLEARN))
        undo.enter_context(decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])))
        before = settings()
        yield
        assert settings() == before


def settings() -> dict[str, Any]:
    """The settings as they are, and the state of every global generator."""
    return {
        "numpy": np.geterr(),
        "torch": (torch.get_default_dtype(), torch.empty(0).device, torch.is_grad_enabled()),
        "inference": (torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "threads": torch.get_num_threads(),
        "pandas": {name: pd.get_option(name) for name in PANDAS},
        "sklearn": sklearn.get_config(),
        "decimal": decimal.getcontext().prec,
        "random": random.getstate(),
        "numpy random": str(np.random.get_state()),  # noqa: NPY002 - the global generator is what is asked about
        "torch random": bytes(torch.random.get_rng_state().numpy().tobytes()),
    }


def recommended(trained: Path, small_world: MetaDataset) -> Any:
    rec = Recommender(trained)
    task = Task.from_arrays(*load_iris(return_X_y=True, as_frame=True), name="iris")
    found = rec.recommend(task, "svm", n=3)
    return found.to_frame().to_dict(), found.novelty, rec.explain(found, "svm").to_frame().to_dict()


def searched(trained: Path, small_world: MetaDataset) -> Any:
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), SVC(random_state=0))
    search = MetaSearchCV(
        model,
        "svm",
        n_trials=6,
        cv=2,
        scoring="balanced_accuracy",
        recommender=Recommender(trained),
        random_state=0,
    )
    return search.fit(X, y).cv_results_["params"]


def optimised(trained: Path, small_world: MetaDataset) -> Any:
    space = ConfigurationSpace({"x": (0.0, 1.0), "k": ["a", "b"]})
    optimizer = BayesianOptimizer(space, random_state=0)
    for _ in range(8):
        configuration = optimizer.ask()
        optimizer.tell(configuration, (configuration["x"] - 0.3) ** 2)
    return optimizer.history.to_frame().to_dict()


def learnt(trained: Path, small_world: MetaDataset) -> Any:
    quick = TrainingSettings(n_reference=10, kernel_steps=3, component_steps=3)
    return believed(train_surrogate(small_world, "toy", random_state=0, settings=quick))


def loaded(trained: Path, small_world: MetaDataset) -> Any:
    return believed(load_surrogate(trained / "surrogates" / "svm.balanced_accuracy.safetensors"))


def believed(surrogate: Any) -> Any:
    configurations = sobol_design(surrogate.space, 6)
    observed = (configurations[:3], np.array([1.0, np.nan, 2.0]))
    posterior = surrogate.posterior(configurations, observed)
    told = [posterior.cdf(3.0), posterior.quantile(0.01), posterior.log_density(-40.0), posterior.mixture_std()]
    told += [posterior.expected_percentile(), *posterior.percentile_interval(0.9), log_expected_improvement(posterior)]
    return [values.tolist() for values in told]


def evaluated(trained: Path, small_world: MetaDataset) -> Any:
    few = {"meta_steps": 2, "fine_steps": 1}
    methods: list[str | Method] = [
        "gaussian_process",
        "portfolio",
        "rgpe",
        FewShotDeepKernel(2, **few),
        DeepRankingEnsemble(2, **few),
    ]
    report = evaluate(small_world, methods, n_trials=4, n_folds=2, random_state=0)
    return report.summary().to_dict(), report.comparison().to_dict()


def described(trained: Path, small_world: MetaDataset) -> Any:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return extract(Task.from_arrays(X.assign(sex=np.where(X["sex"] > 0, "f", "m")), y)).values


def tables(trained: Path, small_world: MetaDataset) -> Any:
    X, y = load_iris(return_X_y=True, as_frame=True)
    X["colour"] = np.where(X.iloc[:, 0] > 5.0, "red", "blue")
    model = NetworkClassifier(epochs=2, width=8, bins=2, random_state=0).fit(X, y).partial_fit(X, y)
    regressor = NetworkRegressor(epochs=2, width=8, normalisation="batch", random_state=0).fit(X, y)
    return model.predict_proba(X).tolist(), regressor.predict(X).tolist()


def images(trained: Path, small_world: MetaDataset) -> Any:
    X, y = np.random.default_rng(0).random((30, 8, 8)), np.arange(30) % 3
    model = ConvNetClassifier(width=4, stages=2, epochs=2, flip=True, pooling="stride", random_state=0)
    return model.fit(X, y).predict_proba(X).tolist()


def texts(trained: Path, small_world: MetaDataset) -> Any:
    X, y = ["a fine day", "a bad day", "a thing"] * 8, np.arange(24) % 3
    small: dict[str, Any] = {"size": 8, "epochs": 2, "random_state": 0}
    models = (TextClassifier(**small, layers=1), TextClassifier(**small, encoder="transformer"))
    # A Transformer predicts by another route where a device is set: the last digit may differ.
    return [model.fit(X, y).predict_proba(X).round(5).tolist() for model in models]


@pytest.fixture(scope="module")
def small_world() -> MetaDataset:
    return toy_meta_dataset(n_tasks=4, n_configurations=12)


WORK = [recommended, searched, optimised, learnt, loaded, evaluated, described, tables, images, texts]


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_results__are_those_without_the_settings(
    work: Callable[[Path, MetaDataset], Any], trained: Path, small_world: MetaDataset
) -> None:
    with unusual_settings():
        under_settings = work(trained, small_world)
    assert repr(under_settings) == repr(work(trained, small_world))


def test_own_arithmetic__ends_with_the_context_also_by_an_error() -> None:
    @own_arithmetic()
    def fail() -> None:
        raise KeyError(np.exp(np.float64(-1e3)))

    with np.errstate(all="raise"):
        with pytest.raises(KeyError, match=r"0\.0"):
            fail()
        with pytest.raises(FloatingPointError):
            np.exp(np.float64(-1e3))
