"""The source functions, smooth estimates of the z-scores of each source task on the whole search space.

Symbols: T source tasks; R reference configurations (inducing points) Z; n_t recorded configurations X_t of task t, with
copula z-scores z_t.

    m_t(x) = k(x, Z) W_t,     W_t = (K_ZX K_XZ / s + K_ZZ)^-1 K_ZX z_t / s

is the mean of a sparse Gaussian process (subset of regressors: Quinonero-Candela and Rasmussen, JMLR 2005) with noise
variance s. Sharing Z makes all T functions one matrix product, and a stored function R numbers whatever n_t was.
If tasks share a design, Z contains all of it and m_t is the mean of the exact process. With fewer reference
configurations, m_t would smooth over the best configurations of the design. Adding the residuals of the z-scores at Z
to m_t helps on some spaces and harms on others, so it is not done.

The uncertainty that the records leave between and beyond the reference configurations is the posterior covariance of
the same process,

    o(x, x') = k(x, x') - <r(x), r(x')>,     r(x) = L^-1 k(Z, x),    K_ZZ + s I = L L'

nearly zero at Z, and the kernel's own variance far from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metahpo.space.encoding import row_keys
from metahpo.surrogates.mixture.kernels import Located, ZScoreKernel
from metahpo.surrogates.mixture.source_task import SourceTask

#: Most recorded configurations that are considered as reference configurations.
MAX_CANDIDATES = 4000
#: Jitter for K_ZZ.
JITTER = 1e-6
#: Most configurations whose source functions one search caches.
REMEMBERED_ROWS = 10_000


def reference_configurations(
    X: list[NDArray[np.float64]], n: int, n_shared: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Choose reference configurations among the distinct recorded ones, shape (R, d).

    First come configurations that several tasks recorded, at most `n_shared` of them, because source functions are most
    exact at shared configurations. If these are fewer than `n`, other configurations fill up to `n`. If there are too
    many candidates, each chosen one is the farthest from those chosen before.
    """
    distinct, counts = np.unique(np.concatenate([np.unique(own, axis=0) for own in X]), axis=0, return_counts=True)
    if len(distinct) <= n:
        return distinct
    shared = _covering(distinct[counts > 1], n_shared, distinct[:0], rng)
    return np.concatenate([shared, _covering(distinct[counts == 1], n - len(shared), shared, rng)])


def _covering(
    candidates: NDArray[np.float64], n: int, beside: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """At most `n` of the candidates, each the farthest from those before it and from those beside."""
    if len(candidates) <= n:
        return candidates
    candidates = candidates[rng.permutation(len(candidates))[:MAX_CANDIDATES]]
    distance = np.full(len(candidates), np.inf)
    for other in beside:
        distance = np.minimum(distance, np.square(candidates - other).sum(axis=1))
    chosen: list[int] = []
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(candidates - candidates[chosen[-1]]).sum(axis=1))
    return candidates[chosen]


def source_weights(kernel: ZScoreKernel, Z: Tensor, tasks: list[SourceTask]) -> Tensor:
    """Weights W, shape (R, T), of the source functions on the reference configurations `Z`, shape (R, d)."""
    noise = kernel.noise()
    at_Z = kernel.locate(Z)
    K_ZZ = kernel(at_Z, at_Z) + JITTER * torch.eye(len(Z), dtype=Z.dtype)
    columns = []
    for task in tasks:
        K_ZX = kernel(at_Z, kernel.locate(task.X))
        factor = torch.linalg.cholesky(K_ZX @ K_ZX.T / noise + K_ZZ)
        columns.append(torch.cholesky_solve(K_ZX @ task.z[:, None] / noise, factor))
    return torch.cat(columns, dim=1)


class SourceValues(NamedTuple):
    """Kernel inputs of n configurations, the source functions m there (n, T), and r (n, R)."""

    place: Located
    values: Tensor
    recorded: Tensor


class SourceFunctions:
    """Source functions at any configurations; immutable.

    Parameters
    ----------
    kernel : ZScoreKernel
    reference : Tensor of shape (R, d)
    weights : Tensor of shape (R, T)
    """

    def __init__(self, kernel: ZScoreKernel, reference: Tensor, weights: Tensor) -> None:
        self._made_of = kernel, reference, weights
        self._kernel, self._weights = kernel, weights
        self._reference = kernel.locate(reference)
        K_ZZ = kernel(self._reference, self._reference)
        noise = kernel.noise()
        self._factor = torch.linalg.cholesky(K_ZZ + noise * torch.eye(len(reference), dtype=reference.dtype))
        #: Source functions at the reference configurations, shape (R, T).
        self.at_reference = K_ZZ @ weights

    def __reduce__(self) -> tuple[type[SourceFunctions], tuple[ZScoreKernel, Tensor, Tensor]]:
        """Pickle the constructor arguments. Everything else is computed from them."""
        return type(self), self._made_of

    def weights_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights, shape (R,), of the smooth function nearest to values (R,) at the reference configurations."""
        return np.asarray(torch.cholesky_solve(torch.from_numpy(values)[:, None], self._factor)[:, 0].numpy())

    def at(self, rows: Tensor) -> SourceValues:
        """Kernel inputs of rows (n, d), source functions there (n, T), and r (n, R)."""
        place = self._kernel.locate(rows)
        K_xZ = self._kernel(place, self._reference)
        recorded = torch.linalg.solve_triangular(self._factor, K_xZ.T, upper=False).T
        return SourceValues(place, K_xZ @ self._weights, recorded)


class RememberedFunctions:
    """Source functions in single precision, with a cache of configurations.

    A search predicts the same pool after every trial. Computing its kernel inputs costs more than conditioning. The
    cache belongs to one search; concurrent searches have one cache each.

    Parameters
    ----------
    functions : SourceFunctions
    """

    def __init__(self, functions: SourceFunctions) -> None:
        self._functions = functions
        self._index: dict[bytes, int] = {}
        self._remembered: tuple[Tensor, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cache out of the pickle."""
        return {"_functions": self._functions, "_index": {}, "_remembered": ()}

    def at(self, rows: NDArray[np.float64]) -> SourceValues:
        """See :meth:`SourceFunctions.at`."""
        keys = row_keys(rows)
        new = list({key: i for i, key in enumerate(keys) if key not in self._index}.values())
        if len(self._index) + len(new) > REMEMBERED_ROWS:
            self._index.clear()
            new = list({key: i for i, key in enumerate(keys)}.values())
        if new:
            place, values, recorded = self._functions.at(torch.from_numpy(rows[new]))
            found = tuple(part.float() for part in (place.mapped, place.plain, values, recorded))
            before = self._remembered if self._index else tuple(part[:0] for part in found)
            first = len(self._index)
            self._remembered = tuple(torch.cat(pair) for pair in zip(before, found, strict=True))
            self._index.update((keys[i], first + position) for position, i in enumerate(new))
        where = torch.from_numpy(np.array([self._index[key] for key in keys]))
        # This is four times as fast as indexing.
        mapped, plain, values, recorded = (part.index_select(0, where) for part in self._remembered)
        return SourceValues(Located(mapped, plain), values, recorded)
