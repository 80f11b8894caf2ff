"""The warm start of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.portfolio import complementary_picks
from metahpo.recommendation.probes import Probe
from metahpo.space.configuration import Configuration, to_json
from metahpo.space.holding import holding
from metahpo.surrogates.mapped import MappedSurrogate
from metahpo.surrogates.surrogate import Surrogate
from metahpo.surrogates.task_cost import TaskCost


@dataclass(frozen=True)
class WarmStart:
    """The start of a search from experience. An unfamiliar task has no meta-features.

    Attributes
    ----------
    space : ConfigurationSpace
    surrogate : Surrogate
    meta_features : mapping of str to float or None
    initial : list of dict
        Configurations to try first.
    candidates : list of dict
        Configurations that were measured on other tasks.
    cost : TaskCost or None
    probes : tuple of Probe
        Fits on few rows of the task, which `initial` rests on.
    notes : tuple of str
        What the user should know of the probes.
    """

    space: ConfigurationSpace
    surrogate: Surrogate
    meta_features: Mapping[str, float] | None
    initial: list[Configuration]
    candidates: list[Configuration]
    cost: TaskCost | None
    probes: tuple[Probe, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = f"initial: {len(self.initial)}, candidates: {len(self.candidates)}, probes: {len(self.probes)}"
        return f"{type(self).__name__}(hyperparameters: {len(self.space)}, {counts}, {self.surrogate!r})"

    def holding(self, held: Mapping[str, Any]) -> WarmStart:
        """The part of it in which some hyperparameters have one value: see :func:`metahpo.space.holding.holding`.

        Raises
        ------
        SpaceError
            The experience knows no such hyperparameter or value.
        """
        if not held:
            return self
        initial, candidates = (
            [configuration for configuration in configurations if held.items() <= configuration.items()]
            for configurations in (self.initial, self.candidates)
        )
        return replace(self, space=holding(self.space, held), initial=initial, candidates=candidates)

    def in_space(
        self,
        space: ConfigurationSpace,
        names: Mapping[str, str] | None = None,
        held: Mapping[str, Any] | None = None,
        variants: Sequence[Mapping[str, Any]] = ({},),
    ) -> WarmStart:
        """The same experience for a search of a space of the user's: see :class:`metahpo.surrogates.MappedSurrogate`.

        The space's default comes first, then what the experience recommends within the space. After probes that is
        the place of what they have shown to be best.

        Parameters
        ----------
        space : ConfigurationSpace
        names : mapping of str to str, default=None
            See :class:`metahpo.space.mapping.SpaceMapping`.
        held : mapping of str to value, default=None
            What your program fixes: values of hyperparameters of the experience that `space` does not have, by the
            names of the experience. Without them, the experience is asked about another program: one with the defaults
            of the learner. ``print(start.in_space(...).surrogate.mapping)`` shows what is taken to be fixed, and at
            which value. What `space` varies cannot be held as well.
        variants : sequence of mapping, default=({},)
            Values of hyperparameters of which nothing is known, with each of which experience is asked.

        Raises
        ------
        SpaceError
            The spaces have nothing in common, `names` or `variants` have a name that `space` lacks, or `held` has a
            hyperparameter that `space` varies.
        """
        mapped = MappedSurrogate(self.surrogate, space, names, held)
        first = [mapped.mapping.encoder.domain.default]
        near = self._nearest(mapped, self.initial if self.probes else self.candidates, variants)
        if near:
            first += [near[i] for i in complementary_picks(mapped.posterior(near, None, self.meta_features), 1)]
        cost = None if self.cost is None else self.cost.in_space(mapped.mapping)
        return replace(self, space=space, surrogate=mapped, initial=first, candidates=[], cost=cost)

    @staticmethod
    def _nearest(
        mapped: MappedSurrogate, configurations: list[Configuration], variants: Sequence[Mapping[str, Any]]
    ) -> list[Configuration]:
        """Configurations of the space of a mapped surrogate that are nearest to some that are known, each once."""
        near = [mapped.mapping.nearest(one, variant) for variant in variants for one in configurations]
        return list({to_json(configuration): configuration for configuration in near if configuration}.values())

    def optimizer(self, random_state: int | None = None, *, per_second: bool = False) -> BayesianOptimizer:
        """Ask-and-tell optimiser that starts from it; `per_second` counts improvement per second."""
        return BayesianOptimizer(
            self.space,
            self.surrogate,
            self.meta_features,
            self.initial,
            self.candidates,
            random_state=random_state,
            per_second=per_second,
            cost=self.cost if per_second else None,
        )
