"""scikit-learn's own tests of its searches, made with MetaSearchCV in place of GridSearchCV and RandomizedSearchCV.

A grid is given as the space, with all of its combinations as the first trials, in the order of scikit-learn. Tests that
do not apply are listed with the reason.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest
import sklearn.model_selection
from sklearn.model_selection import ParameterGrid, ParameterSampler

from metahpo.search import MetaSearchCV

THEIRS = "sklearn.model_selection.tests.test_search"
#: Tests that do not apply, and why.
EXCEPTIONS = {
    **dict.fromkeys(
        ["test_grid_search_cv_results", "test_random_search_cv_results"],
        "cv_results_ has one column more than theirs: the status of the trials",
    ),
    **dict.fromkeys(
        ["test_random_search_cv_results_multimetric"],
        "it compares two random searches draw by draw, and is slow",
    ),
    **dict.fromkeys(
        [
            "test_search_callbacks_no_propagation",
            "test_search_callbacks_propagation",
            "test_search_callbacks_receive_sample_weight",
            "test_search_callbacks_receive_search_instance",
            "test_search_callbacks_with_partial_fit_failures",
        ],
        "the callbacks of MetaSearchCV are functions of the history; those of scikit-learn are experimental",
    ),
    **dict.fromkeys(
        ["test_grid_search_failing_classifier", "test_callable_multimetric_error_failing_clf"],
        "it is about the words of a warning: here failed trials are counted, there failed fits",
    ),
    **dict.fromkeys(
        ["test_grid_search_classifier_all_fits_fail", "test_callable_multimetric_clf_all_fits_fail"],
        "it repeats a configuration; here each is tried once",
    ),
    "test_array_api_search_cv_classifier": "data are taken as NumPy, pandas and SciPy give them",
    "test_grid_search_bad_param_grid": "it is about messages of GridSearchCV's own parameter",
    "test_custom_run_search": "it is about a hook of scikit-learn's base class",
    "test__custom_fit_no_run_search": "it is about a hook of scikit-learn's base class",
    "test_cv_results_multi_size_array": "choices are values that can be compared: no arrays",
    "test_searchcv_raise_warning_with_non_finite_score": "a trial without a finite score fails, with its own warning",
    "test_grid_search_cv_splits_consistency": "its last part repeats configurations; here each is tried once",
    "test_search_cv_sample_weight_equivalence": "it is about the estimator, and slow",
    "test_search_with_2d_array": "it is about the text step of a pipeline, and slow",
    "test_pickle": "the copy of the tests that is made here has classes that cannot be pickled",
    "test_parameter_grid": "it is about ParameterGrid",
    "test_param_sampler": "it is about ParameterSampler",
    "test_parameters_sampler_replacement": "it is about ParameterSampler",
    "test_yield_masked_array_for_each_param": "it is about a private function of scikit-learn",
    "test_yield_masked_array_no_runtime_warning": "it is about a private function of scikit-learn",
}


def grid_search(estimator: Any = None, param_grid: Any = None, **parameters: Any) -> MetaSearchCV:
    """MetaSearchCV as GridSearchCV is called."""
    if isinstance(param_grid, list) and len(param_grid) == 1:
        (param_grid,) = param_grid
    grid = list(ParameterGrid(param_grid))
    return MetaSearchCV(
        estimator,
        param_distributions=param_grid,
        initial=grid,
        n_trials=len(grid),
        warm_start=False,
        engine="grid",
        **parameters,
    )


def randomized_search(
    estimator: Any, param_distributions: Any, *, n_iter: int = 10, random_state: Any = None, **parameters: Any
) -> MetaSearchCV:
    """MetaSearchCV as RandomizedSearchCV is called."""
    seed = random_state if random_state is None or isinstance(random_state, int) else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a small space has fewer
        drawn = list(ParameterSampler(param_distributions, n_iter, random_state=random_state))
    return MetaSearchCV(
        estimator,
        param_distributions=param_distributions,
        initial=drawn,
        n_trials=len(drawn),
        warm_start=False,
        engine="random",
        random_state=seed,
        **parameters,
    )


def theirs() -> ModuleType:
    """scikit-learn's tests, with the searches replaced."""
    spec = importlib.util.find_spec(THEIRS)
    if spec is None or spec.loader is None:
        pytest.skip("this scikit-learn comes without its tests", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.model_selection, "GridSearchCV", grid_search)
        patch.setattr(sklearn.model_selection, "RandomizedSearchCV", randomized_search)
        spec.loader.exec_module(module)
    return module


def made(module: ModuleType) -> Mapping[str, Any]:
    """The tests that apply, by name."""
    return {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in EXCEPTIONS}


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's fixture."""
    return 0


pytestmark = pytest.mark.filterwarnings("default")  # theirs are made without warnings as errors
THEIRS_HERE = theirs()
globals().update(made(THEIRS_HERE))


def test_every_exception_is_a_test_of_theirs() -> None:
    names = {name for name in vars(THEIRS_HERE) if name.startswith("test_")}
    assert set(EXCEPTIONS) <= names
