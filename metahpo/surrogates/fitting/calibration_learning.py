"""Learning of the calibration from tasks whose families the mixture has not seen.

The model is in :mod:`metahpo.surrogates.mixture.meta_learned`. u = F(z) is modelled as Beta(a, a), with one parameter a
for each number of trials. The estimate of a is the one that gives the observed variance of u.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metahpo.surrogates.fitting.source_tasks import HeldOutTask
from metahpo.surrogates.mixture.meta_learned import TRIAL_COUNTS, mixture_posterior
from metahpo.surrogates.mixture.mixture import Losses, Mixture
from metahpo.surrogates.posterior import Posterior

#: Most z-scores that are predicted for one task and one number of trials.
MAX_PREDICTED = 50
#: Bounds of the calibration. A value beyond them means that the model is wrong in another way.
BOUNDS = (0.3, 3.0)


def learn_calibration(mixture: Mixture, tasks: Sequence[HeldOutTask], generator: torch.Generator) -> tuple[float, ...]:
    """Learn the calibration for each of `TRIAL_COUNTS` from held-out tasks."""
    calibration = []
    for n in TRIAL_COUNTS:
        transforms = []
        for held_out in tasks:
            z = held_out.task.z
            if len(z) < 2 * n or len(z) < 2:
                continue
            order = torch.randperm(len(z), generator=generator)
            seen, unseen = order[:n], order[n : n + MAX_PREDICTED]
            transforms.append(predict_unseen(mixture, held_out, seen, unseen).cdf(z[unseen].numpy()))
        variance = float(np.concatenate(transforms).var()) if transforms else 1.0 / 12.0
        # Beta(a, a) has variance 1 / (4 (2 a + 1)): 1 / 12 for the uniform, a = 1.
        calibration.append(float(np.clip(0.5 * (0.25 / variance - 1.0), *BOUNDS)))
    return tuple(calibration)


def predict_unseen(mixture: Mixture, held_out: HeldOutTask, seen: Tensor, unseen: Tensor) -> Posterior:
    """Posterior of the z-scores of the unseen trials of a task, given the losses of the seen ones; not calibrated."""
    losses = Losses.standardise(held_out.task.loss[seen]) if len(seen) else None
    at = held_out.source_features(torch.cat([seen, unseen]))
    return mixture_posterior(mixture, mixture.components.log_prior(held_out.distances), at, losses)
