"""BoTorch: its acquisition functions on a surrogate of ours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("botorch", exc_type=ImportError)

from metahpo.exceptions import DataError, SpaceError
from metahpo.integrations.botorch import SurrogateModel
from metahpo.testing.integrations import FIRST
from metahpo.testing.optimizers import small_space
from tests.integrations.peaked import Peaked

BEST = {"mode": "tuned", "depth": 7, "rate": 0.01, "knob": 0.8}


@pytest.fixture(scope="module")
def model() -> SurrogateModel:
    return SurrogateModel(Peaked(small_space(), BEST), (FIRST, np.array([2.0, 1.0, 3.0])))


def test_botorch_picks_the_best_row(model: SurrogateModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.acquisition import LogExpectedImprovement
        from botorch.optim import optimize_acqf_discrete
    rows = torch.tensor(model.encoder.encode([*FIRST, BEST]))
    acquisition = LogExpectedImprovement(model, best_f=model.best_f)
    chosen, _ = optimize_acqf_discrete(acquisition, q=1, choices=rows)
    assert model.encoder.decode(chosen.numpy())[0] == pytest.approx(BEST)


def test_the_posterior_is_that_of_the_surrogate(model: SurrogateModel) -> None:
    rows = model.encoder.encode([*FIRST, BEST])
    expected = Peaked(small_space(), BEST).posterior(rows)
    posterior = model.posterior(torch.tensor(rows).reshape(2, 2, -1))
    np.testing.assert_allclose(posterior.mean.numpy().ravel(), -expected.mixture_mean())
    np.testing.assert_allclose(posterior.variance.numpy().ravel(), expected.mixture_std() ** 2)
    assert posterior.rsample(torch.Size([3])).shape == (3, 2, 2, 1)
    assert model.best_f == -1.0
    assert model.num_outputs == 1


def test_what_does_not_fit_is_refused(model: SurrogateModel) -> None:
    surrogate: Any = Peaked(small_space(), BEST)
    with pytest.raises(DataError, match="points need 7 columns"):
        model.posterior(torch.zeros(1, 3))
    with pytest.raises(DataError, match="3 have 1"):
        SurrogateModel(surrogate, (FIRST, np.zeros(1)))
    with pytest.raises(SpaceError, match="'depth' = 99"):
        SurrogateModel(surrogate, ([{"depth": 99}], np.zeros(1)))
    with pytest.raises(DataError, match="surrogate must be one that was trained, but is None"):
        SurrogateModel(None)  # type: ignore[arg-type]
