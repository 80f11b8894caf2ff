"""Files of tensors with a JSON header, in the safetensors format. Reading a file executes no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metahpo.exceptions import ArtefactError, StoreError
from metahpo.trials.plain_names import is_plain

#: Version of the layout that this code writes and reads.
FORMAT_VERSION = 2
#: Libraries whose versions are recorded.
LIBRARIES = ("metahpo", "torch", "numpy", "ConfigSpace", "safetensors")


def path_in(folder: Path, subfolder: str, space: str | None, metric: str, what: str) -> Path:
    """File of a space (None: all together) and a metric in a subfolder of a meta-dataset.

    Raises
    ------
    ArtefactError
        A name that is not plain: its file would lie in another folder. `what` says in the message what it names.
    """
    for kind, name in (("search space", space or "all"), ("metric", metric)):
        if not is_plain(name):
            raise ArtefactError(
                f"the {kind} {name!r} of the meta-dataset {str(folder)!r} cannot name a {what}; expected a "
                "plain name, without slashes and not beginning with a dot."
            )
    return folder / subfolder / f"{space or 'all'}.{metric}.safetensors"


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and header under a temporary name beside `path`, then rename.

    Raises
    ------
    StoreError
        The file cannot be written.
    """
    described = {
        "kind": kind,
        "format_version": FORMAT_VERSION,
        "versions": {name: version(name) for name in LIBRARIES},
        **header,
    }
    metadata = {"metahpo": json.dumps(described, sort_keys=True)}
    content = save({name: t.contiguous() for name, t in tensors.items()}, metadata=metadata)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{str(path)!r} cannot be written: {error}.") from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file that :func:`write` wrote.

    Raises
    ------
    ArtefactError
        The file is missing, damaged, of another program, or of a layout that this version does not read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a file, not a mapping
    except (OSError, SafetensorError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise ArtefactError(
            f"{str(path)!r} cannot be read as a surrogate: {error}. If it was damaged on its way, fetch it again; "
            "else train it anew with metahpo.train_surrogate(...).save(path)."
        ) from error
    if "metahpo" not in metadata:
        raise ArtefactError(f"{str(path)!r} holds tensors, but was not written by metahpo: it lacks our header.")
    try:
        header = json.loads(metadata["metahpo"])
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"the header of {str(path)!r} is damaged: {error}. Fetch or train it anew.") from error
    if not isinstance(header, dict) or not {"kind", "format_version", "versions"} <= header.keys():
        raise ArtefactError(
            f"the header of {str(path)!r} is damaged: expected an object with kind, format_version and versions. "
            "Fetch or train it anew."
        )
    if header["format_version"] != FORMAT_VERSION:
        versions = header["versions"]
        writer = f"metahpo {versions.get('metahpo')}" if isinstance(versions, dict) else "the metahpo"
        raise ArtefactError(
            f"{str(path)!r} has layout version {header['format_version']}, but this metahpo reads version "
            f"{FORMAT_VERSION}. Train it anew, or install {writer}, which wrote it."
        )
    return tensors, header
