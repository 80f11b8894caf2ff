"""Trials, their history on a task, and the store, which loses no finished trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metahpo.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from metahpo.trials.compaction import compact
    from metahpo.trials.exchange import export_part, import_parts
    from metahpo.trials.history import FAILED, SUCCESS, TrialHistory
    from metahpo.trials.log import LogReader, LogWriter, sync_folder
    from metahpo.trials.plain_names import is_plain
    from metahpo.trials.records import TaskRefusal, record_from_json
    from metahpo.trials.store import TrialStore
    from metahpo.trials.store_verification import repair_store, verify_store
    from metahpo.trials.trial import Trial, TrialKey, TrialStatus

__all__ = [
    "FAILED",
    "SUCCESS",
    "LogReader",
    "LogWriter",
    "TaskRefusal",
    "Trial",
    "TrialHistory",
    "TrialKey",
    "TrialStatus",
    "TrialStore",
    "compact",
    "export_part",
    "import_parts",
    "is_plain",
    "record_from_json",
    "repair_store",
    "sync_folder",
    "verify_store",
]

__getattr__, __dir__ = lazy_exports(__name__, __all__)
