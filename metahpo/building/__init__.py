"""Building of meta-datasets: plans, trials under limits, engines, and publication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.building.assembly import assemble
    from metahpo.building.build_verification import verify
    from metahpo.building.builder import run_plan
    from metahpo.building.engines.engine import Engine
    from metahpo.building.engines.local import LocalEngine
    from metahpo.building.engines.options import (
        add_engine_arguments,
        engine_from,
        positive,
        register_engine,
        shard_from,
        unregister_engine,
    )
    from metahpo.building.folder import check_folder
    from metahpo.building.learnability import MIN_SKILL
    from metahpo.building.measurement import Measuring, class_probabilities
    from metahpo.building.plan import PLAN_FILE, Plan, PlannedTask
    from metahpo.building.planning import make_plan, shared_designs
    from metahpo.building.process_tree import kill_with_descendants
    from metahpo.building.protocol import ENOUGH_TEST_ROWS, PROTOCOL_VERSION, SIZES, Protocol, Split
    from metahpo.building.publication import publish
    from metahpo.building.repetition import run_until_reliable, with_recorded_repeats
    from metahpo.building.shard import WHOLE, Shard
    from metahpo.building.status import status_of
    from metahpo.building.trial_batches import Pace, in_batches
    from metahpo.building.trial_process import Limits
    from metahpo.building.worker import Workplace, close_tools, run_batch

__all__ = [
    "ENOUGH_TEST_ROWS",
    "MIN_SKILL",
    "PLAN_FILE",
    "PROTOCOL_VERSION",
    "SIZES",
    "WHOLE",
    "Engine",
    "Limits",
    "LocalEngine",
    "Measuring",
    "Pace",
    "Plan",
    "PlannedTask",
    "Protocol",
    "Shard",
    "Split",
    "Workplace",
    "add_engine_arguments",
    "assemble",
    "check_folder",
    "class_probabilities",
    "close_tools",
    "engine_from",
    "in_batches",
    "kill_with_descendants",
    "make_plan",
    "positive",
    "publish",
    "register_engine",
    "run_batch",
    "run_plan",
    "run_until_reliable",
    "shard_from",
    "shared_designs",
    "status_of",
    "unregister_engine",
    "verify",
    "with_recorded_repeats",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
