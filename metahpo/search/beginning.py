"""The engine of a search: started from experience where there is some, in stages or not, or another one by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ConfigSpace import ConfigurationSpace

from metahpo.exceptions import DataError, SpaceError
from metahpo.learners.place import Place, without
from metahpo.optimization.optimizer import BayesianOptimizer
from metahpo.recommendation.probes import Probe
from metahpo.recommendation.recommender import Recommender
from metahpo.recommendation.warm_start import WarmStart
from metahpo.search.engines import SearchEngine, search_engine
from metahpo.search.mapped_experience import in_own_space, learner_of
from metahpo.search.search_start import Probing, Start, start
from metahpo.search.searched import Searched
from metahpo.search.several_learners import SeveralLearners
from metahpo.search.stages import StagedEngine
from metahpo.space.configuration import Configuration
from metahpo.tasks.scorers import OWN_SCORE, name_of


@dataclass(frozen=True)
class Beginning:
    """The start of a search.

    Attributes
    ----------
    engine : SearchEngine
    space : ConfigurationSpace
        What the engine chooses from.
    initial : list of dict
        Configurations that come before the engine's own.
    probes : tuple of Probe
        Fits on few rows that the start rests on.
    """

    engine: SearchEngine
    space: ConfigurationSpace
    initial: list[Configuration]
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Beginner:
    """Makes the beginning of a search.

    Attributes
    ----------
    searched : Searched
    arguments : mapping
        Those of :class:`metahpo.search.MetaSearchCV`.
    say : callable
        Takes a note that the user should read: the search starts with less experience than it could.
    note : callable
        Takes any other note.
    """

    searched: Searched
    arguments: Mapping[str, Any]
    say: Callable[[str], None]
    note: Callable[[str], None]

    def beginning(self, X: Any, y: Any) -> Beginning:
        """The beginning of a search on some data."""
        name, seed = self.arguments["engine"], self.arguments["random_state"]
        space = self._space()
        warm = self._warm(X, y) if self.arguments["warm_start"] and space else None
        if not space:
            self._refuse_probes("nothing is searched")
        probes = () if warm is None else self._probes_of(warm)
        initial = [] if warm is None else list(warm.initial)
        if warm is None and isinstance(self.searched.learner, SeveralLearners):
            initial = self.searched.learner.defaults
        if warm is not None:
            space = warm.space
        if self.arguments["stages"] is not None:
            return replace(self._in_stages(space, initial), probes=probes)
        if name != "metahpo":
            return Beginning(search_engine(name, space, seed), space, initial, probes)
        per_second = self.arguments["per_second"]
        if warm is not None:
            return Beginning(warm.optimizer(seed, per_second=per_second), space, [], probes)
        return Beginning(BayesianOptimizer(space, random_state=seed, per_second=per_second), space, initial)

    def _probes_of(self, warm: WarmStart) -> tuple[Probe, ...]:
        for note in warm.notes:
            self.note(note)
        if warm.probes:
            seconds = sum(probe.seconds for probe in warm.probes)
            n = len(warm.probes)
            self.note(f"the start rests on {n} probes on few rows, which took {seconds:.2g} s and are no trials")
        return warm.probes

    def _refuse_probes(self, reason: str) -> None:
        if self.arguments["probe_seconds"] is not None:
            raise DataError(f"probe_seconds adds to experience, but there is none to use: {reason}. Leave it out.")

    def _probing(self) -> Probing | None:
        seconds = self.arguments["probe_seconds"]
        return None if seconds is None else Probing(float(seconds), self.arguments["n_jobs"] or 1)

    def _in_stages(self, space: ConfigurationSpace, initial: list[Configuration]) -> Beginning:
        name, seed = self.arguments["engine"], self.arguments["random_state"]
        prefix = self.searched.prefix
        stages = [
            stage if isinstance(stage, str) else [n.removeprefix(prefix) if n not in space else n for n in stage]
            for stage in self.arguments["stages"]
        ]
        begin = initial[0] if initial else dict(space.get_default_configuration())
        n_trials = self.arguments["n_trials"]
        if len(stages) >= n_trials:
            raise DataError(f"{len(stages)} stages need more trials than {n_trials}: one each, and one to begin with.")
        engine = StagedEngine(space, stages, n_trials - 1, lambda part: search_engine(name, part, seed), begin)
        return Beginning(engine, space, [engine.start])

    def _space(self) -> ConfigurationSpace:
        """What is searched: less of it where the estimator leaves less to be chosen."""
        place, space = self.searched.learner, self.searched.space
        if not isinstance(place, Place):
            return space
        if place.given_kernel:
            space = without(place.learner.space, "kernel")
            self.say(
                f"the kernel of the estimator stays {place.estimator.kernel!r}, so the search starts cold; what is "
                f"searched are {list(space)}"
            )
            return space
        if not space:
            self.say(
                f"{type(place.estimator).__name__} has none of the hyperparameters that {place.learner.name!r} varies, "
                f"{list(place.learner.space)}, so there is one trial, of the estimator as it is"
            )
        return space

    def _warm(self, X: Any, y: Any) -> WarmStart | None:
        """Experience; what is missing of it is said.

        Raises
        ------
        DataError
            Probes were asked for, and there is no experience with such a task that they could add to.
        """
        place, say = self.searched.learner, self.say
        if isinstance(place, Place) and place.given_kernel:
            self._refuse_probes("the kernel of the estimator is given")
            return None
        own = place is None
        if place is None:
            say = self.note  # who gives a space of their own has not asked for experience by name
            try:
                place = learner_of(self.searched, y)
            except (DataError, SpaceError) as error:
                self._refuse_probes(str(error))
                self.note(f"the search starts cold, because {error}")
                return None
        kind = place.learner.kind if isinstance(place, Place) else place.kind
        scorer = scorer_name(self.arguments["scoring"], self.arguments["refit"], OWN_SCORE[kind])
        begin = self._start(place, X, y, scorer)
        if begin.warm is not None and own and isinstance(place, Place):
            begin = self._in_own_space(begin, begin.warm, place)
        elif begin.warm is not None and isinstance(place, Place) and place.ignored:
            self.note(f"the estimator ignores {' and '.join(place.ignored)}, so that they are not searched")
            begin = replace(begin, warm=begin.warm.in_space(place.space, held=place.ignored))
        if begin.lacking:
            self._refuse_probes(begin.lacking)
        if begin.warm is None:
            say(f"the search starts cold, because {'' if own else 'a warm start cannot be had: '}{begin.lacking}")
            return None
        if begin.lacking:
            say(f"the search starts with what is good on most recorded tasks: {begin.lacking}")
        if not begin.same_metric:
            scored = repr(scorer) if scorer else "a function of your own"
            say(f"the experience is of {begin.metric!r}, the nearest that there is to what is scored, {scored}")
        elif begin.metric != scorer:
            self.note(f"the experience is of {begin.metric!r}, which ranks models as {scorer!r} does")
        return begin.warm

    def _in_own_space(self, begin: Start, warm: WarmStart, place: Place) -> Start:
        try:
            mapped, sentences = in_own_space(warm, place, self.searched)
        except SpaceError as error:
            return Start(None, str(error))
        for sentence in sentences:
            self.note(sentence)
        return replace(begin, warm=mapped)

    def _start(self, place: Place | SeveralLearners, X: Any, y: Any, scorer: str | None) -> Start:
        recommender: Recommender | None = self.arguments["recommender"]
        if isinstance(place, SeveralLearners):
            return place.start((X, y), scorer, recommender, self._probing())
        held = {} if self.searched.learner is None else place.held
        return start(X, y, place.learner, scorer, recommender, held, self._probing())


def scorer_name(scoring: Any, refit: Any, own: str) -> str | None:
    """Name of what is optimised; None where it is a function of the user's.

    Parameters
    ----------
    own : str
        Name of what the estimator's own ``score`` is.
    """
    if isinstance(scoring, dict):
        scoring = scoring[refit if isinstance(refit, str) else next(iter(scoring))]
    elif isinstance(scoring, list | tuple | set):
        return refit if isinstance(refit, str) else str(next(iter(scoring)))
    if scoring is None:
        return own
    return scoring if isinstance(scoring, str) else name_of(scoring)
