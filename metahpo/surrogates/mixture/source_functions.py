"""The tasks learnt from, as functions on the search space.

Symbols: T source tasks; R reference configurations (inducing points) Z; n_t recorded configurations X_t of task t, with
scores z_t.

    m_t(x) = k(x, Z) W_t,     W_t = (K_ZX K_XZ / s + K_ZZ)^-1 K_ZX z_t / s

is the mean of a sparse Gaussian process (subset of regressors: Quinonero-Candela and Rasmussen, JMLR 2005) with noise
variance s. Sharing Z makes all T functions one matrix product, and a stored function R numbers whatever n_t was.
Where tasks share a design, all of it belongs to Z, and m_t is the mean of the exact process: from fewer reference
configurations, the best ones of the design blur. (To add to m_t what it lacks of the scores recorded at Z was tried: on
some spaces that helps, on others it harms.)

What the records leave open, between and beyond the reference configurations, is the same process's covariance,

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
from metahpo.surrogates.fitting.training_batches import SourceTask
from metahpo.surrogates.mixture.kernels import Located, ScoreKernel

#: Candidates among which reference configurations are chosen, where more are recorded.
MAX_CANDIDATES = 4000
#: Jitter for K_ZZ.
JITTER = 1e-6
#: Configurations whose source functions a search remembers.
REMEMBERED_ROWS = 10_000


def reference_configurations(
    X: list[NDArray[np.float64]], n: int, n_shared: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Distinct recorded configurations that source functions are read from, shape (R, d).

    Those that several tasks recorded come first, at most `n_shared` of them: where a design is shared, a function is
    known by what was recorded there, and not by what was recorded around. Where these are fewer than `n`, others fill
    up to `n`. What cannot be taken whole is covered: each is the farthest from those before it.
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


def source_weights(kernel: ScoreKernel, Z: Tensor, tasks: list[SourceTask]) -> Tensor:
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
    """Places of n configurations, the source functions m there (n, T), and r (n, R)."""

    place: Located
    values: Tensor
    recorded: Tensor


class SourceFunctions:
    """Source functions at any configurations; nothing of it changes once it is made.

    Parameters
    ----------
    kernel : ScoreKernel
    reference : Tensor of shape (R, d)
    weights : Tensor of shape (R, T)
    """

    def __init__(self, kernel: ScoreKernel, reference: Tensor, weights: Tensor) -> None:
        self._made_of = kernel, reference, weights
        self._kernel, self._weights = kernel, weights
        self._reference = kernel.locate(reference)
        K_ZZ = kernel(self._reference, self._reference)
        noise = kernel.noise()
        self._factor = torch.linalg.cholesky(K_ZZ + noise * torch.eye(len(reference), dtype=reference.dtype))
        #: Source functions at the reference configurations, shape (R, T).
        self.at_reference = K_ZZ @ weights

    def __reduce__(self) -> tuple[type[SourceFunctions], tuple[ScoreKernel, Tensor, Tensor]]:
        """Pickle what it was made of; the rest is computed from that."""
        return type(self), self._made_of

    def at(self, rows: Tensor) -> SourceValues:
        """Places of rows (n, d), source functions there (n, T), and what was recorded around (n, R)."""
        place = self._kernel.locate(rows)
        K_xZ = self._kernel(place, self._reference)
        recorded = torch.linalg.solve_triangular(self._factor, K_xZ.T, upper=False).T
        return SourceValues(place, K_xZ @ self._weights, recorded)


class RememberedFunctions:
    """Source functions in single precision, which are computed once for each configuration.

    A search asks about the same pool after every trial, and placing it costs more than conditioning. What is remembered
    belongs to one search: searches that run side by side each have their own.

    Parameters
    ----------
    functions : SourceFunctions
    """

    def __init__(self, functions: SourceFunctions) -> None:
        self._functions = functions
        self._index: dict[bytes, int] = {}
        self._remembered: tuple[Tensor, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
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
        # Four times as quick as indexing, here.
        mapped, plain, values, recorded = (part.index_select(0, where) for part in self._remembered)
        return SourceValues(Located(mapped, plain), values, recorded)
