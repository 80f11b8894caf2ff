"""The surrogate learnt across tasks: kernel, source functions, affinity and regimes, ready to be asked."""

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
from metahpo.surrogates.affinity import TaskAffinity
from metahpo.surrogates.belief import belief
from metahpo.surrogates.calibration import sharpness_at
from metahpo.surrogates.described import describe, squared_distances
from metahpo.surrogates.explanation import Explanation, explain
from metahpo.surrogates.kernels import ScoreKernel
from metahpo.surrogates.posterior import Posterior
from metahpo.surrogates.regimes import Regimes
from metahpo.surrogates.scale import TINY, Losses
from metahpo.surrogates.score import failed_as_worse
from metahpo.surrogates.sources import SourceFunctions
from metahpo.surrogates.surrogate import Configurations, Observed, checked_noise
from metahpo.surrogates.transfer import Mixture

#: What an artefact of this surrogate is called in its header.
KIND = "mixture of source tasks with learnt maps"


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
    """Mixture of source tasks with a learnt kernel: see :mod:`metahpo.surrogates.transfer` for the model.

    Build one with :func:`metahpo.surrogates.training.train_surrogate`, or read one with
    :func:`metahpo.surrogates.artefact.load_surrogate`.

    Attributes
    ----------
    space : ConfigurationSpace
    kernel : ScoreKernel
    regimes : Regimes
    affinity : TaskAffinity
        What meta-features say of the source tasks.
    sharpness : tuple of float
        How sure its intervals may be: see :mod:`metahpo.surrogates.calibration`.
    reference : Tensor of shape (R, d)
        Reference configurations of the source functions.
    weights : Tensor of shape (R, T)
        Source functions as weights of the kernel at the reference configurations.
    provenance : Provenance
    """

    space: ConfigurationSpace
    kernel: ScoreKernel
    regimes: Regimes
    affinity: TaskAffinity
    sharpness: tuple[float, ...]
    reference: Tensor
    weights: Tensor
    provenance: Provenance
    _mixture: Mixture = field(init=False, repr=False)
    _encoder: SpaceEncoder = field(init=False, repr=False)
    _functions: SourceFunctions = field(init=False, repr=False)
    _memory: dict[tuple[float | None, ...], tuple[Tensor, Tensor]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for module in (self.kernel, self.regimes):
            module.double().requires_grad_(False)
        object.__setattr__(self, "_mixture", Mixture(self.kernel, self.regimes))
        object.__setattr__(self, "_encoder", SpaceEncoder(self.space))
        object.__setattr__(self, "_functions", SourceFunctions(self.kernel, self.reference, self.weights))

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

    @torch.inference_mode()
    def posterior(
        self,
        configurations: Configurations,
        observed: Observed | None = None,
        meta_features: Mapping[str, float] | None = None,
        noise: NDArray[np.float64] | None = None,
    ) -> Posterior:
        """Belief about the scores of `configurations`: see :class:`metahpo.surrogates.surrogate.Surrogate`."""
        alpha, log_prior = self._expected(meta_features)
        rows, losses = self._rows(configurations), None
        n_trials = 0 if observed is None else len(observed[1])
        if observed is not None and n_trials:
            tried, losses = self._observed(observed)
            if noise is not None:
                losses = losses.with_noise(torch.from_numpy(checked_noise(noise, n_trials)))
            rows = np.concatenate([tried, rows])
        at = describe(self._functions.at(rows), alpha)
        return belief(self._mixture, log_prior, at, losses, sharpness_at(n_trials, self.sharpness))

    @torch.inference_mode()
    def task_weights(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Share of each training task in the expected score, from most to least: see the contract."""
        alpha, log_weights = self._expected(meta_features)
        given = None
        if observed is not None and len(observed[1]) > 0:
            tried, losses = self._observed(observed)
            trials = describe(self._functions.at(tried), alpha).to(torch.float64)
            given = self._mixture.condition(trials, self._mixture.covariances(trials, trials), losses)
            log_weights = log_weights + given.log_evidence
        coefficients = self._mixture.source_coefficients(log_weights, given, alpha).clamp_min(0.0)
        shares = coefficients / coefficients.sum().clamp_min(TINY)
        order = torch.argsort(-shares, stable=True)
        return {self.task_names[i]: float(shares[i]) for i in order.tolist()}

    def explain(
        self, observed: Observed | None = None, meta_features: Mapping[str, float] | None = None
    ) -> Explanation:
        """Which hyperparameters matter on the task at hand, which source tasks say so, and why those.

        Shares of the variance of the expected score over the space, for single hyperparameters and pairs;
        :meth:`task_weights`; and the meta-features by which tasks are compared: see
        :mod:`metahpo.surrogates.explanation`. The same answer for the same question.
        """
        return explain(
            lambda rows: self.posterior(rows, observed, meta_features).mixture_mean(),
            self.space,
            self.task_weights(observed, meta_features),
            self.affinity.shares(meta_features),
        )

    def save(self, path: Path | str) -> None:
        """Write it to one file, from which :func:`metahpo.surrogates.artefact.load_surrogate` reads it."""
        tensors = {
            "reference": self.reference,
            "weights": self.weights.float(),
            "affinity.values": torch.from_numpy(self.affinity.values),
            "affinity.relevance": torch.from_numpy(self.affinity.relevance),
        }
        tensors |= {f"kernel.{name}": t.float() for name, t in self.kernel.state_dict().items()}
        tensors |= {f"regimes.{name}": t.float() for name, t in self.regimes.state_dict().items()}
        header = {
            "space": self.space.to_serialized_dict(),
            "columns": self._encoder.columns,
            "meta_feature_names": self.affinity.names,
            "meta_feature_trust": self.affinity.trust,
            "sharpness": self.sharpness,
            **asdict(self.provenance),
        }
        tensor_file.write(Path(path), KIND, tensors, header)

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> MetaLearnedSurrogate:
        """Put together what :meth:`save` took apart.

        Raises
        ------
        KeyError, RuntimeError
            A part is missing or has the wrong shape.
        ValueError
            The columns of the tensors are not those of the space.
        """
        space = ConfigurationSpace.from_serialized_dict(dict(header["space"]))
        columns = SpaceEncoder(space).columns
        if list(columns) != list(header["columns"]):
            raise ValueError(f"its tensors have the columns {header['columns']}, but its space {list(columns)}")
        reference, weights = tensors["reference"].double(), tensors["weights"].double()
        kernel, regimes = ScoreKernel(reference.shape[1]), Regimes()
        for name, module in (("kernel.", kernel), ("regimes.", regimes)):
            module.load_state_dict({k.removeprefix(name): t for k, t in tensors.items() if k.startswith(name)})
        names = tuple(header["meta_feature_names"])
        values, relevance = (tensors[f"affinity.{part}"].numpy() for part in ("values", "relevance"))
        affinity = TaskAffinity(names, values, relevance, header["meta_feature_trust"])
        facts = {f.name: header[f.name] for f in fields(Provenance)}
        facts |= {name: tuple(facts[name]) for name in ("tasks", "families")}
        return cls(
            space, kernel, regimes, affinity, tuple(header["sharpness"]), reference, weights, Provenance(**facts)
        )

    def _expected(self, meta_features: Mapping[str, float] | None) -> tuple[Tensor, Tensor]:
        """Weights alpha (T,) of the expected function, and log weights (J, T) of the hypotheses, before any trial.

        Those of the latest meta-features are remembered.
        """
        known = tuple((meta_features or {}).get(name) for name in self.affinity.names)
        if known not in self._memory:
            alpha = torch.from_numpy(self.affinity.weights(meta_features))
            distances = squared_distances(self._functions.at_reference, alpha)
            self._memory.clear()
            self._memory[known] = alpha, self.regimes.log_prior(distances)
        return self._memory[known]

    def _observed(self, observed: Observed) -> tuple[NDArray[np.float64], Losses]:
        """Rows (n, d) that were tried, and their losses."""
        rows, losses = self._rows(observed[0]), np.asarray(observed[1], dtype=np.float64)
        if losses.shape != (len(rows),) or np.isinf(losses).any():
            raise DataError(
                f"observed losses must be finite (or NaN for a failed trial) and of shape {(len(rows),)}, one a "
                f"configuration, but have shape {losses.shape} and values {losses[:10]}."
            )
        typical = float(self.regimes.log_spread[0].exp())
        filled = torch.from_numpy(failed_as_worse(losses, typical))
        return rows, Losses.standardise(filled)

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
