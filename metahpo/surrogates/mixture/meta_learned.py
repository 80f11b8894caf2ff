"""The meta-learned surrogate, and the surrogate on one task.

A prediction goes through three files. This one weights the source tasks by meta-features, encodes the configurations
and reads the losses. :mod:`metahpo.surrogates.mixture.source_functions` computes the source functions at the
configurations. :mod:`metahpo.surrogates.mixture.mixture` conditions the mixture on the trials and returns the
posterior.

Symbols
    B           leading batch dimensions
    n, m        numbers of trials and of predicted configurations
    d           columns of a configuration
    T, J, R     numbers of source tasks, of components and of reference configurations
    alpha       weights of the source functions in the expected function of the task
    u           F(z), the cumulative distribution of the mixture at an observed copula z-score z (the probability
                integral transform). It is uniform if the mixture is calibrated.
    a           calibration: I_F(a, a), the regularised incomplete beta function, is the calibrated distribution.
                a > 1 makes intervals narrower, a < 1 makes them wider. This is the recalibration of Kuleshov et al.
                (ICML 2018) with a parametric map. a depends on the number of trials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates.explanation import Explanation, explain
from metahpo.surrogates.loss_spread import failed_as_worse
from metahpo.surrogates.mixture import mixture_file
from metahpo.surrogates.mixture.kriging import kriging
from metahpo.surrogates.mixture.mixture import Conditioned, Hypotheses, Losses, Mixture, MixtureComponents, Prediction
from metahpo.surrogates.mixture.mixture_file import Parts, Provenance, learnt_tensors
from metahpo.surrogates.mixture.source_functions import (
    TINY,
    RememberedFunctions,
    SourceFeatures,
    SourceFunctions,
    TaskSimilarity,
    ZScoreKernel,
    source_features_at,
    squared_distances,
)
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Configurations, Observed, checked_noise, encoded, encoded_trials

#: Numbers of trials for which the calibration is learnt. It is interpolated between them in log(1 + n).
TRIAL_COUNTS = (0, 5, 20)
#: The incumbent before any trial, as a z-score. It is worse than nearly all configurations. Expected improvement on it
#: ranks configurations almost exactly like the expected z-score.
INCUMBENT_BEFORE_TRIALS = 3.0


@dataclass(frozen=True, eq=False)
class MetaLearnedSurrogate:
    """Mixture of source tasks with a learnt kernel: see :mod:`metahpo.surrogates.mixture.mixture` for the model.

    It is immutable, so threads can share it. Build one with
    :func:`metahpo.surrogates.fitting.training.train_surrogate`, or read one with
    :func:`metahpo.surrogates.artefact.load_surrogate`.

    Attributes
    ----------
    space : ConfigurationSpace
    kernel : ZScoreKernel
    components : MixtureComponents
    similarity : TaskSimilarity
        Similarity of source tasks by meta-features.
    calibration : tuple of float
        Calibration of predictive intervals for each of `TRIAL_COUNTS`.
    reference : Tensor of shape (R, d)
        Reference configurations of the source functions.
    weights : Tensor of shape (R, T)
        Source functions as weights of the kernel at the reference configurations.
    provenance : Provenance
    """

    space: ConfigurationSpace
    kernel: ZScoreKernel
    components: MixtureComponents
    similarity: TaskSimilarity
    calibration: tuple[float, ...]
    reference: Tensor
    weights: Tensor
    provenance: Provenance
    _mixture: Mixture = field(init=False, repr=False)
    _encoder: SpaceEncoder = field(init=False, repr=False)
    _functions: SourceFunctions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for module in (self.kernel, self.components):
            module.double().requires_grad_(False)
        broken = [name for name, part in learnt_tensors(self._parts).items() if not bool(torch.isfinite(part).all())]
        if broken:
            raise DataError(
                f"a surrogate must be of finite numbers, but its parts {broken} hold NaN or infinity. Train it anew; "
                "if that does not help, drop tasks with extreme losses or configurations."
            )
        object.__setattr__(self, "_mixture", Mixture(self.kernel, self.components))
        object.__setattr__(self, "_encoder", SpaceEncoder(self.space))
        object.__setattr__(self, "_functions", SourceFunctions(self.kernel, self.reference, self.weights))

    def __repr__(self) -> str:
        n_tasks, n_known = len(self.task_names), len(self.space)
        return (
            f"{type(self).__name__}(space {self.space_name!r} with {n_known} hyperparameters, metric {self.metric!r}, "
            f"{n_tasks} tasks)"
        )

    def __reduce__(self) -> tuple[type[MetaLearnedSurrogate], tuple[Any, ...]]:
        """Pickle the constructor arguments."""
        return type(self), tuple(self._parts)

    @property
    def space_name(self) -> str | None:
        """Name of the search space in the meta-dataset; None for the CASH space over all learners."""
        return self.provenance.space_name

    @property
    def metric(self) -> str:
        """Metric whose loss is predicted."""
        return self.provenance.metric

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks it has learnt from."""
        return self.provenance.tasks

    @own_arithmetic()
    def on(self, meta_features: Mapping[str, float] | None = None) -> MixtureOnTask:
        """The surrogate on one task: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        alpha = torch.from_numpy(self.similarity.weights(meta_features))
        log_prior = self.components.log_prior(squared_distances(self._functions.at_reference, alpha))
        return MixtureOnTask(self._encoder, self._mixture, self._functions, self.calibration, alpha, log_prior)

    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the z-scores of `configurations`: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        return self.on(meta_features).posterior(configurations, observed, noise)

    @own_arithmetic()
    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each source task in the expected z-score, largest first: see the contract."""
        shares = self.on(meta_features).source_shares(observed)
        order = torch.argsort(-shares, stable=True)
        return {self.task_names[i]: float(shares[i]) for i in order.tolist()}

    @own_arithmetic()
    def explain(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> Explanation:
        """Explain the prediction by hyperparameters, source tasks and meta-features.

        The explanation holds shares of the variance of the expected z-score over the space, for single hyperparameters
        and pairs; :meth:`task_weights`; and the meta-features by which tasks are compared: see
        :mod:`metahpo.surrogates.explanation`. It is deterministic.
        """
        return explain(
            lambda rows: self.posterior(rows, observed, meta_features).mixture_mean(),
            self.space,
            self.task_weights(observed, meta_features),
            self.similarity.shares(meta_features),
        )

    def without_tasks(self, names: Collection[str]) -> MetaLearnedSurrogate:
        """The surrogate without some of its source tasks; what was learnt of all tasks together stays.

        Raises
        ------
        DataError
            No source task is left.
        """
        kept = [i for i, task in enumerate(self.provenance.tasks) if task not in names]
        if not kept:
            raise DataError(f"all {len(self.provenance.tasks)} source tasks are left out: leave out fewer.")
        if len(kept) == len(self.provenance.tasks):
            return self
        tasks, families = (tuple(part[i] for i in kept) for part in (self.provenance.tasks, self.provenance.families))
        return replace(
            self,
            similarity=self.similarity.of_tasks(kept),
            weights=self.weights[:, kept],
            provenance=replace(self.provenance, tasks=tasks, families=families),
        )

    @own_arithmetic()
    def with_task(
        self, name: str, family: str, observed: Observed, meta_features: Mapping[str, float] | None = None
    ) -> MetaLearnedSurrogate:
        """The surrogate with one source task more, without training.

        The function of the new source task is the expected z-score of the reference configurations given its trials.

        Parameters
        ----------
        name, family : str
            Of the task.
        observed : pair (configurations, losses)
            Its trials: see :meth:`metahpo.surrogates.surrogate.Surrogate.posterior`.
        meta_features : mapping of str to float, default=None
        """
        expected = self.posterior(self.reference.numpy(), observed, meta_features).mixture_mean()
        weights = torch.from_numpy(self._functions.weights_of(expected))
        return replace(
            self,
            similarity=self.similarity.with_task(meta_features),
            weights=torch.cat([self.weights, weights[:, None]], dim=1),
            provenance=replace(
                self.provenance,
                tasks=(*self.provenance.tasks, name),
                families=(*self.provenance.families, family),
            ),
        )

    @own_arithmetic()
    def interpolation(
        self, known: Configurations, new: Configurations
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights by which any function is interpolated from n known configurations to m new ones.

        It is ordinary kriging with the learnt kernel (Cressie 1993, section 3.2).

        Returns
        -------
        weights : ndarray of shape (m, n)
            Each row sums to one.
        open_share : ndarray of shape (m,)
            Share of the variance that is not explained, in [0, 1].
        """
        rows = [self._encoder.encode(c) if not isinstance(c, np.ndarray) else c for c in (known, new)]
        return kriging(self.kernel, *(torch.from_numpy(np.ascontiguousarray(part)) for part in rows))

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""
        mixture_file.write(Path(path), self._parts)

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> MetaLearnedSurrogate:
        """Build a surrogate from the tensors and the header that :meth:`save` writes.

        Raises
        ------
        KeyError, RuntimeError
            A part is missing or has the wrong shape.
        DataError
            A part is not finite.
        ValueError
            The columns of the tensors are not those of the space, or parts have wrong sizes or types.
        """
        parts = mixture_file.read(tensors, header)
        surrogate = cls(*parts)
        mixture_file.check(parts, len(TRIAL_COUNTS))
        return surrogate

    @property
    def _parts(self) -> Parts:
        """Arguments of the constructor. Everything else is computed from them."""
        return Parts(*(getattr(self, name) for name in Parts._fields))


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
    _conditioned: LastConditioned = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_remembered", RememberedFunctions(self.functions))
        object.__setattr__(self, "_conditioned", LastConditioned())

    @own_arithmetic()
    @torch.inference_mode()
    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the z-scores of `configurations`."""
        at = self._source_features(encoded(self.encoder, configurations))
        n_trials = 0 if observed is None else len(observed[1])
        calibration = calibration_at(n_trials, self.calibration)
        if observed is None or n_trials == 0:
            return mixture_posterior(self.mixture, self.log_prior, at, calibration=calibration)
        rows, values = encoded_trials(self.encoder, observed)
        extra = None if noise is None else checked_noise(noise, n_trials)
        # A search predicts several times between two trials.
        trials, given = self._conditioned.at(
            (rows, values, extra), lambda: self._condition(self._source_features(rows), self._losses(values, extra))
        )
        return posterior_given(self.mixture, self.log_prior, trials, given, at, calibration)

    @own_arithmetic()
    @torch.inference_mode()
    def source_shares(self, observed: Observed | None = None) -> Tensor:
        """Share of every source task in the expected z-score, shape (T,): non-negative, summing to one or zero."""
        given, log_weights = None, self.log_prior
        if observed is not None and len(observed[1]) > 0:
            rows, values = encoded_trials(self.encoder, observed)
            trials = self._source_features(rows).to(torch.float64)
            given = self.mixture.condition(trials, self.mixture.covariances(trials, trials), self._losses(values))
            log_weights = log_weights + given.log_evidence
        coefficients = source_coefficients(self.mixture, log_weights, given, self.alpha).clamp_min(0.0)
        return coefficients / coefficients.sum().clamp_min(TINY)

    def _source_features(self, rows: NDArray[np.float64]) -> SourceFeatures:
        return source_features_at(self._remembered.at(rows), self.alpha)

    def _condition(self, trials: SourceFeatures, losses: Losses) -> tuple[SourceFeatures, Conditioned]:
        return trials, conditioned(self.mixture, trials, losses)

    def _losses(self, losses: NDArray[np.float64], noise: NDArray[np.float64] | None = None) -> Losses:
        """Losses (n,) of the trials, NaN for failed ones, with the standard deviations (n,) of their noise."""
        typical = float(self.mixture.components.log_spread[0].exp())
        found = Losses.standardise(torch.from_numpy(failed_as_worse(losses, typical)))
        return found if noise is None else found.with_noise(torch.from_numpy(noise))


class LastConditioned:
    """The hypotheses as conditioned on the trials that were last asked about. It belongs to one search."""

    def __init__(self) -> None:
        self._last: tuple[Any, Any] = None, None

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is remembered out of the pickle."""
        return {"_last": (None, None)}

    def at(
        self, trials: Sequence[NDArray[Any] | None], condition: Callable[[], tuple[SourceFeatures, Conditioned]]
    ) -> tuple[SourceFeatures, Conditioned]:
        """Source features of some trials, and the hypotheses given these, which `condition` computes."""
        key = tuple(None if part is None else part.tobytes() for part in trials)
        last, found = self._last  # in one step, for threads may share it
        if last != key:
            found = condition()
            self._last = key, found
        known: tuple[SourceFeatures, Conditioned] = found
        return known


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
    if losses is not None:
        n_trials = losses.y.shape[-1]
        trials = at[:n_trials]
        given = conditioned(mixture, trials, losses)
        return posterior_given(mixture, log_prior, trials, given, at[n_trials:], calibration)
    chosen = Hypotheses.heaviest(log_prior)
    incumbent = torch.full_like(log_prior, INCUMBENT_BEFORE_TRIALS)
    return _posterior(log_prior, incumbent, chosen, mixture.predict_first(at, chosen), calibration)


def conditioned(mixture: Mixture, trials: SourceFeatures, losses: Losses) -> Conditioned:
    """The hypotheses conditioned on n trials, in double precision."""
    return mixture.condition(trials.to(torch.float64), mixture.covariances(trials, trials).double(), losses)


def posterior_given(
    mixture: Mixture,
    log_prior: Tensor,
    trials: SourceFeatures,
    given: Conditioned,
    at: SourceFeatures,
    calibration: float = 1.0,
) -> Posterior:
    """Posterior of m configurations of one task, from hypotheses that are conditioned on n trials."""
    log_weights = log_prior + given.log_evidence
    chosen = Hypotheses.heaviest(log_weights)
    K = mixture.covariances(trials, at, torch.unique(chosen.components))
    return _posterior(log_weights, given.incumbent, chosen, mixture.predict(given, K, at, chosen), calibration)


def _posterior(
    log_weights: Tensor, incumbent: Tensor, chosen: Hypotheses, prediction: Prediction, calibration: float
) -> Posterior:
    return Posterior(
        weights=torch.softmax(log_weights[chosen], 0).numpy(),
        mean=prediction.mean.numpy(),
        std=prediction.variance.sqrt().numpy(),
        incumbent=incumbent[chosen].numpy(),
        improvement_std=prediction.improvement_variance.sqrt().numpy(),
        calibration=calibration,
    )


def calibration_at(n_trials: int, calibration: Sequence[float]) -> float:
    """Calibration for a number of trials, interpolated from the values for `TRIAL_COUNTS`."""
    return float(np.exp(np.interp(np.log1p(n_trials), np.log1p(TRIAL_COUNTS), np.log(calibration))))


def source_coefficients(mixture: Mixture, log_weights: Tensor, given: Conditioned | None, alpha: Tensor) -> Tensor:
    """Coefficient of every source function m_t in the expected z-score, shape (T,).

    A source function contributes through its own hypotheses (the mean of b), through the span and through mu.
    """
    weights = torch.softmax(log_weights.flatten(), 0).reshape(log_weights.shape)
    own, of_mean = mixture.components.slope[:, None].expand_as(weights), mixture.components.mean_slope
    coefficients = (weights * own).sum(0)
    total = (weights.sum(1) * of_mean).sum()
    if given is not None:
        v_mean, v_span = mixture.variances()[0][:2]
        residual = given.residual - given.deviations * given.slope_correction[:, None, :]
        residual = (residual * weights[:, None, :]).sum(-1, keepdim=True)
        span = v_span[:, None] * (given.deviations * residual).sum(1) / len(alpha)
        coefficients = coefficients + (weights * given.slope_correction).sum(0) + span.sum(0)
        total = total + (v_mean * (given.expected * residual).sum((1, 2))).sum()
    return coefficients + (total - coefficients.sum()) * alpha
