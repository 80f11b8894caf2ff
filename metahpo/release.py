"""A released meta-dataset on disk: Parquet tables and a manifest with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.exceptions import ArtefactError, StoreError, UnknownNameError

FORMAT = "metahpo meta-dataset"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
#: What a reader needs of a manifest.
MANIFEST_KEYS = ("name", "version", "protocol", "spaces", "files")

_PACKAGE = Path(__file__).resolve().parent
#: Where shipped meta-datasets lie: inside an installed wheel, or beside the package in a checkout.
SHIPPED = (_PACKAGE / "_meta_datasets", _PACKAGE.parent / "meta_datasets")


def shipped_names() -> list[str]:
    """Names of the meta-datasets that come with the package."""
    return sorted({path.parent.name for root in SHIPPED for path in root.glob(f"*/{MANIFEST}")})


def locate(folder: Path | str) -> Path:
    """Folder of a meta-dataset: a path, or the name of a shipped one.

    Raises
    ------
    UnknownNameError
        Neither; the message lists what ships.
    """
    for candidate in (Path(folder), *(root / str(folder) for root in SHIPPED)):
        if (candidate / MANIFEST).is_file():
            return candidate
    raise UnknownNameError(
        "meta-dataset", str(folder), shipped_names(), "Give one of these names, or a folder with a manifest.json."
    )


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(folder: Path, header: Mapping[str, Any], parts: Mapping[str, pd.DataFrame]) -> None:
    """Write tables, then the manifest: each under a temporary name, then renamed, the manifest last.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for name, frame in parts.items():
            temporary = folder / f".{name}.{os.getpid()}.parquet"
            frame.to_parquet(temporary, compression="zstd")
            files[name] = {"sha256": checksum(temporary), "rows": len(frame)}
            temporary.replace(folder / f"{name}.parquet")
        manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, **header, "files": files}
        temporary = folder / f".{MANIFEST}.{os.getpid()}"
        temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        temporary.replace(folder / MANIFEST)
    except OSError as error:
        raise StoreError(f"the meta-dataset cannot be written to {str(folder)!r}: {error}.") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a meta-dataset.

    Raises
    ------
    ArtefactError
        Missing, unreadable, foreign, incomplete, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{str(path)!r} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{str(path)!r} is not the manifest of a meta-dataset (expected format {FORMAT!r}).")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ArtefactError(
            f"{str(path)!r} has format version {manifest.get('format_version')}, this package reads {FORMAT_VERSION}; "
            "install the version of metahpo that wrote it, or build the meta-dataset again."
        )
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise ArtefactError(f"{str(path)!r} is damaged: it lacks {missing}; install or copy the meta-dataset again.")
    return manifest


def read(folder: Path) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Manifest and tables, checked.

    Raises
    ------
    ArtefactError
        See :func:`read_manifest`; or a table that is missing or does not match its checksum.
    """
    manifest = read_manifest(folder)
    parts = {}
    for name, entry in manifest["files"].items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise ArtefactError(f"the meta-dataset {str(folder)!r} lacks {path.name}; install or copy it again.")
        found = checksum(path)
        if found != entry["sha256"]:
            raise ArtefactError(
                f"{str(path)!r} is damaged: expected SHA-256 {entry['sha256']}, found {found}; "
                "install or copy it again."
            )
        parts[name] = pd.read_parquet(path)
    return manifest, parts
