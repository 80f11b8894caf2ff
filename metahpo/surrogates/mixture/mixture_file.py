"""The file of a meta-learned surrogate: what it holds, how it is written, and what is checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ConfigSpace import ConfigurationSpace
from torch import Tensor

from metahpo.space.encoding import SpaceEncoder
from metahpo.space.stored import read_space
from metahpo.surrogates import tensor_file
from metahpo.surrogates.mixture.mixture import MixtureComponents
from metahpo.surrogates.mixture.source_functions import TaskSimilarity, ZScoreKernel

#: Name of this kind of surrogate in the header of its artefact.
KIND = "mixture of source tasks with learnt maps"
#: Type of the weights of the source functions, and of the maps of the kernel. Its error of a source function is far
#: below the noise of a recorded z-score.
STORED = torch.float16


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


class Parts(NamedTuple):
    """Constructor arguments of a :class:`metahpo.surrogates.mixture.meta_learned.MetaLearnedSurrogate`."""

    space: ConfigurationSpace
    kernel: ZScoreKernel
    components: MixtureComponents
    similarity: TaskSimilarity
    calibration: tuple[float, ...]
    reference: Tensor
    weights: Tensor
    provenance: Provenance


def learnt_tensors(parts: Parts) -> dict[str, Tensor]:
    """Learnt tensors by name, in the precision of the file: weights and maps are `STORED`, others single."""
    tensors = {"weights": parts.weights.to(STORED)}
    tensors |= {f"kernel.{name}": t.float() for name, t in parts.kernel.state_dict().items()}
    tensors["kernel.maps"] = parts.kernel.maps.detach().to(STORED)
    return tensors | {f"components.{name}": t.float() for name, t in parts.components.state_dict().items()}


def write(path: Path, parts: Parts) -> None:
    """Write the parts of a surrogate to one file."""
    similarity = parts.similarity
    tensors = learnt_tensors(parts) | {
        "reference": parts.reference.float(),
        "similarity.values": torch.from_numpy(similarity.values).float(),  # NaN where unknown
        "similarity.relevance": torch.from_numpy(similarity.relevance),
    }
    header = {
        "space": parts.space.to_serialized_dict(),
        "columns": SpaceEncoder(parts.space).columns,
        "meta_feature_names": similarity.names,
        "meta_feature_shrinkage": similarity.shrinkage,
        "calibration": parts.calibration,
        **asdict(parts.provenance),
    }
    tensor_file.write(path, KIND, tensors, header)


def read(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Parts:
    """Parts of a surrogate, from the tensors and the header of its file.

    Raises
    ------
    KeyError, RuntimeError
        A part is missing or has the wrong shape.
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
    values, relevance = (tensors[f"similarity.{part}"].double().numpy() for part in ("values", "relevance"))
    similarity = TaskSimilarity(names, values, relevance, header["meta_feature_shrinkage"])
    facts = {f.name: header[f.name] for f in fields(Provenance)}
    facts |= {name: tuple(facts[name]) for name in ("tasks", "families")}
    calibration = tuple(header["calibration"])
    return Parts(space, kernel, components, similarity, calibration, reference, weights, Provenance(**facts))


def check(parts: Parts, n_calibrations: int) -> None:
    """Check that the parts of a surrogate fit together.

    Raises
    ------
    ValueError
        Parts have wrong sizes or types.
    """
    n_tasks, similarity, provenance = len(parts.provenance.tasks), parts.similarity, parts.provenance
    n_references, n_columns = parts.reference.shape
    expected = {
        "columns of the reference configurations": (n_columns, SpaceEncoder(parts.space).n_columns),
        "shape of the weights": (tuple(parts.weights.shape), (n_references, n_tasks)),
        "number of families": (len(provenance.families), n_tasks),
        "shape of the meta-features": (similarity.values.shape, (n_tasks, len(similarity.names))),
        "shape of the relevance of meta-features": (similarity.relevance.shape, (len(similarity.names),)),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise ValueError(f"the {what} must be {wanted}, but is {found}")
    names = [provenance.metric, provenance.meta_dataset, *provenance.tasks, *provenance.families, *similarity.names]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"metric, meta-dataset, tasks, families and meta-features must be named by texts: {names}")
    calibration = parts.calibration
    if len(calibration) != n_calibrations or not all(0 < number < math.inf for number in calibration):
        raise ValueError(f"the calibration must be {n_calibrations} positive numbers, but is {calibration}")
    if not 0 <= similarity.shrinkage <= 1:
        raise ValueError(f"the shrinkage in meta-features must be in [0, 1], but is {similarity.shrinkage}")
    for what in ("reference", "weights"):
        if not getattr(parts, what).isfinite().all():
            raise ValueError(f"the {what} must be finite")
