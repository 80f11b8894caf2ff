"""Interpolation of any function of configurations with the learnt kernel.

Symbols: n known configurations, m new ones; K (n, n) their covariances with the noise, k (m, n); 1 a vector of ones.

    A = k K^-1 + (1 - k K^-1 1) (1' K^-1) / (1' K^-1 1)            ordinary kriging (Cressie 1993, section 3.2)
    open share = 1 - diag(k K^-1 k') / (variance of the kernel)

A new configuration that is a known one takes the value there.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.surrogates.mixture.source_functions import ZScoreKernel


@torch.inference_mode()
def kriging(kernel: ZScoreKernel, known: Tensor, new: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights A, shape (m, n), and open shares, shape (m,), for encoded configurations (n, d) and (m, d)."""
    at_known, at_new = kernel.locate(known), kernel.locate(new)
    factor = torch.linalg.cholesky(
        kernel(at_known, at_known) + kernel.noise() * torch.eye(len(known), dtype=known.dtype)
    )
    k = kernel(at_new, at_known)
    weights = torch.cholesky_solve(k.T, factor).T
    open_share = 1.0 - (weights * k).sum(1) / kernel.variance()
    mean = torch.cholesky_solve(torch.ones(len(known), 1, dtype=known.dtype), factor)[:, 0]
    weights = weights + (1.0 - weights.sum(1, keepdim=True)) * (mean / mean.sum())
    same = (new[:, None] == known[None]).all(-1)
    found = same.any(1)
    weights[found] = torch.nn.functional.one_hot(same[found].int().argmax(1), len(known)).to(weights)
    return weights.numpy(), np.asarray(open_share.clamp(0.0, 1.0).masked_fill(found, 0.0).numpy())
