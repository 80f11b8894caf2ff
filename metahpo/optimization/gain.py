"""The acquisition value of a configuration, which a search maximises.

Symbols: x a configuration; n trials so far; a(x) the acquisition function, a logarithm of a gain.

    gain(x) = a(x) + log P(x holds all constraints) + (b / n) log p(x)

P is the probability of feasibility (Gardner et al., ICML 2014); p is the user's belief of where the optimum lies, which
counts the less the more was measured (Hvarfner et al., "piBO", ICLR 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metahpo.acquisition.expected_improvement import ExpectedImprovement
from metahpo.acquisition.function import AcquisitionFunction
from metahpo.exceptions import DataError
from metahpo.optimization.feasibility import log_feasible, log_feasible_with_slope
from metahpo.surrogates.cold_surrogate import FittedProcess
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.process import Process

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """The gain of rows of the unit cube, given the trials so far.

    Attributes
    ----------
    acquisition : AcquisitionFunction
    posterior : callable
        Rows (m, d) -> posterior.
    constraints : sequence of Process
        A process of each constraint, which holds where it is at most 0.
    log_seconds : callable, default=None
        Rows (m, d) -> logarithm of the seconds of trials (m,), where the budget is time.
    log_belief : callable, default=None
        Rows (m, d) -> ``(b / n) log p(x)`` of shape (m,).
    fitted : FittedProcess, default=None
        What the trials of the task alone say, which can be differentiated.
    """

    acquisition: AcquisitionFunction
    posterior: Callable[[Array], Posterior]
    constraints: Sequence[Process] = ()
    log_seconds: Callable[[Array], Array] | None = None
    log_belief: Callable[[Array], Array] | None = None
    fitted: FittedProcess | None = None

    def __call__(self, rows: Array) -> Array:
        """Gain of rows (m, d), shape (m,).

        Raises
        ------
        DataError
            The acquisition function returns anything but m numbers.
        """
        log_seconds = None if self.log_seconds is None else self.log_seconds(rows)
        value = np.asarray(self.acquisition.values(self.posterior(rows), log_seconds), dtype=np.float64)
        if value.shape != (len(rows),) or np.isnan(value).any():
            raise DataError(
                f"{type(self.acquisition).__name__}.values must return {len(rows)} numbers, one a configuration, "
                f"none of them NaN, but returned an array of shape {value.shape} with {np.isnan(value).sum()} NaN."
            )
        for constraint in self.constraints:
            value = value + log_feasible(constraint, rows)
        return value if self.log_belief is None else value + self.log_belief(rows)

    @property
    def with_slope(self) -> Callable[[Array], tuple[Array, Array]] | None:
        """Rows (m, d) -> values (m,) to climb, and their gradients (m, d); None where they cannot be differentiated.

        The expected improvement by the trials of the task and the feasibility are climbed. Experience, seconds and
        beliefs are not: the whole gain judges what is found.
        """
        if self.fitted is None or type(self.acquisition) is not ExpectedImprovement:
            return None
        process, incumbent = self.fitted.process, self.fitted.incumbent

        def climbed(rows: Array) -> tuple[Array, Array]:
            mean, std, mean_slope, std_slope = process.predict_with_slope(rows)
            posterior = Posterior(np.ones(1), mean[None], std[None], np.array([incumbent]))
            value, by_mean, by_std = ExpectedImprovement().with_slope(posterior)
            slope = by_mean[0][:, None] * mean_slope + by_std[0][:, None] * std_slope
            for constraint in self.constraints:
                log_p, log_p_slope = log_feasible_with_slope(constraint, rows)
                value, slope = value + log_p, slope + log_p_slope
            return value, slope

        return climbed
