"""The mixture of source tasks on one task, for as long as a search of it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.fitting.calibration import sharpness_at
from metahpo.surrogates.loss_spread import failed_as_worse
from metahpo.surrogates.mixture.loss_scale import TINY, Losses
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.mixture_posterior import belief
from metahpo.surrogates.mixture.source_features import Described, describe
from metahpo.surrogates.mixture.source_functions import RememberedFunctions, SourceFunctions
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Configurations, Observed, checked_noise


@dataclass(frozen=True, eq=False)
class MixtureOnTask:
    """A trained mixture, and what one search remembers of it; see :class:`metahpo.surrogates.surrogate.TaskSurrogate`.

    Attributes
    ----------
    encoder : SpaceEncoder
    mixture : Mixture
    functions : SourceFunctions
    sharpness : tuple of float
    alpha : Tensor of shape (T,)
        Weights of the function expected of the task, before any trial.
    log_prior : Tensor of shape (J, T)
        Log weights of the hypotheses, before any trial.
    """

    encoder: SpaceEncoder
    mixture: Mixture
    functions: SourceFunctions
    sharpness: tuple[float, ...]
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
        """Belief about the scores of `configurations`."""
        rows, losses = self._rows(configurations), None
        n_trials = 0 if observed is None else len(observed[1])
        if observed is not None and n_trials:
            tried, losses = self._observed(observed)
            if noise is not None:
                losses = losses.with_noise(torch.from_numpy(checked_noise(noise, n_trials)))
            rows = np.concatenate([tried, rows])
        return belief(
            self.mixture, self.log_prior, self._described(rows), losses, sharpness_at(n_trials, self.sharpness)
        )

    @own_arithmetic()
    @torch.inference_mode()
    def source_shares(self, observed: Observed | None = None) -> Tensor:
        """Share of every source task in the expected score, shape (T,): non-negative, at most one in sum."""
        given, log_weights = None, self.log_prior
        if observed is not None and len(observed[1]) > 0:
            tried, losses = self._observed(observed)
            trials = self._described(tried).to(torch.float64)
            given = self.mixture.condition(trials, self.mixture.covariances(trials, trials), losses)
            log_weights = log_weights + given.log_evidence
        coefficients = self.mixture.source_coefficients(log_weights, given, self.alpha).clamp_min(0.0)
        return coefficients / coefficients.sum().clamp_min(TINY)

    def _described(self, rows: NDArray[np.float64]) -> Described:
        return describe(self._remembered.at(rows), self.alpha)

    def _observed(self, observed: Observed) -> tuple[NDArray[np.float64], Losses]:
        """Rows (n, d) that were tried, and their losses."""
        rows, losses = self._rows(observed[0]), np.asarray(observed[1], dtype=np.float64)
        if losses.shape != (len(rows),) or np.isinf(losses).any():
            raise DataError(
                f"observed losses must be finite (or NaN for a failed trial) and of shape {(len(rows),)}, one a "
                f"configuration, but have shape {losses.shape} and values {losses[:10]}."
            )
        typical = float(self.mixture.regimes.log_spread[0].exp())
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
