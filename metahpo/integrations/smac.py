"""SMAC3: recommendations as an initial design, and experience as a prior on the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ConfigSpace import Configuration as SpaceConfiguration
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Hyperparameter,
    IntegerHyperparameter,
    NumericalHyperparameter,
)

from metahpo.exceptions import DataError
from metahpo.integrations.libraries import SMAC
from metahpo.integrations.start import Initial, first_configurations
from metahpo.recommendation.warm_start import WarmStart
from metahpo.space.activity import canonical
from metahpo.space.configuration import value_text
from metahpo.space.stored import read_space

SMAC.load()

from smac.initial_design import AbstractInitialDesign  # noqa: E402
from smac.scenario import Scenario  # noqa: E402

#: Share of the configurations of experience that the prior is made of.
BEST_SHARE = 0.1
#: Standard deviations of a prior, at least, in the unit cube; and the weight that each choice has beside its share.
LEAST_STD, LEAST_WEIGHT = 0.1, 0.1


class MetaInitialDesign(AbstractInitialDesign):  # type: ignore[misc]  # not followed
    """Initial design of given configurations: exactly these, first, in this order, each once.

    Parameters
    ----------
    scenario : smac.Scenario
        Its ``configspace`` is the space of the configurations.
    initial : sequence of configurations, or recommendations

    Raises
    ------
    SpaceError
        A configuration is not of the space.
    """

    def __init__(self, scenario: Scenario, initial: Initial) -> None:
        space = scenario.configspace
        self._given = [canonical(space, configuration) for configuration in first_configurations(initial, space)]
        super().__init__(scenario, n_configs=len(self._given), max_ratio=1.0)

    @property
    def meta(self) -> dict[str, Any]:
        """What SMAC compares when a search is gone on with."""
        return {**super().meta, "given": self._given}

    def _select_configurations(self) -> list[SpaceConfiguration]:
        origin = "Initial design: given"
        return [SpaceConfiguration(self._configspace, values=given, origin=origin) for given in self._given]


def prior_space(start: WarmStart) -> ConfigurationSpace:
    """Search space of experience with a prior on where the best configuration lies, for SMAC's prior acquisition.

    The prior is that of the best tenth of the configurations that experience holds, as the surrogate sees them on the
    task: a normal distribution of each number, weights of each choice. SMAC3 takes no distribution of what is not
    always active, so that this stays uniform.

    Parameters
    ----------
    start : WarmStart
        Of :func:`metahpo.integrations.start.warm_start`.

    Raises
    ------
    DataError
        The experience holds no configurations.
    """
    if not start.candidates:
        raise DataError("the experience holds no configurations, so there is no prior.")
    known: dict[str, Any] = {} if start.meta_features is None else {"meta_features": start.meta_features}
    expected = start.surrogate.posterior(start.candidates, **known).mixture_mean()
    n_best = max(1, round(BEST_SHARE * len(expected)))
    best = [start.candidates[i] for i in np.argsort(expected, kind="stable")[:n_best]]
    record = start.space.to_serialized_dict()
    for known_as in record["hyperparameters"]:
        values = [configuration[known_as["name"]] for configuration in best if known_as["name"] in configuration]
        if values and not start.space.parent_conditions_of[known_as["name"]]:
            known_as.update(_prior(start.space[known_as["name"]], values))
    return read_space(record)


def _prior(hyperparameter: Hyperparameter[Any, Any], values: Sequence[Any]) -> dict[str, Any]:
    """What a record says of a hyperparameter whose best values are these; nothing where it knows no prior."""
    if isinstance(hyperparameter, CategoricalHyperparameter):
        texts = [value_text(value) for value in values]
        shares = [texts.count(value_text(choice)) / len(values) for choice in hyperparameter.choices]
        return {"weights": [LEAST_WEIGHT + share for share in shares]}
    if not isinstance(hyperparameter, NumericalHyperparameter):
        return {}
    unit = hyperparameter.to_vector(np.asarray(values))
    width = max(float(np.std(unit)), LEAST_STD)
    log = bool(getattr(hyperparameter, "log", False))
    low, high = (np.log(b) if log else b for b in (hyperparameter.lower, hyperparameter.upper))
    spread = width * float(high - low)
    integer = isinstance(hyperparameter, IntegerHyperparameter)
    return {
        "type": "normal_int" if integer else "normal_float",
        "mu": float(hyperparameter.to_value(np.array([np.mean(unit)]))[0]),
        # Of a logarithm, ConfigSpace takes the spread as that from the lower bound on.
        "sigma": max(float(np.exp(spread) - hyperparameter.lower), 1e-9) if log else spread,
    }
