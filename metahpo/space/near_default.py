"""Configurations near the default of a space: the default with some of its values changed.

An even design of a large space rarely has a configuration as good as a careful default. Where trials are expensive,
some of them are better made near the default.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray

from metahpo.exceptions import SpaceError
from metahpo.space.configuration import Configuration
from metahpo.space.design import legal_rows, random_points
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.prior import SpacePrior

#: Hyperparameters that a configuration changes, in the mean. It is half of them where a space has fewer than six.
N_CHANGED = 3
#: Least and largest share of the way from the default of a number to an end of its range.
WAY = (0.25, 0.75)


def near_default_design(space: ConfigurationSpace, n: int, random_state: int = 0) -> list[Configuration]:
    """Distinct, allowed configurations near the default, the same for the same space and `random_state`.

    Each changes three hyperparameters of the default in the mean, half of them in a small space. A number moves a
    quarter to three quarters of the way to an end of its range, on the scale of the range. A choice becomes a random
    choice. The default itself is not among them.

    The first `k` of a design of `n` are the design of `k`, so that a design can be extended.

    Parameters
    ----------
    space : ConfigurationSpace
    n : int
        Number of configurations. Fewer are returned only if the space has no more.
    random_state : int, default=0

    Raises
    ------
    SpaceError
        `n` is negative.
    """
    if n < 0:
        raise SpaceError(f"n must be 0 or more configurations near the default, but n = {n}.")
    encoder, rng = SpaceEncoder(space), np.random.default_rng(random_state)
    rows = legal_rows(encoder, n + 1, _neighbours(encoder, rng), rng, [encoder.domain.default])
    return encoder.decode(rows[1:])


def _neighbours(encoder: SpaceEncoder, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Rows (m, d) around the default, without an end."""
    blocks = [block for block in encoder.blocks if block.stop > block.start]
    centre = np.zeros(encoder.n_columns)
    for block in blocks:  # of conditional hyperparameters as well: a changed choice may need them
        codes = block.values.codes([encoder.space[block.name].default_value])
        centre[block.columns] = block.values.to_unit(codes)[0]
    share = min(0.5, N_CHANGED / max(1, len(blocks)))
    for drawn in map(SpacePrior(encoder).rows, random_points(encoder.n_columns, rng)):
        rows = np.tile(centre, (len(drawn), 1))
        for block in blocks:
            columns, changed = block.columns, rng.random(len(drawn)) < share
            way = rng.uniform(*WAY, (len(drawn), 1))
            end = (drawn[:, columns] > centre[columns]).astype(np.float64)  # the farther one is the more likely one
            moved = centre[columns] + way * (end - centre[columns])
            rows[changed, columns] = (drawn[:, columns] if block.values.chosen_freely else moved)[changed]
        yield rows
