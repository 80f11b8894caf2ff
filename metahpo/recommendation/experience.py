"""The experience of a recommender: a meta-dataset and what was trained on it, loaded when it is first used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from metahpo.exceptions import ArtefactError, DataError, StoreError, UnknownNameError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.others import groups_among
from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.default_decision import AgainstDefault
from metahpo.recommendation.novelty import Familiarity
from metahpo.recommendation.observations import Observation, Trials, by_task, informative, trials_of
from metahpo.recommendation.worth import WorthByNovelty
from metahpo.space.configuration import Configuration
from metahpo.surrogates.artefact import load_surrogate, surrogate_path
from metahpo.surrogates.cost import CostModel, cost_path
from metahpo.surrogates.improvement import ImprovementModel, improvement_path
from metahpo.surrogates.surrogate import TrainedSurrogate

#: Parts of an experience, without some tasks each, that are kept in memory: those that were used last.
MAX_PARTS = 32


class Experience:
    """A meta-dataset with its surrogates, models of the improvement on the default, and costs.

    Parameters
    ----------
    folder : path or str
        Folder of a meta-dataset, or the name of one that ships.

    Raises
    ------
    UnknownNameError
        No such meta-dataset.
    ArtefactError
        Damaged, foreign, or of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = release.locate(folder)
        self.meta_dataset = MetaDataset.load(self.folder)
        self._surrogates: dict[tuple[str | None, str], TrainedSurrogate] = {}
        self._costs: dict[tuple[str | None, str], CostModel | None] = {}
        self._worth: dict[tuple[str | None, str], WorthByNovelty | None] = {}
        self._parts: dict[frozenset[str], Experience] = {}
        self._observed: tuple[tuple[Observation, ...], Experience] | None = None
        self._improvements: dict[tuple[str | None, str], ImprovementModel | None] = {}

    def surrogate(self, space: str | None, metric: str) -> TrainedSurrogate:
        """Surrogate of a space for a metric: see :meth:`metahpo.Recommender.surrogate`."""
        key = (space, metric)
        if key not in self._surrogates:
            self.meta_dataset.space(space)
            path = surrogate_path(self.folder, space, metric)
            if not path.is_file():
                trained = self._trained(space)
                raise UnknownNameError(
                    "metric with a trained surrogate", metric, trained, "`metahpo train` trains one."
                )
            self._surrogates[key] = load_surrogate(path)
        return self._surrogates[key]

    def improvement(self, space: str | None, metric: str) -> ImprovementModel | None:
        """Model of the improvement on the default of a space; None where none was trained."""
        key = (space, metric)
        if key not in self._improvements:
            path = improvement_path(self.folder, space, metric)
            self._improvements[key] = ImprovementModel.load(path) if path.is_file() else None
        return self._improvements[key]

    def cost(self, space: str | None, column: str = "seconds") -> CostModel | None:
        """Model of the seconds of a fit, or of another recorded cost; None where it was not recorded."""
        key = (space, column)
        if key not in self._costs:
            path = cost_path(self.folder, space)
            stored = None
            if column == "seconds" and path.is_file():
                stored = CostModel.load(path, release.tables_checksum(self.folder))
            self._costs[key] = stored or CostModel.of(self.meta_dataset, space, column)
        return self._costs[key]

    def tasks_named(self, names: Sequence[str]) -> frozenset[str]:
        """Tasks of some names, which may be names of tasks or of families.

        Raises
        ------
        UnknownNameError
            A name that is neither, so that a typing error cannot pass for an exclusion.
        """
        tasks = self.meta_dataset.tasks
        families = tasks["family"].astype(str)
        for name in names:
            if name not in tasks.index and name not in set(families):
                known = sorted({*map(str, tasks.index[:10]), *families[:10]})
                raise UnknownNameError("task or family", name, known, f"({len(tasks)} tasks in all)")
        return frozenset(map(str, tasks.index[tasks.index.isin(names) | families.isin(names)]))

    def without(self, tasks: frozenset[str]) -> Experience:
        """The experience without the records of some tasks; nothing is trained anew."""
        if not tasks:
            return self
        if len(tasks) == len(self.meta_dataset.tasks):
            raise DataError(f"all {len(tasks)} tasks of {self.meta_dataset.name!r} are excluded: exclude fewer.")
        part = self._parts.pop(tasks, None) or _Part(self, tasks)
        self._parts[tasks] = part  # the last, because it was used last
        for oldest in list(self._parts)[:-MAX_PARTS]:
            self._parts.pop(oldest, None)
        return part

    def candidates(self, space: str | None) -> Candidates:
        """Recorded configurations of a space."""
        return Candidates.recorded(self.meta_dataset, space)

    def trained_metrics(self, space: str | None) -> list[str]:
        """Metrics that a surrogate of a space was trained for: see :meth:`metahpo.Recommender.trained_metrics`."""
        self.meta_dataset.space(space)
        trained = self._trained(space)
        if not trained:
            raise ArtefactError(f"{self.meta_dataset.name!r} has no surrogate of {space}; `metahpo train` trains one.")
        return sorted(trained, key=[*self.meta_dataset.metrics, *trained].index)

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """Distances between tasks by meta-features; None where fewer than two tasks have any."""
        features = self.meta_dataset.meta_features
        return Familiarity.of(features) if features is not None and len(features) > 1 else None

    @property
    def other_meta_features(self) -> tuple[list[str], list[str]]:
        """Groups of other packages' meta-features that experience has: those known here, and those that are not."""
        features = self.meta_dataset.meta_features
        return groups_among(() if features is None else map(str, features.columns))

    def observing(self, observations: tuple[Observation, ...]) -> Experience:
        """The experience with the observed tasks as additional source tasks. Nothing is trained again."""
        if not observations:
            return self
        found = self._observed
        if found is None or found[0] != observations:
            found = self._observed = (observations, _Observing(self, observations))
        return found[1]

    def worth(self, space: str | None, metric: str) -> WorthByNovelty | None:
        """What recommendations were worth on recorded tasks, by their novelty; None where that cannot be said."""
        key = (space, metric)
        if key not in self._worth:
            model, familiarity = self.improvement(space, metric), self.familiarity
            tasks = self.meta_dataset.tasks
            families = dict(zip(map(str, tasks.index), tasks["family"].astype(str), strict=True))
            self._worth[key] = (
                None if model is None or familiarity is None else WorthByNovelty.of(model, familiarity, families)
            )
        return self._worth[key]

    def copy_to(self, folder: Path) -> None:
        """Write the meta-dataset and all that was trained on it to another folder.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        self.meta_dataset.save(folder)
        try:
            for part in ("surrogates", "improvements", "costs"):
                if (self.folder / part).is_dir():
                    shutil.copytree(self.folder / part, folder / part, dirs_exist_ok=True)
        except OSError as error:
            raise StoreError(f"what was trained cannot be copied to {str(folder)!r}: {error}.") from error

    def _trained(self, space: str | None) -> list[str]:
        folder = surrogate_path(self.folder, space, "any").parent
        before, after = f"{space or 'all'}.", ".safetensors"
        return sorted(path.name.removeprefix(before).removesuffix(after) for path in folder.glob(f"{before}*{after}"))


class _View(Experience):
    """An experience made of another one; what was trained of that one is changed where it is first used."""

    def __init__(self, whole: Experience, meta_dataset: MetaDataset) -> None:
        self._whole = whole
        self.folder, self.meta_dataset = whole.folder, meta_dataset
        self._surrogates, self._costs, self._improvements, self._worth, self._parts = {}, {}, {}, {}, {}
        self._observed = None

    def surrogate(self, space: str | None, metric: str) -> TrainedSurrogate:
        key = (space, metric)
        if key not in self._surrogates:
            self._surrogates[key] = self._changed_surrogate(self._whole.surrogate(space, metric))
        return self._surrogates[key]

    def improvement(self, space: str | None, metric: str) -> ImprovementModel | None:
        key = (space, metric)
        if key not in self._improvements:
            model = self._whole.improvement(space, metric)
            self._improvements[key] = None if model is None else self._changed_improvement(model)
        return self._improvements[key]

    def _changed_surrogate(self, surrogate: TrainedSurrogate) -> TrainedSurrogate:
        raise NotImplementedError

    def _changed_improvement(self, model: ImprovementModel) -> ImprovementModel | None:
        raise NotImplementedError


class _Part(_View):
    """An experience without the records of some tasks."""

    def __init__(self, whole: Experience, tasks: frozenset[str]) -> None:
        super().__init__(whole, whole.meta_dataset.drop(tasks=sorted(tasks)))
        self._tasks = tasks

    def cost(self, space: str | None, column: str = "seconds") -> CostModel | None:
        key = (space, column)
        if key not in self._costs:
            self._costs[key] = CostModel.of(self.meta_dataset, space, column)
        return self._costs[key]

    def _changed_surrogate(self, surrogate: TrainedSurrogate) -> TrainedSurrogate:
        return surrogate.without_tasks(self._tasks)

    def _changed_improvement(self, model: ImprovementModel) -> ImprovementModel | None:
        return model.without_tasks(self._tasks)


class _Observing(_View):
    """An experience with observed tasks as source tasks more."""

    def __init__(self, whole: Experience, observations: tuple[Observation, ...]) -> None:
        super().__init__(whole, whole.meta_dataset)
        self._observations = observations

    def _changed_surrogate(self, surrogate: TrainedSurrogate) -> TrainedSurrogate:
        for name, features, trials in self._observed_tasks(surrogate.space_name, surrogate.metric):
            surrogate = surrogate.with_task(name, name, trials, features)
        return surrogate

    def _changed_improvement(self, model: ImprovementModel) -> ImprovementModel | None:
        surrogate = self._whole.surrogate(model.space_name, model.metric)
        configurations: list[Configuration] = [json.loads(text) for text in model.configurations]
        changed = model
        for name, features, trials in self._observed_tasks(model.space_name, model.metric):
            told = AgainstDefault.of(model, surrogate, features, configurations, observed=trials).improvement
            expected = told.expected()
            variance = told.weights @ (np.square(told.change - expected) + np.square(told.standard_error))
            n = len(configurations)
            changed = changed.with_task(name, expected[:n], np.sqrt(variance[:n]), features)
        return changed

    def _observed_tasks(self, space: str | None, metric: str) -> Iterator[tuple[str, Mapping[str, float], Trials]]:
        """Name, meta-features and trials of each observed task that tells enough."""
        for own in by_task(self._observations, space, metric).values():
            trials = trials_of(own, space)
            if informative(trials[1]):
                yield f"{own[0].task} (observed)", own[0].meta_features, trials
