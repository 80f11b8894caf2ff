"""Tests that every learner, surrogate, optimiser, baseline, engine and integration must pass; needs pytest.

A test module subclasses a contract under a name that begins with ``Test``, and gives its fixture::

    class TestMyLearner(LearnerContract):
        @pytest.fixture(params=["classification", "regression"])
        def learner(self, request):
            return my_learner(request.param)
"""

from __future__ import annotations

import pytest

_MODULES = ("baselines", "engines", "integrations", "learners", "optimizers", "surrogates")
# Failed assertions tell their values, as those in test modules do. It must come before the modules are imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _MODULES))

from metahpo.testing.baselines import BaselineContract, toy_tables  # noqa: E402
from metahpo.testing.engines import EngineContract  # noqa: E402
from metahpo.testing.integrations import IntegrationContract  # noqa: E402
from metahpo.testing.learners import LearnerContract, small_task  # noqa: E402
from metahpo.testing.optimizers import OptimizerContract  # noqa: E402
from metahpo.testing.surrogates import SurrogateContract, TrainedSurrogateContract  # noqa: E402

__all__ = [
    "BaselineContract",
    "EngineContract",
    "IntegrationContract",
    "LearnerContract",
    "OptimizerContract",
    "SurrogateContract",
    "TrainedSurrogateContract",
    "small_task",
    "toy_tables",
]
