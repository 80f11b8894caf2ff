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

#: Hyperparameters that a configuration changes, in the mean.
N_CHANGED = 3
#: How far a number moves from its default towards a random value of its range.
SHARE_OF_THE_WAY = 0.5


def near_default_design(space: ConfigurationSpace, n: int, random_state: int = 0) -> list[Configuration]:
    """Distinct, allowed configurations near the default, the same for the same space and `random_state`.

    Each changes three hyperparameters of the default in the mean: a number moves half of the way to a random value, on
    the scale of its range; a choice becomes a random choice. The default itself is not among them.

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
        raise SpaceError(f"a design has no configuration or more, but n = {n}.")
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
    share = min(1.0, N_CHANGED / max(1, len(blocks)))
    for drawn in map(SpacePrior(encoder).rows, random_points(encoder.n_columns, rng)):
        rows = np.tile(centre, (len(drawn), 1))
        for block in blocks:
            way = 1.0 if block.values.chosen_freely else SHARE_OF_THE_WAY
            moved = centre[block.columns] + way * (drawn[:, block.columns] - centre[block.columns])
            changed = rng.random(len(drawn)) < share
            rows[changed, block.columns] = moved[changed]
        yield rows
