"""Space-filling designs of configurations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from scipy.stats import qmc

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.encoding import SpaceEncoder, row_keys
from metahpo.space.prior import SpacePrior

#: Points of the sequence that are decoded together; the order in which they are used does not depend on it.
BLOCK = 256
#: Consecutive blocks of the sequence without a new configuration after which it ends: for a finite space, and another
#: one, where legal configurations may be rare.
STALE_BLOCKS_FINITE, STALE_BLOCKS = 4, 64


def sobol_design(
    space: ConfigurationSpace, n: int, random_state: int = 0, default_first: bool = True
) -> list[Configuration]:
    """Distinct, allowed configurations from a scrambled Sobol sequence, the same for the same space and `random_state`.

    They follow the distributions and weights of the hyperparameters in the space.

    The first `k` of a design of `n` are the design of `k`, so that a design can be extended. If the sequence does not
    find all configurations of a finite space, the rest is enumerated.

    Parameters
    ----------
    n : int
        Number of configurations. Fewer are returned only if the space has no more.
    default_first : bool, default=True
        Put the default configuration first.

    Raises
    ------
    SpaceError
        `n` is not positive.
    """
    if n < 1:
        raise SpaceError(f"a design has at least one configuration, but n = {n}.")
    encoder, rng = SpaceEncoder(space), np.random.default_rng(random_state)
    first = [encoder.domain.default] if default_first else []
    points = map(SpacePrior(encoder).rows, sobol_points(encoder.n_columns, rng))
    return encoder.decode(legal_rows(encoder, n, points, rng, first))


def legal_rows(
    encoder: SpaceEncoder,
    n: int,
    points: Iterator[NDArray[np.float64]],
    rng: np.random.Generator,
    first: Sequence[Configuration] = (),
) -> NDArray[np.float64]:
    """Rows (n, d) of distinct legal configurations: `first`, then those of `points`, then others of the space.

    Fewer are returned only if the space has no more.

    Parameters
    ----------
    n : int
    points : iterator of ndarrays of shape (m, d)
        Points of the unit cube, without an end.
    rng : numpy.random.Generator
        Redraws forbidden values, and selects where an enumeration begins.
    first : sequence of configuration, default=()
    """
    given = encoder.encode(first)
    chosen = dict(zip(row_keys(given), given, strict=True))
    finite = encoder.domain.finite
    patience, stale = STALE_BLOCKS_FINITE if finite else STALE_BLOCKS, 0
    for block in points:
        before = len(chosen)
        rows = encoder.legal_rows(block, rng)
        for key, row in zip(row_keys(rows), rows, strict=True):
            chosen.setdefault(key, row)
        stale = 0 if len(chosen) > before else stale + 1
        if len(chosen) >= n or stale == patience:
            break
    if finite and len(chosen) < n:
        for configuration in encoder.domain.enumerate(rng):
            row = encoder.encode([configuration])
            chosen.setdefault(row_keys(row)[0], row[0])
            if len(chosen) >= n:
                break
    found = list(chosen.values())[:n]
    return np.array(found, dtype=np.float64).reshape(len(found), encoder.n_columns)


def untried_configuration(encoder: SpaceEncoder, tried: set[str], rng: np.random.Generator) -> Configuration | None:
    """Some legal configuration whose text is not among `tried`; None where the space has no more."""
    for _ in range(STALE_BLOCKS_FINITE):
        for row in encoder.legal_rows(rng.random((BLOCK, encoder.n_columns)), rng):
            (configuration,) = encoder.decode(row[None])
            if to_json(configuration) not in tried:
                return configuration
    if encoder.domain.finite:
        for configuration in encoder.domain.enumerate(rng):
            if to_json(configuration) not in tried:
                return configuration
    return None


def sobol_points(n_columns: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Points (BLOCK, d) of a scrambled Sobol sequence; random points if d is larger than the sequence allows."""
    if n_columns > qmc.Sobol.MAXDIM:
        yield from random_points(n_columns, rng)
    # One-hot columns take the largest of their coordinates, which is a uniform choice.
    sequence = qmc.Sobol(max(1, n_columns), scramble=True, rng=rng)
    while True:
        yield sequence.random(BLOCK)[:, :n_columns]


def random_points(n_columns: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Points (BLOCK, d), uniform in the unit cube."""
    while True:
        yield rng.random((BLOCK, n_columns))
