"""Maximisation of a gain over a search space: random candidates, steps around the best, then gradients.

Candidates are rows of the unit cube until the best of them is known. Illegal ones are dropped by
:meth:`metahpo.space.encoding.SpaceEncoder.legal_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.design import legal_rows, random_points, untried_configuration
from metahpo.space.domain import Domain
from metahpo.space.encoding import Block, SpaceEncoder, row_keys
from metahpo.space.prior import SpacePrior

#: Rows (n, d) -> values (n,); higher is better.
Acquisition = Callable[[NDArray[np.float64]], NDArray[np.float64]]
#: Rows (n, d) -> values (n,) and gradients (n, d).
Climbed = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]

#: Candidates drawn over the whole space, and around each of the best few found so far.
N_GLOBAL = 512
N_STARTS = 5
N_STEPS = 40
#: Standard deviations of the steps, in the unit cube: one refinement each.
STEP_SIZES = (0.1, 0.03)
#: Share of the steps of a number that lead anywhere in its range.
JUMPS = 0.2
#: Rows from which gradients are followed: of the best ones of all, and of the best ones of those over the whole space.
N_BEST, N_BEST_GLOBAL = 3, 2
#: Iterations of a climb: of all numbers, and of floats again when integers were rounded.
CLIMB, CLIMB_AGAIN = 20, 6


def maximise(
    acquisition: Acquisition,
    domain: Domain,
    prior: SpacePrior,
    *,
    around: NDArray[np.float64],
    again: NDArray[np.float64],
    exclude: set[str],
    rng: np.random.Generator,
    with_slope: Climbed | None = None,
) -> Configuration:
    """Configuration with the highest acquisition value found.

    Parameters
    ----------
    acquisition : callable
        Encoded rows of shape (n, d) -> values of shape (n,).
    domain : Domain
        Of the space of the configuration that is returned.
    prior : SpacePrior
        Of that space, or of one that says the same in another order: its encoder gives the columns of the rows.
    around : ndarray of shape (n, d)
        Steps are taken around these rows too: incumbents.
    again : ndarray of shape (n, d)
        Rows that are candidates although they were tried, on a part of the data.
    exclude : set of str
        Texts (:func:`metahpo.space.configuration.to_json`) of configurations that must not come again.
    rng : numpy.random.Generator
    with_slope : callable, default=None
        Encoded rows of shape (n, d) -> values of shape (n,) and their gradients of shape (n, d). From the best
        candidates on, they are climbed in the numbers; the acquisition value decides whether that was of use.

    Raises
    ------
    SpaceError
        Every configuration of the space is excluded.
    """
    encoder = prior.encoder
    known = set(row_keys(around)) - set(row_keys(again))
    # A prior may mislead, so that every other block follows none.
    blocks = enumerate(random_points(encoder.n_columns, rng))
    points = (prior.possible(block) if i % 2 else prior.rows(block) for i, block in blocks)
    default = [] if to_json(domain.default) in exclude else [domain.default]
    fresh = legal_rows(encoder, N_GLOBAL, points, rng, default)
    rows = _new(np.concatenate([fresh, again]), known)
    if len(fresh) < N_GLOBAL:  # there are no others
        rows = _without(rows, encoder, exclude)
    if len(rows) == 0:
        return _any_untried(domain, encoder, exclude, rng)
    values, n_global = acquisition(rows), len(rows)
    for step in STEP_SIZES if with_slope is None else STEP_SIZES[:1]:  # gradients find what small steps find
        best = np.argsort(-values, kind="stable")[:N_STARTS]
        steps = _steps_around(np.concatenate([rows[best], around]), prior, step, rng)
        near = _new(encoder.legal_rows(steps), known)
        if len(near):
            rows, values = np.concatenate([rows, near]), np.concatenate([values, acquisition(near)])
    if with_slope is not None:
        order = np.argsort(-values, kind="stable")
        chosen = dict.fromkeys([*order[:N_BEST].tolist(), *order[order < n_global][:N_BEST_GLOBAL].tolist()])
        top = _new(_climbed(rows[list(chosen)], with_slope, encoder), known)
        if len(top):
            rows, values = np.concatenate([rows, top]), np.concatenate([values, acquisition(top)])
    for i in np.argsort(-values, kind="stable"):
        configuration = domain.canonical(encoder.decode(rows[i : i + 1])[0])
        if to_json(configuration) not in exclude:
            return configuration
    return _any_untried(domain, encoder, exclude, rng)


def _climbed(rows: NDArray[np.float64], with_slope: Climbed, encoder: SpaceEncoder) -> NDArray[np.float64]:
    """Follow gradients from legal rows (n, d) in the numbers that are active; legal rows."""
    numbers = [block for block in encoder.blocks if not block.values.chosen_freely and block.stop > block.start]
    whole = [block for block in numbers if block.values.size is not None]
    top = encoder.legal_rows(_follow(rows, with_slope, numbers, CLIMB))
    if whole and len(whole) < len(numbers) and len(top):
        floats = [block for block in numbers if block.values.size is None]
        top = encoder.legal_rows(_follow(top, with_slope, floats, CLIMB_AGAIN))
    return top


def _follow(
    rows: NDArray[np.float64], with_slope: Climbed, blocks: Sequence[Block], iterations: int
) -> NDArray[np.float64]:
    """Rows (n, d) after some iterations of L-BFGS-B on the sum of their values, by the columns of some blocks."""
    free = np.zeros(rows.shape, dtype=bool)
    for block in blocks:
        active = np.ones(len(rows), dtype=bool) if block.indicator is None else rows[:, block.indicator] > 0.0
        free[:, block.columns] = active[:, None]
    if not free.any():
        return rows

    def descended(point: NDArray[np.float64], /) -> tuple[float, NDArray[np.float64]]:
        moved = rows.copy()
        moved[free] = point
        values, slopes = with_slope(moved)
        return -float(values.sum()), -slopes[free]

    found = minimize(
        descended,
        rows[free],
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(0.0, 1.0),
        options={"maxiter": iterations, "maxcor": 20},
    )
    moved = rows.copy()
    moved[free] = np.clip(found.x, 0.0, 1.0)
    return moved


def _any_untried(domain: Domain, encoder: SpaceEncoder, exclude: set[str], rng: np.random.Generator) -> Configuration:
    configuration = untried_configuration(encoder, exclude, rng)
    if configuration is None:
        raise SpaceError("every configuration of the space has been tried; there is nothing left to ask for.")
    return domain.canonical(configuration)


def _new(rows: NDArray[np.float64], known: set[bytes]) -> NDArray[np.float64]:
    """Distinct rows that are not known; they are known from now on."""
    kept = []
    for i, key in enumerate(row_keys(rows)):
        if key not in known:
            known.add(key)
            kept.append(i)
    new: NDArray[np.float64] = rows[kept]
    return new


def _without(rows: NDArray[np.float64], encoder: SpaceEncoder, exclude: set[str]) -> NDArray[np.float64]:
    kept = [to_json(configuration) not in exclude for configuration in encoder.decode(rows)]
    left: NDArray[np.float64] = rows[np.array(kept, dtype=bool)]
    return left


def _steps_around(
    rows: NDArray[np.float64], prior: SpacePrior, step: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Change about two hyperparameters of each row: a number by a normal step or a jump, a choice for any choice.

    Jumps follow the priors of the space.
    """
    blocks = [block for block in prior.encoder.blocks if block.stop > block.start]
    repeated = np.repeat(rows, N_STEPS, axis=0)
    n = len(repeated)
    anywhere = prior.rows(rng.random(repeated.shape))
    moved = rng.random((n, len(blocks))) < min(1.0, 2.0 / max(1, len(blocks)))
    jumps = (rng.random((n, len(blocks))) < JUMPS) | np.array([b.values.chosen_freely for b in blocks], dtype=bool)
    widths = [block.stop - block.start + (block.indicator is not None) for block in blocks]
    moved, jumps = np.repeat(moved, widths, axis=1), np.repeat(jumps, widths, axis=1)
    # In place, for these are large; first steps, then jumps in their place, then what stays.
    proposal = rng.standard_normal(repeated.shape)
    proposal *= step
    proposal += repeated
    np.clip(proposal, 0.0, 1.0, out=proposal)
    np.copyto(proposal, anywhere, where=jumps)
    np.copyto(proposal, repeated, where=~moved)
    values, indicators = prior.encoder.dependent
    # What becomes active starts anywhere.
    proposal[:, values] = np.where(repeated[:, indicators] == 0.0, anywhere[:, values], proposal[:, values])
    return prior.possible(proposal)
