"""The Bayesian signed-rank test of paired differences, with a region of practical equivalence.

Symbols: N differences z_1 .. z_N and one made up, z_0 = 0, of weight s; r half the width of the region; w the weights
of the differences, drawn from Dirichlet(s, 1, .., 1).

    above_w = sum_ij w_i w_j [z_i + z_j > 2 r],    below_w = sum_ij w_i w_j [z_i + z_j < -2 r],    within_w = the rest

where a pair on a border counts half to each side. The probability that one is better, equivalent or worse is the share
of the weights drawn for which above, within or below is the largest. (Benavoli, Corani, Mangili, Zaffalon and Ruggeri,
"A Bayesian Wilcoxon signed-rank test based on the Dirichlet process", ICML 2014; Benavoli, Corani, Demšar and Zaffalon,
"Time for a change", JMLR 2017.) The package baycomp computes the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import DataError

Array = NDArray[np.float64]

#: Weight of the difference that is made up, and draws of weights.
PRIOR, N_DRAWS = 0.5, 10_000
#: Regrets that differ by less are equivalent in practice.
REGION = 0.01


def region_shares(weights: Array, differences: Array, region: float) -> Array:
    """Below, within and above for weights (B, N + 1), the first that of z_0; shape (B, 3)."""
    z = np.concatenate([[0.0], differences])
    sums = z[:, None] + z[None, :]
    above = (sums > 2 * region) + 0.5 * (sums == 2 * region)
    if region == 0:
        share_above = np.einsum("bi,ij,bj->b", weights, above, weights, optimize=True)
        return np.stack([1 - share_above, np.zeros(len(weights)), share_above], axis=1)
    below = (sums < -2 * region) + 0.5 * (sums == -2 * region)
    parts = [np.einsum("bi,ij,bj->b", weights, part, weights, optimize=True) for part in (below, above)]
    return np.stack([parts[0], 1 - parts[0] - parts[1], parts[1]], axis=1)


def signed_rank_probabilities(
    differences: Array, region: float = REGION, n_draws: int = N_DRAWS, random_state: int = 0
) -> tuple[float, float, float]:
    """Probabilities that the differences are below, within and above the region of practical equivalence.

    Parameters
    ----------
    differences : ndarray of shape (N,)
        Finite, such as the mean differences of families.
    region : float, default=0.01
        Half the width of the region; not negative.
    n_draws, random_state : int

    Raises
    ------
    DataError
        No differences, or some that are not finite; a negative region.
    """
    if differences.ndim != 1 or not len(differences) or not np.isfinite(differences).all() or region < 0:
        raise DataError(
            "the test needs finite differences of shape (n,), n >= 1, and a region that is not negative, but got "
            f"{len(differences)} of shape {differences.shape} and {region}."
        )
    alpha = np.ones(len(differences) + 1)
    alpha[0] = PRIOR
    weights = np.random.default_rng(random_state).dirichlet(alpha, n_draws)
    winners = region_shares(weights, differences, region).argmax(axis=1)
    below, within, above = np.bincount(winners, minlength=3) / n_draws
    return float(below), float(within), float(above)
