"""Where an acquisition function is highest in a whole search space: random candidates, then steps around the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.activity import canonical
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.design import sobol_design
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.prior import SpacePrior

#: Rows (n, d) -> values (n,); higher is better.
Acquisition = Callable[[NDArray[np.float64]], NDArray[np.float64]]

#: Candidates drawn over the whole space, and around each of the best few found so far.
N_GLOBAL = 512
N_STARTS = 5
N_STEPS = 40
#: Standard deviations of the steps, in the unit cube: one refinement each.
STEP_SIZES = (0.1, 0.03)


def maximise(
    acquisition: Acquisition,
    space: ConfigurationSpace,
    encoder: SpaceEncoder,
    *,
    also: Sequence[Configuration],
    exclude: set[str],
    rng: np.random.Generator,
) -> Configuration:
    """Configuration with the highest acquisition value found.

    Parameters
    ----------
    acquisition : callable
        Encoded rows of shape (n, d) -> values of shape (n,).
    also : sequence of configuration
        Candidates beside the random ones: incumbents, recorded configurations.
    exclude : set of str
        JSON texts of configurations that must not come again.
    rng : numpy.random.Generator

    Raises
    ------
    SpaceError
        Every configuration of the space is excluded.
    """
    fresh = sobol_design(space, N_GLOBAL, random_state=int(rng.integers(2**31)), default_first=True)
    found = _distinct([*also, *fresh], exclude)
    if not found:
        raise SpaceError("every configuration of the space has been tried; there is nothing left to ask for.")
    rows, prior = encoder.encode(found), SpacePrior(encoder)
    values = acquisition(rows)
    for step in STEP_SIZES:
        best = np.argsort(-values, kind="stable")[:N_STARTS]
        steps = _steps_around(rows[best], step, prior, rng)
        near = _distinct([canonical(space, c) for c in encoder.decode(steps)], exclude | {to_json(c) for c in found})
        if near:
            near_rows = encoder.encode(near)
            found, rows = [*found, *near], np.concatenate([rows, near_rows])
            values = np.concatenate([values, acquisition(near_rows)])
    return found[int(np.argmax(values))]


def _steps_around(
    rows: NDArray[np.float64], step: float, prior: SpacePrior, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Change about two columns of each row by a normal step; a few columns jump, so that choices can switch."""
    repeated = np.repeat(rows, N_STEPS, axis=0)
    moved = rng.random(repeated.shape) < min(1.0, 2.0 / rows.shape[1])
    jump = rng.random(repeated.shape) < 0.2
    proposal = np.where(
        jump, prior.rows(rng.random(repeated.shape)), repeated + step * rng.standard_normal(repeated.shape)
    )
    return prior.possible(np.where(moved, proposal, repeated).clip(0.0, 1.0))


def _distinct(configurations: Sequence[Configuration], exclude: set[str]) -> list[Configuration]:
    kept = {to_json(c): c for c in configurations}
    return [c for text, c in kept.items() if text not in exclude]
