"""Optuna's samplers, around our optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

from optuna.samplers import BaseSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from metahpo.exceptions import DataError
from metahpo.integrations.optuna.study import StudySearch, refuse_many_objectives
from metahpo.integrations.start import Beginning, Initial, Start
from metahpo.space.optuna_distributions import NOTHING, BaseDistribution, from_optuna, within


class MetaSampler(BaseSampler):  # type: ignore[misc]  # not followed
    """Optuna sampler around :class:`metahpo.BayesianOptimizer`.

    Parameters
    ----------
    start : BayesianOptimizer, WarmStart, Surrogate or ConfigurationSpace, default=None
        Experience, or a space: it proposes values for what the objective suggests under the same name. A number outside
        the range of the objective is moved to the bound. What it does not know, a parameter or a choice, is left to
        `independent_sampler`. None starts cold, in the space that the completed trials of the study share.
    meta_features : mapping of str to float, default=None
        Of the task, where `start` is a surrogate.
    initial : sequence of configurations, or recommendations, default=None
        First trials, in this order, each once: those that the study has already are passed over. Needs `start`.
    seed : int, default=None
    independent_sampler : optuna.samplers.BaseSampler, default=None
        None takes ``TPESampler(seed=seed)``.

    Raises
    ------
    DataError
        `initial` or `meta_features` without a `start`; later, a study with several objectives.
    SpaceError
        `initial` is not of the space; later, a study whose trials have nothing in common with the space.

    Notes
    -----
    A failed trial is told as one, a pruned trial with its last value, or the median of the completed trials before it
    if that is worse. Constraints count that the objective sets by ``trial.set_constraint``. Trials of other processes
    on the same storage count, too.

    Examples
    --------
    >>> import optuna
    >>> from metahpo.integrations.optuna import MetaSampler
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=MetaSampler(seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=10)
    >>> len(study.trials)
    10
    """

    def __init__(
        self,
        start: Start | None = None,
        *,
        meta_features: Mapping[str, float] | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
        independent_sampler: BaseSampler | None = None,
    ) -> None:
        if start is None and (initial is not None or meta_features is not None):
            raise DataError("initial and meta_features need a start; enqueue(study, initial) does without.")
        self._beginning = Beginning(start, meta_features, initial, seed)
        self._independent = TPESampler(seed=seed) if independent_sampler is None else independent_sampler
        self._searches: dict[str, StudySearch] = {}
        self._shared: dict[str, IntersectionSearchSpace] = {}
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = RLock()

    def reseed_rng(self) -> None:
        """Draw other numbers from now on."""
        self._independent.reseed_rng()
        with self._lock:
            self._beginning.reseed()
            for search in self._searches.values():
                search.optimizer.reseed()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Distributions that all completed trials share; none with a `start`, which proposes by name."""
        refuse_many_objectives(study)
        if self._beginning.warm:
            return {}
        with self._lock:
            self._forget_another(study)
            found = self._shared.setdefault(study.study_name, IntersectionSearchSpace()).calculate(study)
        return {name: distribution for name, distribution in found.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the optimiser for the trial, after telling it how other trials have ended."""
        refuse_many_objectives(study)
        with self._lock:
            self._forget_another(study)
            search = self._search(study, search_space)
            if search is not None:
                search.update(study)
                search.propose(trial)
        return {name: self.sample_independent(study, trial, name, known) for name, known in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value proposed for the trial, or that of the independent sampler where the distribution has none."""
        refuse_many_objectives(study)
        search = self._searches.get(study.study_name)
        proposed = {} if search is None else search.proposed.get(trial.number, {})
        value = within(param_distribution, proposed[param_name]) if param_name in proposed else NOTHING
        if value is not NOTHING:
            return value
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass it on to the independent sampler."""
        self._independent.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass it on to the independent sampler."""
        self._independent.after_trial(study, trial, state, values)

    def _forget_another(self, study: Study) -> None:
        """Forget the search of another study of the same name."""
        known = self._searches.get(study.study_name)
        if known is not None and not known.is_of(study):
            del self._searches[study.study_name]
            self._shared.pop(study.study_name, None)

    def _search(self, study: Study, search_space: Mapping[str, BaseDistribution]) -> StudySearch | None:
        """Search of a study, begun again where the distributions have changed; None where there is no space yet."""
        known = self._searches.get(study.study_name)
        if known is not None and (self._beginning.warm or known.distributions == search_space):
            return known
        distributions = {} if self._beginning.warm else dict(search_space)
        space = from_optuna(distributions).space
        if not self._beginning.warm and not space:
            return None
        search = StudySearch(self._beginning.optimizer(lambda: space), distributions)
        self._searches[study.study_name] = search
        return search
