"""The posterior of configurations of one task under the mixture, given the losses of its trials."""

from __future__ import annotations

import torch
from torch import Tensor

from metahpo.surrogates.mixture.loss_scale import Losses
from metahpo.surrogates.mixture.mixture import Hypotheses, Mixture
from metahpo.surrogates.mixture.source_features import SourceFeatures
from metahpo.surrogates.posterior import Posterior

#: The incumbent before any trial, as a z-score. It is worse than nearly all configurations. Expected improvement on it
#: ranks configurations almost exactly like the expected z-score.
INCUMBENT_BEFORE_TRIALS = 3.0


def mixture_posterior(
    mixture: Mixture, log_prior: Tensor, at: SourceFeatures, losses: Losses | None = None, calibration: float = 1.0
) -> Posterior:
    """Posterior of m configurations of one task, from the hypotheses with the largest weights.

    Parameters
    ----------
    mixture : Mixture
    log_prior : Tensor of shape (J, T)
        Log weights of the hypotheses before any trial.
    at : SourceFeatures
        Source features of n + m configurations: first the n trials, then the m configurations to predict.
    losses : Losses, default=None
        Losses of the n trials. None if there are no trials.
    calibration : float, default=1
        Calibration: see :class:`metahpo.surrogates.posterior.Posterior`.
    """
    if losses is None:
        log_weights, incumbent = log_prior, torch.full_like(log_prior, INCUMBENT_BEFORE_TRIALS)
        chosen = Hypotheses.heaviest(log_weights)
        prediction = mixture.predict_first(at, chosen)
    else:
        n_trials = losses.y.shape[-1]
        trials = at[:n_trials]
        K = mixture.covariances(trials, at)
        given = mixture.condition(trials.to(torch.float64), K[..., :n_trials].double(), losses)
        log_weights, incumbent = log_prior + given.log_evidence, given.incumbent
        chosen = Hypotheses.heaviest(log_weights)
        prediction = mixture.predict(given, K[..., n_trials:], at[n_trials:], chosen)
    return Posterior(
        weights=torch.softmax(log_weights[chosen], 0).numpy(),
        mean=prediction.mean.numpy(),
        std=prediction.variance.sqrt().numpy(),
        incumbent=incumbent[chosen].numpy(),
        improvement_std=prediction.improvement_variance.sqrt().numpy(),
        calibration=calibration,
    )
