from __future__ import annotations

import numpy as np
import pytest

from metahpo.evaluation.baselines.task_process import TaskProcess, source_processes
from metahpo.metadata.task_table import TaskTable
from metahpo.surrogates.gaussian_process import GaussianProcessSurrogate, standardised
from tests.evaluation.bowls import bowl


@pytest.fixture(scope="module")
def process() -> TaskProcess:
    (fitted,) = source_processes([bowl("t", 0.4, n=25)], 0)
    return fitted


def test_predictions_are_those_of_the_cold_process(process: TaskProcess) -> None:
    table, X = bowl("t", 0.4, n=25), np.random.default_rng(1).random((7, 2))
    expected = GaussianProcessSurrogate().posterior(X, (table.X, table.loss))
    # The order of the trials, and so the last digits, are those of the records.
    for found, reference in zip(process.predict(X), (expected.mean[0], expected.std[0]), strict=True):
        np.testing.assert_allclose(found, reference, atol=1e-6)


def test_samples_have_the_mean_and_the_covariance_of_the_process(process: TaskProcess) -> None:
    X = np.array([[0.0, 0.0], [0.02, 0.0], [1.0, 1.0]])
    samples = process.sample(X, 20_000, np.random.default_rng(0))
    mean, std = process.predict(X)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=4 * std.max() / np.sqrt(20_000))
    np.testing.assert_allclose(samples.std(axis=0), std, rtol=0.05)
    assert np.asarray(np.corrcoef(samples[:, 0], samples[:, 1]))[0, 1] > 0.9


def test_leaving_one_out_in_closed_form_is_leaving_it_out(process: TaskProcess) -> None:
    regressor, i = process.regressor, 4
    kernel, X, y = regressor.kernel_, regressor.X_train_, regressor.y_train_
    others = np.arange(len(y)) != i
    K, k = kernel(X[others]), kernel(X[others], X[i : i + 1])[:, 0]
    mean, std = process.leave_one_out()
    assert mean[i] == pytest.approx(k @ np.linalg.solve(K, y[others]), abs=1e-5)
    assert std[i] ** 2 == pytest.approx(kernel.diag(X[i : i + 1])[0] - k @ np.linalg.solve(K, k), abs=1e-5)


def test_a_task_that_tells_nothing_apart_has_no_process() -> None:
    flat = TaskTable("flat", "flat", np.random.default_rng(0).random((5, 2)), np.full(5, 3.0), None)
    assert len(source_processes([flat, bowl("t", 0.5)], 0)) == 1
    assert standardised(flat.loss) is None
