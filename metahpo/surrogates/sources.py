"""The tasks learnt from, as functions on the search space.

Symbols: T source tasks; R reference configurations (inducing points) Z; n_t recorded configurations X_t of task t, with
scores z_t.

    m_t(x) = k(x, Z) W_t,     W_t = (K_ZX K_XZ / s + K_ZZ)^-1 K_ZX z_t / s

is the mean of a sparse Gaussian process (subset of regressors: Quinonero-Candela and Rasmussen, JMLR 2005) with noise
variance s. Sharing Z makes all T functions one matrix product, and a stored function R numbers whatever n_t was.
Where tasks were measured on one design of at most R configurations, Z is that design and m_t the exact process mean.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.surrogates.batches import SourceTask
from metahpo.surrogates.kernels import DeepKernel

#: Candidates among which reference configurations are chosen, where more are recorded.
MAX_CANDIDATES = 4000
#: Variances below which source functions follow their records as closely as numbers allow, and a jitter for K_ZZ.
MIN_NOISE, JITTER = 1e-3, 1e-6


def reference_configurations(X: list[NDArray[np.float64]], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """At most `n` distinct recorded configurations that cover all of them: each the farthest from those before it."""
    distinct = np.unique(np.concatenate(X), axis=0)
    if len(distinct) <= n:
        return distinct
    distinct = distinct[rng.permutation(len(distinct))[:MAX_CANDIDATES]]
    chosen = [0]
    distance = np.square(distinct - distinct[0]).sum(axis=1)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(distinct - distinct[chosen[-1]]).sum(axis=1))
    return distinct[chosen]


def source_weights(kernel: DeepKernel, Z: Tensor, tasks: list[SourceTask]) -> Tensor:
    """Weights W, shape (R, T), of the source functions on the reference configurations `Z`, shape (R, d)."""
    noise = kernel.log_noise.exp() + MIN_NOISE
    at_Z = kernel.locate(Z)
    K_ZZ = kernel(at_Z, at_Z) + JITTER * torch.eye(len(Z), dtype=Z.dtype)
    columns = []
    for task in tasks:
        K_ZX = kernel(at_Z, kernel.locate(task.X))
        factor = torch.linalg.cholesky(K_ZX @ K_ZX.T / noise + K_ZZ)
        columns.append(torch.cholesky_solve(K_ZX @ task.z[:, None] / noise, factor))
    return torch.cat(columns, dim=1)
