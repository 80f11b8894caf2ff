"""The meta-learned surrogate: kernel, source functions, task similarity and mixture components."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.space.stored import read_space
from metahpo.surrogates import tensor_file
from metahpo.surrogates.explanation import Explanation, explain
from metahpo.surrogates.mixture.components import MixtureComponents
from metahpo.surrogates.mixture.kernels import ZScoreKernel
from metahpo.surrogates.mixture.kriging import kriging
from metahpo.surrogates.mixture.mixture import Mixture
from metahpo.surrogates.mixture.mixture_on_task import MixtureOnTask
from metahpo.surrogates.mixture.source_features import squared_distances
from metahpo.surrogates.mixture.source_functions import SourceFunctions
from metahpo.surrogates.mixture.task_similarity import TaskSimilarity
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.surrogate import Configurations, Observed

#: Name of this kind of surrogate in the header of its artefact.
KIND = "mixture of source tasks with learnt maps"


@dataclass(frozen=True)
class Provenance:
    """Record of the data and settings that a surrogate was learnt from.

    Attributes
    ----------
    space_name : str or None
        None for the CASH space over all learners.
    metric : str
    tasks, families : tuple of str
        Of the T source tasks, in the order of their functions.
    meta_dataset : str
        Name, version and checksum of the meta-dataset.
    random_state : int
    settings : mapping
        Of training.
    """

    space_name: str | None
    metric: str
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    meta_dataset: str
    random_state: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class MetaLearnedSurrogate:
    """Mixture of source tasks with a learnt kernel: see :mod:`metahpo.surrogates.mixture.mixture` for the model.

    It is immutable, so threads can share it. Build one with
    :func:`metahpo.surrogates.fitting.training.train_surrogate`, or read one with
    :func:`metahpo.surrogates.artefact.load_surrogate`.

    Attributes
    ----------
    space : ConfigurationSpace
    kernel : ZScoreKernel
    components : MixtureComponents
    similarity : TaskSimilarity
        Similarity of source tasks by meta-features.
    calibration : tuple of float
        Calibration of predictive intervals: see :mod:`metahpo.surrogates.mixture.calibration`.
    reference : Tensor of shape (R, d)
        Reference configurations of the source functions.
    weights : Tensor of shape (R, T)
        Source functions as weights of the kernel at the reference configurations.
    provenance : Provenance
    """

    space: ConfigurationSpace
    kernel: ZScoreKernel
    components: MixtureComponents
    similarity: TaskSimilarity
    calibration: tuple[float, ...]
    reference: Tensor
    weights: Tensor
    provenance: Provenance
    _mixture: Mixture = field(init=False, repr=False)
    _encoder: SpaceEncoder = field(init=False, repr=False)
    _functions: SourceFunctions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for module in (self.kernel, self.components):
            module.double().requires_grad_(False)
        broken = [name for name, part in self._tensors().items() if not bool(torch.isfinite(part).all())]
        if broken:
            raise DataError(
                f"a surrogate must be of finite numbers, but its parts {broken} hold NaN or infinity. Train it anew; "
                "if that does not help, drop tasks with extreme losses or configurations."
            )
        object.__setattr__(self, "_mixture", Mixture(self.kernel, self.components))
        object.__setattr__(self, "_encoder", SpaceEncoder(self.space))
        object.__setattr__(self, "_functions", SourceFunctions(self.kernel, self.reference, self.weights))

    def __reduce__(self) -> tuple[type[MetaLearnedSurrogate], tuple[Any, ...]]:
        """Pickle the constructor arguments. Everything else is computed from them."""
        return type(self), tuple(getattr(self, part.name) for part in fields(self) if part.init)

    @property
    def space_name(self) -> str | None:
        """Name of the search space in the meta-dataset; None for the CASH space over all learners."""
        return self.provenance.space_name

    @property
    def metric(self) -> str:
        """Metric whose loss is predicted."""
        return self.provenance.metric

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks it has learnt from."""
        return self.provenance.tasks

    @own_arithmetic()
    def on(self, meta_features: Mapping[str, float] | None = None) -> MixtureOnTask:
        """The surrogate on one task: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        alpha = torch.from_numpy(self.similarity.weights(meta_features))
        log_prior = self.components.log_prior(squared_distances(self._functions.at_reference, alpha))
        return MixtureOnTask(self._encoder, self._mixture, self._functions, self.calibration, alpha, log_prior)

    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Posterior of the z-scores of `configurations`: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        return self.on(meta_features).posterior(configurations, observed, noise)

    @own_arithmetic()
    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each source task in the expected z-score, largest first: see the contract."""
        shares = self.on(meta_features).source_shares(observed)
        order = torch.argsort(-shares, stable=True)
        return {self.task_names[i]: float(shares[i]) for i in order.tolist()}

    @own_arithmetic()
    def explain(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> Explanation:
        """Explain the prediction by hyperparameters, source tasks and meta-features.

        The explanation holds shares of the variance of the expected z-score over the space, for single hyperparameters
        and pairs; :meth:`task_weights`; and the meta-features by which tasks are compared: see
        :mod:`metahpo.surrogates.explanation`. It is deterministic.
        """
        return explain(
            lambda rows: self.posterior(rows, observed, meta_features).mixture_mean(),
            self.space,
            self.task_weights(observed, meta_features),
            self.similarity.shares(meta_features),
        )

    def without_tasks(self, names: Collection[str]) -> MetaLearnedSurrogate:
        """The surrogate without some of its source tasks; what was learnt of all tasks together stays.

        Raises
        ------
        DataError
            No source task is left.
        """
        kept = [i for i, task in enumerate(self.provenance.tasks) if task not in names]
        if not kept:
            raise DataError(f"all {len(self.provenance.tasks)} source tasks are left out: leave out fewer.")
        if len(kept) == len(self.provenance.tasks):
            return self
        tasks, families = (tuple(part[i] for i in kept) for part in (self.provenance.tasks, self.provenance.families))
        return replace(
            self,
            similarity=self.similarity.of_tasks(kept),
            weights=self.weights[:, kept],
            provenance=replace(self.provenance, tasks=tasks, families=families),
        )

    @own_arithmetic()
    def with_task(
        self, name: str, family: str, observed: Observed, meta_features: Mapping[str, float] | None = None
    ) -> MetaLearnedSurrogate:
        """The surrogate with one source task more, without training.

        The function of the new source task is the expected z-score of the reference configurations given its trials.

        Parameters
        ----------
        name, family : str
            Of the task.
        observed : pair (configurations, losses)
            Its trials: see :meth:`metahpo.surrogates.surrogate.Surrogate.posterior`.
        meta_features : mapping of str to float, default=None
        """
        expected = self.posterior(self.reference.numpy(), observed, meta_features).mixture_mean()
        weights = torch.from_numpy(self._functions.weights_of(expected))
        return replace(
            self,
            similarity=self.similarity.with_task(meta_features),
            weights=torch.cat([self.weights, weights[:, None]], dim=1),
            provenance=replace(
                self.provenance,
                tasks=(*self.provenance.tasks, name),
                families=(*self.provenance.families, family),
            ),
        )

    @own_arithmetic()
    def interpolation(
        self, known: Configurations, new: Configurations
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights by which any function is interpolated from n known configurations to m new ones.

        It is ordinary kriging with the learnt kernel (Cressie 1993, section 3.2).

        Returns
        -------
        weights : ndarray of shape (m, n)
            Each row sums to one.
        open_share : ndarray of shape (m,)
            Share of the variance that is not explained, in [0, 1].
        """
        rows = [self._encoder.encode(c) if not isinstance(c, np.ndarray) else c for c in (known, new)]
        return kriging(self.kernel, *(torch.from_numpy(np.ascontiguousarray(part)) for part in rows))

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""
        tensors = self._tensors() | {
            "reference": self.reference,
            "similarity.values": torch.from_numpy(self.similarity.values),  # NaN where unknown
            "similarity.relevance": torch.from_numpy(self.similarity.relevance),
        }
        header = {
            "space": self.space.to_serialized_dict(),
            "columns": self._encoder.columns,
            "meta_feature_names": self.similarity.names,
            "meta_feature_shrinkage": self.similarity.shrinkage,
            "calibration": self.calibration,
            **asdict(self.provenance),
        }
        tensor_file.write(Path(path), KIND, tensors, header)

    def _tensors(self) -> dict[str, Tensor]:
        """Learnt tensors by name, in single precision."""
        tensors = {"weights": self.weights.float()}
        tensors |= {f"kernel.{name}": t.float() for name, t in self.kernel.state_dict().items()}
        return tensors | {f"components.{name}": t.float() for name, t in self.components.state_dict().items()}

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> MetaLearnedSurrogate:
        """Build a surrogate from the tensors and the header that :meth:`save` writes.

        Raises
        ------
        KeyError, RuntimeError
            A part is missing or has the wrong shape.
        DataError
            A part is not finite.
        ValueError
            The columns of the tensors are not those of the space.
        """
        space = read_space(header["space"])
        columns = SpaceEncoder(space).columns
        if list(columns) != list(header["columns"]):
            raise ValueError(f"its tensors have the columns {header['columns']}, but its space {list(columns)}")
        reference, weights = tensors["reference"].double(), tensors["weights"].double()
        kernel, components = ZScoreKernel(reference.shape[1]), MixtureComponents()
        for name, module in (("kernel.", kernel), ("components.", components)):
            module.load_state_dict({k.removeprefix(name): t for k, t in tensors.items() if k.startswith(name)})
        names = tuple(header["meta_feature_names"])
        values, relevance = (tensors[f"similarity.{part}"].numpy() for part in ("values", "relevance"))
        similarity = TaskSimilarity(names, values, relevance, header["meta_feature_shrinkage"])
        facts = {f.name: header[f.name] for f in fields(Provenance)}
        facts |= {name: tuple(facts[name]) for name in ("tasks", "families")}
        calibration = tuple(header["calibration"])
        return cls(space, kernel, components, similarity, calibration, reference, weights, Provenance(**facts))
