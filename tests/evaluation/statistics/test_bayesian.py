from __future__ import annotations

import numpy as np
import pytest

from metahpo.evaluation.statistics.bayesian import PRIOR, region_shares, signed_rank_probabilities
from metahpo.exceptions import DataError

DIFFERENCES = np.array([-0.05, -0.02, 0.004, -0.001, 0.03, -0.08, -0.012, -0.0005, 0.0, -0.03, 0.011, -0.04])
#: What baycomp 1.0.3 gives for DIFFERENCES: shares of the first four draws (RandomState(7)), and probabilities of
#: 50,000 draws.
RECORDED = {
    0.0: (
        [
            [0.5877328573909961, 0.0, 0.41226714260900393],
            [0.703449326750116, 0.0, 0.29655067324988404],
            [0.8393416448376143, 0.0, 0.16065835516238564],
            [0.8582807363678946, 0.0, 0.14171926363210546],
        ],
        (0.96566, 0.0, 0.03434),
    ),
    0.01: (
        [
            [0.3944235614990236, 0.5281947052263587, 0.07738173327461774],
            [0.590795891476121, 0.33126674095724973, 0.07793736756662924],
            [0.6080213224573805, 0.3445769785891801, 0.04740169895343939],
            [0.5712697790492336, 0.40464723033349737, 0.024082990617269026],
        ],
        (0.75686, 0.23492, 0.00822),
    ),
}


def drawn(n_draws: int, seed: int) -> np.ndarray:
    """Weights as baycomp draws them."""
    alpha = np.ones(len(DIFFERENCES) + 1)
    alpha[0] = PRIOR
    return np.random.RandomState(seed).dirichlet(alpha, n_draws)


@pytest.mark.parametrize("region", RECORDED)
def test_shares_are_those_that_baycomp_gave(region: float) -> None:
    shares, probabilities = RECORDED[region]
    np.testing.assert_allclose(region_shares(drawn(4, 7), DIFFERENCES, region), shares, rtol=0, atol=1e-9)
    found = signed_rank_probabilities(DIFFERENCES, region, n_draws=40_000)
    assert found == pytest.approx(probabilities, abs=0.01)


@pytest.mark.parametrize("region", [0.0, 0.01])
def test_shares_are_those_of_baycomp(region: float) -> None:
    baycomp = pytest.importorskip("baycomp")
    theirs = baycomp.SignedRankTest.sample(np.zeros(len(DIFFERENCES)), DIFFERENCES, region, nsamples=50, random_state=3)
    np.testing.assert_allclose(region_shares(drawn(50, 3), DIFFERENCES, region), theirs, rtol=0, atol=1e-9)


def test_probabilities_tell_better_equivalent_and_worse_apart() -> None:
    rng = np.random.default_rng(0)
    assert signed_rank_probabilities(rng.normal(-0.1, 0.02, 30))[0] > 0.99
    assert signed_rank_probabilities(rng.normal(0.0, 0.002, 30))[1] > 0.99
    assert signed_rank_probabilities(rng.normal(0.1, 0.02, 30))[2] > 0.99
    assert sum(signed_rank_probabilities(rng.normal(0.0, 0.05, 30))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("differences", "region"), [([], 0.1), ([np.nan], 0.1), ([[0.1]], 0.1), ([0.1], -0.1)]
)  # fmt: skip
def test_what_is_no_sample_is_refused(differences: list[float], region: float) -> None:
    with pytest.raises(DataError, match="finite differences"):
        signed_rank_probabilities(np.array(differences), region)
