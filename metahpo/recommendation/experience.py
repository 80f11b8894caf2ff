"""The experience of a recommender: a meta-dataset and what was trained on it, loaded when it is first used."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from metahpo.exceptions import ArtefactError, UnknownNameError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.others import groups_among
from metahpo.recommendation.candidates import Candidates
from metahpo.recommendation.novelty import Familiarity
from metahpo.surrogates.artefact import load_surrogate, surrogate_path
from metahpo.surrogates.cost import CostModel, cost_path
from metahpo.surrogates.improvement import ImprovementModel, improvement_path
from metahpo.surrogates.surrogate import TrainedSurrogate


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
        self._costs: dict[str | None, CostModel | None] = {}
        self._improvements: dict[tuple[str | None, str], ImprovementModel | None] = {}

    def load(self, space: str | None, metric: str) -> None:
        """Read what an answer needs of the files."""
        self.surrogate(space, metric)

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

    def cost(self, space: str | None) -> CostModel | None:
        """Model of the seconds of a fit; None where no seconds were recorded."""
        if space not in self._costs:
            path = cost_path(self.folder, space)
            stored = CostModel.load(path, release.tables_checksum(self.folder)) if path.is_file() else None
            self._costs[space] = stored or CostModel.of(self.meta_dataset, space)
        return self._costs[space]

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

    def _trained(self, space: str | None) -> list[str]:
        folder = surrogate_path(self.folder, space, "any").parent
        before, after = f"{space or 'all'}.", ".safetensors"
        return sorted(path.name.removeprefix(before).removesuffix(after) for path in folder.glob(f"{before}*{after}"))
