"""Several configurations that complement each other, from the posterior before any trial.

Symbols: k components of the posterior, m candidates; c_i the best score picked so far, as component i sees it.

    pick_1 = argmin_x  sum_i w_i mean_i(x)                    the best guess
    pick_j = argmax_x  sum_i w_i E[max(c_i - z_i(x), 0)]      then what helps most where the earlier picks are weak

With one component a source task this is the greedy portfolio (Wistuba et al. 2015, section 4), weighted by likeness.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import log_expected_improvement
from metahpo.surrogates.posterior import Posterior


def complementary_picks(posterior: Posterior, n: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
    """Indices of `n` configurations of the posterior (fewer where it has fewer), the best guess first.

    Only those where `allowed`, shape (m,), is true may be picked; None: all.
    """
    closed = np.zeros(posterior.mean.shape[1], dtype=bool) if allowed is None else ~allowed
    picks = [int(np.argmin(np.where(closed, np.inf, posterior.mixture_mean())))]
    current = posterior.mean[:, picks[0]]
    while len(picks) < min(n, int((~closed).sum())):
        gain = log_expected_improvement(replace(posterior, incumbent=current))
        gain[picks] = -np.inf
        gain[closed] = -np.inf
        picks.append(int(np.argmax(gain)))
        current = np.minimum(current, posterior.mean[:, picks[-1]])
    return picks
