"""Calibration of predictive intervals, as a function of the number of trials.

Symbols: u = F(z), the cumulative distribution of the mixture at an observed copula z-score z (the probability integral
transform). u is uniform if the mixture is calibrated. The calibrated distribution is I_F(a, a), the regularised
incomplete beta function. The parameter a is the calibration: a > 1 makes intervals narrower, a < 1 makes them wider.
This is the recalibration of Kuleshov et al. (ICML 2018) with a parametric map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Numbers of trials for which the calibration is learnt. It is interpolated between them in log(1 + n).
TRIAL_COUNTS = (0, 5, 20)


def calibration_at(n_trials: int, calibration: Sequence[float]) -> float:
    """Calibration for a number of trials, interpolated from the values for `TRIAL_COUNTS`."""
    return float(np.exp(np.interp(np.log1p(n_trials), np.log1p(TRIAL_COUNTS), np.log(calibration))))
