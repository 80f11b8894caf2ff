"""Stored surrogates: one file each, safe to load and self-describing."""

from __future__ import annotations

from pathlib import Path

from metahpo.exceptions import ArtefactError
from metahpo.surrogates import tensor_file
from metahpo.surrogates.meta_learned import KIND, MetaLearnedSurrogate
from metahpo.surrogates.surrogate import Surrogate


def surrogate_path(folder: Path, space: str | None, metric: str) -> Path:
    """File, inside a meta-dataset's folder, of the surrogate for a space (None: all together) and a metric."""
    return folder / "surrogates" / f"{space or 'all'}.{metric}.safetensors"


def load_surrogate(path: Path | str) -> Surrogate:
    """Read a surrogate that was written by its ``save``.

    Raises
    ------
    ArtefactError
        Not there, damaged, written by something else, or of a kind or layout that this version does not know.
    """
    tensors, header = tensor_file.read(Path(path))
    if header["kind"] != KIND:
        raise ArtefactError(f"{str(path)!r} holds a {header['kind']!r}, but this metahpo knows only {KIND!r}.")
    try:
        return MetaLearnedSurrogate.from_parts(tensors, header)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ArtefactError(f"{str(path)!r} is incomplete or inconsistent: {error}. Train it anew.") from error
