"""What a mixture believes about configurations of one task, once it knows the losses of others."""

from __future__ import annotations

import torch
from torch import Tensor

from metahpo.surrogates.mixture.loss_scale import Losses
from metahpo.surrogates.mixture.mixture import Hypotheses, Mixture
from metahpo.surrogates.mixture.source_features import Described
from metahpo.surrogates.posterior import Posterior

#: Score of having tried nothing: worse than nearly all configurations, so that what is expected to improve on it most
#: is, almost exactly, what is expected to be best.
NOTHING_TRIED = 3.0


def belief(
    mixture: Mixture, log_prior: Tensor, at: Described, losses: Losses | None = None, sharpness: float = 1.0
) -> Posterior:
    """Belief about m configurations of one task, by the heaviest hypotheses.

    Parameters
    ----------
    mixture : Mixture
    log_prior : Tensor of shape (J, T)
        Log weights of the hypotheses before any trial.
    at : Described
        Of n + m configurations: those of the trials, then those that are asked about.
    losses : Losses, default=None
        Of the n trials; None: there are none.
    sharpness : float, default=1
        Calibration: see :class:`metahpo.surrogates.posterior.Posterior`.
    """
    if losses is None:
        log_weights, incumbent = log_prior, torch.full_like(log_prior, NOTHING_TRIED)
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
        gap_std=prediction.gap_variance.sqrt().numpy(),
        sharpness=sharpness,
    )
