"""The mixture of source tasks on one new task, with a memory for one search."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.loss_spread import failed_as_worse
from metahpo.surrogates.mixture.calibration import calibration_at
from metahpo.surrogates.mixture.loss_scale import TINY, Losses
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.mixture_posterior import mixture_posterior
from metahpo.surrogates.mixture.source_features import SourceFeatures, source_features_at
from metahpo.surrogates.mixture.source_functions import RememberedFunctions, SourceFunctions
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Configurations, Observed, checked_noise


@dataclass(frozen=True, eq=False)
class MixtureOnTask:
    """A trained mixture with the values that one search has computed.

    It implements :class:`metahpo.surrogates.surrogate.TaskSurrogate`.

    Attributes
    ----------
    encoder : SpaceEncoder
    mixture : Mixture
    functions : SourceFunctions
    calibration : tuple of float
    alpha : Tensor of shape (T,)
        Weights of the source functions in the expected function of the task, before any trial.
    log_prior : Tensor of shape (J, T)
        Log weights of the hypotheses, before any trial.
    """

    encoder: SpaceEncoder
    mixture: Mixture
    functions: SourceFunctions
    calibration: tuple[float, ...]
    alpha: Tensor
    log_prior: Tensor
    _remembered: RememberedFunctions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_remembered", RememberedFunctions(self.functions))

    @own_arithmetic()
    @torch.inference_mode()
    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the z-scores of `configurations`."""
        rows, losses = self._rows(configurations), None
        n_trials = 0 if observed is None else len(observed[1])
        if observed is not None and n_trials:
            tried, losses = self._observed(observed)
            if noise is not None:
                losses = losses.with_noise(torch.from_numpy(checked_noise(noise, n_trials)))
            rows = np.concatenate([tried, rows])
        return mixture_posterior(
            self.mixture,
            self.log_prior,
            self._source_features(rows),
            losses,
            calibration_at(n_trials, self.calibration),
        )

    @own_arithmetic()
    @torch.inference_mode()
    def source_shares(self, observed: Observed | None = None) -> Tensor:
        """Share of every source task in the expected z-score, shape (T,): non-negative, summing to one or zero."""
        given, log_weights = None, self.log_prior
        if observed is not None and len(observed[1]) > 0:
            tried, losses = self._observed(observed)
            trials = self._source_features(tried).to(torch.float64)
            given = self.mixture.condition(trials, self.mixture.covariances(trials, trials), losses)
            log_weights = log_weights + given.log_evidence
        coefficients = self.mixture.source_coefficients(log_weights, given, self.alpha).clamp_min(0.0)
        return coefficients / coefficients.sum().clamp_min(TINY)

    def _source_features(self, rows: NDArray[np.float64]) -> SourceFeatures:
        return source_features_at(self._remembered.at(rows), self.alpha)

    def _observed(self, observed: Observed) -> tuple[NDArray[np.float64], Losses]:
        """Encoded configurations (n, d) of the trials, and their losses."""
        rows, losses = self._rows(observed[0]), np.asarray(observed[1], dtype=np.float64)
        if losses.shape != (len(rows),) or np.isinf(losses).any():
            raise DataError(
                f"observed losses must be finite (or NaN for a failed trial) and of shape {(len(rows),)}, one a "
                f"configuration, but have shape {losses.shape} and values {losses[:10]}."
            )
        typical = float(self.mixture.components.log_spread[0].exp())
        filled = torch.from_numpy(failed_as_worse(losses, typical))
        return rows, Losses.standardise(filled)

    def _rows(self, configurations: Configurations) -> NDArray[np.float64]:
        if not isinstance(configurations, np.ndarray):
            configurations = self.encoder.encode(configurations)
        rows = np.ascontiguousarray(configurations, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.encoder.n_columns or not np.isfinite(rows).all():
            raise DataError(
                f"configurations must be finite rows of shape (m, {self.encoder.n_columns}) in the unit cube, or "
                f"dictionaries, but came as an array of shape {rows.shape}."
            )
        return rows
