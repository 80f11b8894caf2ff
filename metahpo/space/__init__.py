"""Search spaces and configurations.

A space is a ConfigSpace object, a configuration a dictionary of its active values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.space.activity import canonical, default_configuration
    from metahpo.space.aliases import likeness
    from metahpo.space.cash import cash_space, from_cash, to_cash
    from metahpo.space.configuration import (
        Configuration,
        builtin,
        in_words,
        json_value,
        same_value,
        to_json,
        value_text,
    )
    from metahpo.space.conversion import (
        STEP_TOLERANCE,
        Choices,
        Conversion,
        NotExpressibleError,
        Parameter,
        Range,
        common_names,
        completed,
        convert,
        evenly_spaced,
        multiples,
        nearest,
        of_one_type,
        placed,
        revert,
        standing_for,
    )
    from metahpo.space.design import legal_rows, random_points, sobol_design, untried_configuration
    from metahpo.space.domain import Domain
    from metahpo.space.encoding import Block, SpaceEncoder, row_keys, unit_cube_space
    from metahpo.space.holding import in_order_of
    from metahpo.space.mapping import SpaceMapping
    from metahpo.space.near_default import near_default_design
    from metahpo.space.prior import SpacePrior
    from metahpo.space.space_comparison import description, difference, first_difference
    from metahpo.space.stored import read_space
    from metahpo.space.values import SCALARS, Values, choices_of

__all__ = [
    "SCALARS",
    "STEP_TOLERANCE",
    "Block",
    "Choices",
    "Configuration",
    "Conversion",
    "Domain",
    "NotExpressibleError",
    "Parameter",
    "Range",
    "SpaceEncoder",
    "SpaceMapping",
    "SpacePrior",
    "Values",
    "builtin",
    "canonical",
    "cash_space",
    "choices_of",
    "common_names",
    "completed",
    "convert",
    "default_configuration",
    "description",
    "difference",
    "evenly_spaced",
    "first_difference",
    "from_cash",
    "in_order_of",
    "in_words",
    "json_value",
    "legal_rows",
    "likeness",
    "multiples",
    "near_default_design",
    "nearest",
    "of_one_type",
    "placed",
    "random_points",
    "read_space",
    "revert",
    "row_keys",
    "same_value",
    "sobol_design",
    "standing_for",
    "to_cash",
    "to_json",
    "unit_cube_space",
    "untried_configuration",
    "value_text",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
