"""A fitted pipeline on disk: by skops where that is installed, else by joblib."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from metahpo.exceptions import StoreError

#: Name of the file, before its ending says how it was written.
NAME = "pipeline"


def save_pipeline(pipeline: Any, folder: Path) -> Path:
    """Write a fitted pipeline into a folder.

    Returns
    -------
    path
        Of the file. ``skops.io.load`` reads one that ends with ``.skops`` and runs no code of it; ``joblib.load`` reads
        one that ends with ``.joblib``, which may run any code, so that it must come from somebody whom you trust.

    Raises
    ------
    StoreError
        The folder cannot be written to.
    """
    by_skops = importlib.util.find_spec("skops") is not None
    path = folder / f"{NAME}.{'skops' if by_skops else 'joblib'}"
    part = path.with_name(f".{path.name}.part")
    try:
        if by_skops:
            importlib.import_module("skops.io").dump(pipeline, part)
        else:
            importlib.import_module("joblib").dump(pipeline, part)
        part.replace(path)  # so that the file is whole whenever it is there
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"the pipeline cannot be written to {str(path)!r}: {error}.") from error
    return path
