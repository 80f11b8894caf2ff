"""Monotone maps of the losses of a task to a scale on which a Gaussian process explains them best.

Losses of a search are skewed: a few configurations are very bad, and near the best one small differences count. The map
is chosen by the likelihood of the losses themselves, its Jacobian included.

Symbols: n losses y, their lowest y_min and their standard deviation s.

    w(y) = log(1 + (y - y_min) / (c s)),        then standardised;        c = infinity: w(y) = y
    log p(y) = log N(w; 0, K) + sum_i log w'(y_i)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metahpo.surrogates.loss_spread import power_of_two

Array = NDArray[np.float64]

#: Values of c: from no map to one that looks closely at the best.
BENDS = (np.inf, 1.0, 0.1, 0.01)


def warped(losses: Array, bend: float) -> tuple[Array, float, Array]:
    """Map losses (n,) that are not all equal.

    Returns
    -------
    values : ndarray of shape (n,)
        Of mean 0 and variance 1.
    log_jacobian : float
        Sum of the logarithms of the derivatives, but for a constant that all maps share.
    slopes : ndarray of shape (n,)
        Derivative of the value of each loss by the loss, in units of the standard deviation of the losses.
    """
    unit = power_of_two(losses)
    scaled = losses / unit
    above = (scaled - scaled.min()) / scaled.std()
    bent = above if np.isinf(bend) else np.log1p(above / bend)
    slope = np.ones_like(above) if np.isinf(bend) else 1.0 / (bend + above)
    spread = float(bent.std())
    return (bent - bent.mean()) / spread, float(np.log(slope).sum() - len(losses) * np.log(spread)), slope / spread
