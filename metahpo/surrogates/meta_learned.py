"""The surrogate learnt across tasks: kernel, source functions and variances, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from torch import Tensor

from metahpo.exceptions import DataError
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates import tensor_file
from metahpo.surrogates.kernels import DeepKernel, Located
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.score import failed_as_worst
from metahpo.surrogates.surrogate import Configurations, Observed
from metahpo.surrogates.transfer import Described, Prediction, Variances, condition, describe, prior

#: What an artefact of this surrogate is called in its header.
KIND = "mixture of source tasks with a deep kernel"
#: Rows whose source functions are remembered from call to call; a pool is asked about again after every trial.
REMEMBERED_ROWS = 20_000


@dataclass(frozen=True)
class Provenance:
    """What a surrogate was learnt from, and how: everything of it that is not a tensor.

    Attributes
    ----------
    space_name : str or None
        None: the joint space over all learners.
    metric : str
    tasks, families : tuple of str
        Of the T source tasks, in the order of their functions.
    meta_feature_names : tuple of str
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
    meta_feature_names: tuple[str, ...]
    meta_dataset: str
    random_state: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class MetaLearnedSurrogate:
    """Mixture of source tasks with a deep kernel: see :mod:`metahpo.surrogates.transfer` for the model.

    Build one with :func:`metahpo.surrogates.training.train_surrogate`, or read one with
    :func:`metahpo.surrogates.artefact.load_surrogate`.

    Attributes
    ----------
    space : ConfigurationSpace
    kernel : DeepKernel
    variances : Variances
    reference : Tensor of shape (R, d)
        Reference configurations of the source functions.
    weights : Tensor of shape (R, T)
        Source functions as weights of the kernel at the reference configurations.
    provenance : Provenance
    """

    space: ConfigurationSpace
    kernel: DeepKernel
    variances: Variances
    reference: Tensor
    weights: Tensor
    provenance: Provenance
    _encoder: SpaceEncoder = field(init=False, repr=False)
    _reference_place: Located = field(init=False, repr=False)
    _memory: dict[bytes, tuple[Tensor, Tensor, Tensor]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for module in (self.kernel, self.variances):
            module.double().requires_grad_(False)
        object.__setattr__(self, "_encoder", SpaceEncoder(self.space))
        object.__setattr__(self, "_reference_place", self.kernel.locate(self.reference))

    @property
    def space_name(self) -> str | None:
        """Name of the search space in the meta-dataset; None for the joint space over all learners."""
        return self.provenance.space_name

    @property
    def metric(self) -> str:
        """Metric whose loss is predicted."""
        return self.provenance.metric

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks it has learnt from."""
        return self.provenance.tasks

    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
    ) -> Posterior:
        """Belief about the scores of `configurations`: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        with torch.no_grad():
            prediction = self._predict(self._describe(self._rows(configurations)), observed)
            weights = torch.softmax(prediction.log_evidence, 0)
        return Posterior(
            weights=weights.numpy(),
            mean=prediction.mean.T.numpy(),
            std=prediction.variance.sqrt().T.numpy(),
            incumbent=prediction.incumbent.numpy(),
        )

    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each training task in the prediction, from most to least."""
        posterior = self.posterior(self.reference[:1].numpy(), observed, meta_features)
        order = np.argsort(-posterior.weights, kind="stable")
        return {self.task_names[i]: float(posterior.weights[i]) for i in order}

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""
        tensors = {"reference": self.reference.float(), "weights": self.weights.float()}
        tensors |= {f"kernel.{name}": t.float() for name, t in self.kernel.state_dict().items()}
        tensors |= {f"variances.{name}": t.float() for name, t in self.variances.state_dict().items()}
        header = {"space": self.space.to_serialized_dict(), **asdict(self.provenance)}
        tensor_file.write(Path(path), KIND, tensors, header)

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> MetaLearnedSurrogate:
        """Put together what :meth:`save` took apart.

        Raises
        ------
        KeyError, RuntimeError
            A part is missing or has the wrong shape.
        """
        reference, weights = tensors["reference"].double(), tensors["weights"].double()
        kernel, variances = DeepKernel(reference.shape[1]), Variances()
        for name, module in (("kernel.", kernel), ("variances.", variances)):
            module.load_state_dict({k.removeprefix(name): t for k, t in tensors.items() if k.startswith(name)})
        facts = {f.name: header[f.name] for f in fields(Provenance)}
        facts |= {name: tuple(facts[name]) for name in ("tasks", "families", "meta_feature_names")}
        space = ConfigurationSpace.from_serialized_dict(dict(header["space"]))
        return cls(space, kernel, variances, reference, weights, Provenance(**facts))

    def _predict(self, at: Described, observed: Observed | None) -> Prediction:
        if observed is None or len(observed[1]) == 0:
            return prior(self.kernel, self.variances, at)
        rows, losses = self._rows(observed[0]), np.asarray(observed[1], dtype=np.float64)
        if losses.shape != (len(rows),) or np.isinf(losses).any():
            raise DataError(
                f"observed losses must be finite (or NaN for a failed trial) and of shape {(len(rows),)}, one a "
                f"configuration, but have shape {losses.shape} and values from {losses.min()} to {losses.max()}."
            )
        y = failed_as_worst(losses)
        y = y - y.mean()
        spread = y.std()
        y = y / spread if spread > 0.0 else np.zeros_like(y)
        return condition(self.kernel, self.variances, self._describe(rows), torch.from_numpy(y), at)

    def _rows(self, configurations: Configurations) -> NDArray[np.float64]:
        if not isinstance(configurations, np.ndarray):
            configurations = self._encoder.encode(configurations)
        rows = np.ascontiguousarray(configurations, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self._encoder.n_columns or not np.isfinite(rows).all():
            raise DataError(
                f"configurations must be finite rows of shape (m, {self._encoder.n_columns}) in the unit cube, or "
                f"dictionaries, but came as an array of shape {rows.shape}."
            )
        return rows

    def _describe(self, rows: NDArray[np.float64]) -> Described:
        """Describe rows, computing only what was not computed for them before."""
        keys = [row.tobytes() for row in rows]
        new = [i for i, key in enumerate(keys) if key not in self._memory]
        if len(self._memory) + len(new) > REMEMBERED_ROWS:
            self._memory.clear()
            new = list(range(len(rows)))
        if new:
            place = self.kernel.locate(torch.from_numpy(rows[new]))
            M = self.kernel(place, self._reference_place) @ self.weights
            for i, deep, plain, m in zip(new, place.deep, place.plain, M, strict=True):
                self._memory[keys[i]] = (deep, plain, m)
        deep, plain, M = (torch.stack(parts) for parts in zip(*(self._memory[key] for key in keys), strict=True))
        return describe(Located(deep, plain), M)
