"""Stored surrogates: one file each, safe to load and self-describing."""

from __future__ import annotations

import math
from pathlib import Path

from metahpo.exceptions import ArtefactError
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.space.encoding import SpaceEncoder
from metahpo.surrogates import tensor_file
from metahpo.surrogates.mixture.calibration import TRIAL_COUNTS
from metahpo.surrogates.mixture.meta_learned import KIND, MetaLearnedSurrogate
from metahpo.surrogates.surrogate import TrainedSurrogate


def surrogate_path(folder: Path, space: str | None, metric: str) -> Path:
    """File, inside a meta-dataset's folder, of the surrogate for a space (None: all together) and a metric.

    Raises
    ------
    ArtefactError
        A name that is not plain: its file would lie in another folder.
    """
    return tensor_file.path_in(folder, "surrogates", space, metric, "surrogate's file")


@own_arithmetic()
def load_surrogate(path: Path | str) -> TrainedSurrogate:
    """Read a surrogate from a file that its ``save`` method has written.

    Raises
    ------
    ArtefactError
        The file is missing, damaged, not a surrogate, or of an unknown kind or layout.
    """
    tensors, header = tensor_file.read(Path(path))
    if header["kind"] != KIND:
        raise ArtefactError(f"{str(path)!r} holds a {header['kind']!r}, but this metahpo knows only {KIND!r}.")
    try:
        surrogate = MetaLearnedSurrogate.from_parts(tensors, header)
        _check(surrogate)
    except _INCONSISTENT as error:
        raise ArtefactError(f"{str(path)!r} is incomplete or inconsistent: {error!r}. Train it anew.") from error
    return surrogate


#: Exceptions that inconsistent parts raise.
_INCONSISTENT = (LookupError, RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError)


def _check(surrogate: MetaLearnedSurrogate) -> None:
    """Raise ValueError where the parts of a surrogate have other sizes or types than they should."""
    n_tasks, similarity = len(surrogate.provenance.tasks), surrogate.similarity
    n_references, n_columns = surrogate.reference.shape
    expected = {
        "columns of the reference configurations": (n_columns, SpaceEncoder(surrogate.space).n_columns),
        "shape of the weights": (tuple(surrogate.weights.shape), (n_references, n_tasks)),
        "number of families": (len(surrogate.provenance.families), n_tasks),
        "shape of the meta-features": (similarity.values.shape, (n_tasks, len(similarity.names))),
        "shape of the relevance of meta-features": (similarity.relevance.shape, (len(similarity.names),)),
    }
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise ValueError(f"the {what} must be {wanted}, but is {found}")
    provenance = surrogate.provenance
    names = [provenance.metric, provenance.meta_dataset, *provenance.tasks, *provenance.families, *similarity.names]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"metric, meta-dataset, tasks, families and meta-features must be named by texts: {names}")
    calibration = surrogate.calibration
    if len(calibration) != len(TRIAL_COUNTS) or not all(0 < number < math.inf for number in calibration):
        raise ValueError(f"the calibration must be {len(TRIAL_COUNTS)} positive numbers, but is {calibration}")
    if not 0 <= similarity.shrinkage <= 1:
        raise ValueError(f"the shrinkage in meta-features must be in [0, 1], but is {similarity.shrinkage}")
    for what in ("reference", "weights"):
        if not getattr(surrogate, what).isfinite().all():
            raise ValueError(f"the {what} must be finite")
