"""Posteriors of a surrogate of fixed numbers, against stored ones.

``python -m tests.surrogates.test_pinned_posterior`` stores them again.

The stored numbers do not show that the model is right. They show that a change of the code does not change the model.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metahpo.space.encoding import unit_cube_space
from metahpo.surrogates.mixture import (
    MetaLearnedSurrogate,
    MixtureComponents,
    Provenance,
    TaskSimilarity,
    ZScoreKernel,
)

STORED = Path(__file__).parent.parent / "references" / "posteriors.json"
N_TASKS, N_REFERENCES, N_COLUMNS = 5, 7, 3
CASES = (
    "before trials",
    "before trials, of meta-features",
    "after trials",
    "after trials, of meta-features",
    "after unfinished trials",
    "task weights",
)


def surrogate_of_fixed_numbers() -> MetaLearnedSurrogate:
    generator = torch.Generator().manual_seed(1)
    similarity = TaskSimilarity(
        ("size", "skew"),
        np.array([[1.0, 0.2], [2.0, np.nan], [4.0, 0.9], [8.0, 0.1], [9.0, 0.4]]),
        np.array([0.7, 0.3]),
        0.6,
    )
    return MetaLearnedSurrogate(
        unit_cube_space(N_COLUMNS),
        ZScoreKernel(N_COLUMNS, generator),
        MixtureComponents(),
        similarity,
        (0.8, 1.0, 1.3),
        torch.rand(N_REFERENCES, N_COLUMNS, dtype=torch.float64, generator=generator),
        torch.randn(N_REFERENCES, N_TASKS, dtype=torch.float64, generator=generator),
        Provenance(None, "loss", tuple("abcde"), tuple("abcde"), "", 0, {}),
    )


def predicted() -> dict[str, list[float]]:
    """Means and standard deviations, in the cases that take different ways through the model."""
    surrogate, rng = surrogate_of_fixed_numbers(), np.random.default_rng(2)
    at, tried, losses = rng.random((4, N_COLUMNS)), rng.random((6, N_COLUMNS)), rng.standard_normal(6)
    losses[2] = np.nan
    told, noise = {"size": 3.0, "skew": 0.5}, np.array([0.0, 0.2, 0.0, 0.0, 0.4, 0.0])
    posteriors = [
        surrogate.posterior(at),
        surrogate.posterior(at, meta_features=told),
        surrogate.posterior(at, (tried, losses)),
        surrogate.posterior(at, (tried, losses), told),
        surrogate.posterior(at, (tried, losses), told, noise),
    ]
    numbers = [np.concatenate([p.mixture_mean(), p.mixture_std(), p.quantile(0.1)]) for p in posteriors]
    numbers.append(np.array([surrogate.task_weights((tried, losses), told)[t] for t in "abcde"]))
    return {case: np.round(values, 8).tolist() for case, values in zip(CASES, numbers, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_posteriors_are_the_stored_ones(case: str) -> None:
    np.testing.assert_allclose(predicted()[case], json.loads(STORED.read_text())[case], atol=1e-5)


if __name__ == "__main__":
    STORED.write_text(json.dumps(predicted(), indent=1) + "\n")
