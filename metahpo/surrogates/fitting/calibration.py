"""How sure the posterior may be: calibration of its intervals on tasks of which it knew nothing.

Symbols: u = F(z), the mixture's cumulative distribution at a score that came true (probability integral transform).
Where intervals hold what they promise, u is uniform. It is modelled as Beta(a, a) with one sharpness a for a number of
trials: a > 1 where intervals were too wide, a < 1 where they were too narrow; the calibrated distribution is I_F(a, a),
the regularised incomplete beta function (recalibration after Kuleshov et al., ICML 2018, with a parametric map).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metahpo.surrogates.fitting.source_tasks import NewTask
from metahpo.surrogates.mixture.loss_scale import Losses
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.mixture_posterior import belief
from metahpo.surrogates.posterior import Posterior

#: Numbers of trials for which the sharpness is learnt; in between, it is interpolated in log(1 + n).
TRIAL_COUNTS = (0, 5, 20)
#: Scores predicted a task and number of trials, at most.
MAX_PREDICTED = 50
#: Bounds of the sharpness: beyond them something else is wrong.
BOUNDS = (0.3, 3.0)


def sharpness_at(n_trials: int, sharpness: Sequence[float]) -> float:
    """Sharpness for a number of trials, from that for `TRIAL_COUNTS`."""
    return float(np.exp(np.interp(np.log1p(n_trials), np.log1p(TRIAL_COUNTS), np.log(sharpness))))


def learn_sharpness(mixture: Mixture, tasks: Sequence[NewTask], generator: torch.Generator) -> tuple[float, ...]:
    """Sharpness for `TRIAL_COUNTS`, from tasks of which neither they nor their families are among the hypotheses."""
    sharpness = []
    for n in TRIAL_COUNTS:
        transforms = []
        for new in tasks:
            z = new.task.z
            if len(z) < 2 * n or len(z) < 2:
                continue
            order = torch.randperm(len(z), generator=generator)
            seen, unseen = order[:n], order[n : n + MAX_PREDICTED]
            transforms.append(predict_unseen(mixture, new, seen, unseen).cdf(z[unseen].numpy()))
        variance = float(np.concatenate(transforms).var()) if transforms else 1.0 / 12.0
        # Beta(a, a) has variance 1 / (4 (2 a + 1)): 1 / 12 for the uniform, a = 1.
        sharpness.append(float(np.clip(0.5 * (0.25 / variance - 1.0), *BOUNDS)))
    return tuple(sharpness)


def predict_unseen(mixture: Mixture, new: NewTask, seen: Tensor, unseen: Tensor) -> Posterior:
    """Belief about the unseen scores of one task, given the losses seen, before any calibration."""
    losses = Losses.standardise(new.task.loss[seen]) if len(seen) else None
    at = new.described(torch.cat([seen, unseen]))
    return belief(mixture, mixture.regimes.log_prior(new.distances), at, losses)
