"""Every optimiser in one vectorised update.

Symbols: K models, P parameters of a model, w and g of shape (K, P) weights and gradient, S steps of an epoch.

With m <- m + a (g - m) and v <- b v + g^2, where a, b are coefficients of a model, each optimiser is

    w <- w (1 - lr decay) - u / (c sqrt(v) + d)

with u = m, or for Nesterov's momentum u = m + a (g - m) once more. Momentum m <- mu m + g is the average above times 1
/ (1 - mu), which goes into d; the factor 1 - beta of an averaged v goes into c, as do Adam's bias corrections. One
stack may therefore have any mixture of optimisers. A step costs as much as that of the most expensive one.

=========  ======  ======  =======================================  ==============
optimiser  a       b       c                                        d
=========  ======  ======  =======================================  ==============
sgd        1       0       0                                        1 / lr
momentum   1 - mu  0       0                                        (1 - mu) / lr
nesterov   1 - mu  0       0                                        (1 - mu) / lr
adagrad    1       1       1 / lr                                   1e-10 / lr
rmsprop    1       .99     sqrt(.01) / lr                           1e-8 / lr
adam(w)    .1      .999    sqrt(.001 / (1 - .999^t)) / s            1e-8 / s
=========  ======  ======  =======================================  ==============

where s = lr / (1 - .9^t). The constants are torch.optim's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.networks.batched.learning_rate_schedule import factors
from metahpo.networks.batched.training_configuration import TrainingConfiguration

Array = NDArray[np.float64]

#: Least learning rate. It avoids a division by zero, which would make a model diverge.
LEAST_LEARNING_RATE = 1e-20
#: Keeps square roots away from zero and denormal numbers, which a CPU takes thirty times as long for.
TINY = 1e-30


class Coefficients:
    """The coefficients of K models, as arrays.

    Attributes
    ----------
    average, look_ahead, forget, decay, l1 : ndarray of shape (K,)
        a, a of Nesterov's second step (else 0), b, and the penalties that add to the gradient.

    Parameters
    ----------
    configurations : sequence of K TrainingConfiguration
    """

    def __init__(self, configurations: Sequence[TrainingConfiguration]) -> None:
        self._configurations = configurations
        names = [r.optimiser for r in configurations]
        decay, decoupled = np.array([r.weight_decay for r in configurations]), _is(names, "adamw")
        self._adam = _is(names, "adam") | decoupled
        self._rms, self._adagrad = _is(names, "rmsprop"), _is(names, "adagrad")
        self._heavy = np.array(
            [1.0 - r.momentum if r.optimiser in ("momentum", "nesterov") else 1.0 for r in configurations]
        )
        self._decoupled, self.decay = decay * decoupled, decay * ~decoupled
        self.average = np.where(self._adam, 0.1, self._heavy)
        self.look_ahead = np.where(_is(names, "nesterov"), self._heavy, 0.0)
        self.forget = np.select([self._adam, self._rms, self._adagrad], [0.999, 0.99, 1.0])
        self.l1 = np.array([r.l1 for r in configurations])

    def of_epoch(self, steps: NDArray[np.int64], epochs: NDArray[np.int64], n_steps: int) -> Array:
        """Coefficients of the next `n_steps` steps, after `steps` and `epochs` (K,) of each model.

        Returns
        -------
        ndarray of shape (3, S, K)
            c, d, and the share 1 - lr decay that is kept of the weights.
        """
        rates = np.empty((n_steps, len(self._configurations)))
        for k, configuration in enumerate(self._configurations):
            progress = (epochs[k] + np.arange(n_steps) / n_steps) / max(1, configuration.epochs)
            rates[:, k] = configuration.learning_rate * factors(configuration.schedule, progress)
        rates = np.maximum(rates, LEAST_LEARNING_RATE)
        t = steps + 1 + np.arange(n_steps)[:, None]
        adam_rate = rates / (1.0 - 0.9**t)
        kinds = [self._adam, self._rms, self._adagrad]
        scale = np.select(kinds, [np.sqrt(0.001 / (1.0 - 0.999**t)) / adam_rate, 0.1 / rates, 1.0 / rates], 0.0)
        offset = np.select(kinds, [1e-8 / adam_rate, 1e-8 / rates, 1e-10 / rates], self._heavy / rates)
        return np.stack([scale, offset, 1.0 - rates * self._decoupled])


class BatchedOptimiser:
    """State and coefficients of the optimisers of K models.

    Parameters
    ----------
    configurations : sequence of K TrainingConfiguration
    first, second : Tensor of shape (K, P)
        Moments m and v, updated in place.
    """

    def __init__(self, configurations: Sequence[TrainingConfiguration], first: Tensor, second: Tensor) -> None:
        self.first, self.second = first, second
        self._coefficients = own = Coefficients(configurations)
        self._average, self._look_ahead, self._forget = map(self._column, (own.average, own.look_ahead, own.forget))
        self._coupled, self._l1 = self._column(own.decay), self._column(own.l1)
        self._adaptive, self._averages = bool(own.forget.any()), bool((own.average != 1.0).any())
        self._looks_ahead = bool(own.look_ahead.any())
        self._shrinks_decoupled = any(r.optimiser == "adamw" and r.weight_decay for r in configurations)
        self._shrinks, self._penalises = bool(own.decay.any()), bool(own.l1.any())
        self._scratch = torch.empty_like(first)

    def _column(self, values: Array) -> Tensor:
        return torch.as_tensor(values, dtype=self.first.dtype, device=self.first.device).unsqueeze(-1)

    def begin_epoch(self, steps: NDArray[np.int64], epochs: NDArray[np.int64], n_steps: int) -> None:
        """Compute the coefficients of the next `n_steps` steps, after `steps` and `epochs` (K,) of each model."""
        scale, offset, keep = self._coefficients.of_epoch(steps, epochs, n_steps)
        self._scales, self._offsets, self._keeps = self._column(scale), self._column(offset), self._column(keep)
        self._step_of_epoch = 0

    def step(self, weights: Tensor, gradient: Tensor) -> None:
        """Update `weights` (K, P) in place. Call it without autograd. It overwrites `gradient`."""
        scale, offset = self._scales[self._step_of_epoch], self._offsets[self._step_of_epoch]
        if self._shrinks:
            gradient.addcmul_(weights, self._coupled)
        if self._penalises:
            gradient.addcmul_(torch.sign(weights, out=self._scratch), self._l1)
        update = self.first.lerp_(gradient, self._average) if self._averages else gradient
        if self._adaptive:
            self.second.mul_(self._forget).addcmul_(gradient, gradient)
            torch.add(self.second, TINY, out=self._scratch).sqrt_()
            divisor = torch.addcmul(offset, self._scratch, scale, out=self._scratch)
        else:
            divisor = offset
        if self._looks_ahead:
            update = torch.lerp(update, gradient, self._look_ahead, out=gradient)
        if self._shrinks_decoupled:
            weights.mul_(self._keeps[self._step_of_epoch])
        weights.addcdiv_(update, divisor, value=-1.0)
        self._step_of_epoch += 1


def _is(names: Sequence[str], name: str) -> NDArray[np.bool_]:
    return np.array([n == name for n in names])
