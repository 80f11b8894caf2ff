"""Engines, which run the trials of a build on this machine or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.building.engines.engine import Engine, WorkersLostError
    from metahpo.building.engines.local import LocalEngine
    from metahpo.building.engines.options import (
        add_engine_arguments,
        engine_from,
        positive,
        register_engine,
        shard_from,
        unregister_engine,
    )

__all__ = [
    "Engine",
    "LocalEngine",
    "WorkersLostError",
    "add_engine_arguments",
    "engine_from",
    "positive",
    "register_engine",
    "shard_from",
    "unregister_engine",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
