"""BoTorch: a surrogate of ours as one of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError
from metahpo.integrations.libraries import BOTORCH
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.surrogate import Observed, Surrogate, on_task

BOTORCH.load()

import torch  # noqa: E402
from botorch.models.model import Model  # noqa: E402
from botorch.posteriors import GPyTorchPosterior  # noqa: E402
from gpytorch.distributions import MultivariateNormal  # noqa: E402


class SurrogateModel(Model):  # type: ignore[misc]  # not followed
    """A surrogate on one task, for BoTorch's acquisition functions.

    The outcome is the negative z-score, of which more is better, as BoTorch has it. Points are rows of the unit cube,
    in the columns of ``encoder``, which gives configurations for rows as well.

    Parameters
    ----------
    surrogate : Surrogate
    observed : pair (configurations, losses), default=None
        Trials so far, NaN for a failed one.
    meta_features : mapping of str to float, default=None
        Of the task.

    Attributes
    ----------
    encoder : SpaceEncoder
        Configurations as rows, and back.

    Notes
    -----
    The posterior is normal, with the mean and the variance of the surrogate's mixture, and independent between points:
    acquisition functions of one point are meant. It has no gradient, so that ``optimize_acqf_discrete`` is the way to
    the best of many rows.

    Raises
    ------
    SpaceError
        An observed configuration that is not of the space.
    DataError
        As many losses as configurations are needed, and a surrogate.
    """

    def __init__(
        self, surrogate: Surrogate, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        if not isinstance(getattr(surrogate, "space", None), ConfigurationSpace):
            raise DataError(f"surrogate must be one that was trained, but is {surrogate!r}.")
        self.encoder = SpaceEncoder(surrogate.space)
        self._on_task = on_task(surrogate, meta_features)
        self._observed = None
        if observed is not None:
            given, losses = observed
            rows = self.encoder.arrange(given) if isinstance(given, np.ndarray) else self.encoder.encode(given)
            self._observed = rows, np.asarray(losses, dtype=np.float64)
            if len(rows) != len(self._observed[1]):
                raise DataError(f"each configuration needs a loss, but {len(rows)} have {len(self._observed[1])}.")

    @property
    def space(self) -> ConfigurationSpace:
        """Search space of the configurations."""
        return self.encoder.space

    @property
    def num_outputs(self) -> int:
        """One outcome."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """No batches of models."""
        return torch.Size()

    @property
    def best_f(self) -> float:
        """Best outcome observed, as the surrogate expects it: what acquisition functions improve upon."""
        posterior = self._on_task.posterior(np.zeros((1, self.encoder.n_columns)), self._observed)
        return -float(posterior.weights @ posterior.incumbent)

    def posterior(
        self,
        X: torch.Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | torch.Tensor = False,
        posterior_transform: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Posterior of points of shape (..., q, d).

        Raises
        ------
        DataError
            Points with another number of columns.
        """
        if X.shape[-1] != self.encoder.n_columns:
            columns = ", ".join(self.encoder.columns)
            raise DataError(f"points need {self.encoder.n_columns} columns, {columns}, but have {X.shape[-1]}.")
        rows = X.detach().cpu().numpy().astype(np.float64).reshape(-1, X.shape[-1])
        found = self._on_task.posterior(rows, self._observed)
        mean, variance = (
            torch.as_tensor(values, dtype=X.dtype, device=X.device).reshape(X.shape[:-1])
            for values in (-found.mixture_mean(), found.mixture_std() ** 2)
        )
        posterior = GPyTorchPosterior(MultivariateNormal(mean, torch.diag_embed(variance)))
        return posterior if posterior_transform is None else posterior_transform(posterior)
