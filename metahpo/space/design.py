"""Space-filling designs of configurations."""

from __future__ import annotations

import numpy as np
from ConfigSpace import ConfigurationSpace
from scipy.stats import qmc

from metahpo.exceptions import SpaceError
from metahpo.space.activity import default_configuration
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.prior import SpacePrior

#: A space with fewer distinct configurations than asked for gives all that this many draws of the sequence find.
MAX_DRAWS = 64


def sobol_design(
    space: ConfigurationSpace, n: int, random_state: int = 0, default_first: bool = True
) -> list[Configuration]:
    """Distinct, allowed configurations from a scrambled Sobol sequence, the same for the same space and `random_state`.

    They follow the distributions and weights that the hyperparameters of the space come with.

    The first `k` of a design of `n` are the design of `k`, so that a design can be extended.

    Parameters
    ----------
    n : int
        Number of configurations; fewer come back only where the space has no more.
    default_first : bool, default=True
        Put the default configuration first.

    Raises
    ------
    SpaceError
        `n` is not positive.
    """
    if n < 1:
        raise SpaceError(f"a design has at least one configuration, but n = {n}.")
    encoder = SpaceEncoder(space)
    prior = SpacePrior(encoder)
    chosen: dict[str, Configuration] = {}
    if default_first:
        default = default_configuration(space)
        chosen[to_json(default)] = default
    # One-hot columns take the largest of their coordinates, which is a uniform choice.
    sequence = qmc.Sobol(max(1, encoder.n_columns), scramble=True, rng=np.random.default_rng(random_state))
    block = 1 << max(3, (n - 1).bit_length())
    for _ in range(MAX_DRAWS):
        for configuration in encoder.decode(prior.rows(sequence.random(block)[:, : encoder.n_columns])):
            if any(clause.is_forbidden_value(configuration) for clause in space.forbidden_clauses):
                continue
            chosen.setdefault(to_json(configuration), configuration)
        if len(chosen) >= n:
            break
    return list(chosen.values())[:n]
