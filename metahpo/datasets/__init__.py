"""Datasets: download, cache, files and splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.datasets.arff import read_arff
    from metahpo.datasets.bundled import bundled_task
    from metahpo.datasets.cache import (
        CLASSIFIED,
        cached_keys,
        read_refusals,
        read_sidecar,
        read_sidecars,
        read_task,
        task_kind,
        task_modality,
        write_task,
    )
    from metahpo.datasets.files import write_json_file
    from metahpo.datasets.table_file import read_table

__all__ = [
    "CLASSIFIED",
    "bundled_task",
    "cached_keys",
    "read_arff",
    "read_refusals",
    "read_sidecar",
    "read_sidecars",
    "read_table",
    "read_task",
    "task_kind",
    "task_modality",
    "write_json_file",
    "write_task",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
