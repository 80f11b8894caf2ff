"""Verification of a store: its records are readable, unique, of the right identity, and of fields in their range."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from metahpo.exceptions import DataError, MetaHPOError
from metahpo.trials import log, parts
from metahpo.trials.compaction import Compaction, repair
from metahpo.trials.records import RetryRequest, TaskRefusal, record_from_json
from metahpo.trials.trial import Trial, TrialStatus

#: Damaged lines of a file that are told one by one.
MAX_TOLD = 5


def verify_store(folder: Path | str) -> list[str]:
    """Faults of a store, each with a remedy; empty if there are none.

    Every record is read: that takes about a minute for a million. Two records of one trial are no fault (two drivers
    may have run it at once, and readers take one), but two successes with different losses are.
    """
    folder = Path(folder)
    problems: list[str] = []
    losses: dict[str, int] = {}
    differing: Counter[str] = Counter()
    for path in [*sorted(folder.glob(log.PATTERN)), *parts.part_paths(folder)]:
        damaged: list[str] = []
        try:
            for number, line in enumerate(_lines(path), start=1):
                try:
                    record = sound_record(line)
                except MetaHPOError as error:
                    damaged.append(f"record {number}: {error}")
                    continue
                if isinstance(record, Trial) and record.status is TrialStatus.SUCCESS:
                    # Losses are stored as one hash, because a store may have more trials than fit into memory.
                    seen = hash(tuple((m, tuple(folds)) for m, folds in sorted(record.fold_losses.items())))
                    if losses.setdefault(record.key.identity, seen) != seen:
                        differing[record.key.learner] += 1
        except MetaHPOError as error:
            problems.append(str(error))
        if damaged:
            told = "; ".join(damaged[:MAX_TOLD]) + (" ..." if len(damaged) > MAX_TOLD else "")
            problems.append(
                f"{str(path)!r} holds {len(damaged)} damaged records ({told}): remove these lines, or bring the file "
                f"back from a copy; `metahpo build verify {folder} --repair` sets them aside. The trials lost are run "
                "again by the next `metahpo build run`."
            )
    if differing:
        told = ", ".join(f"{n} of {learner}" for learner, n in differing.items())
        problems.append(
            f"trials were recorded twice with different losses ({told}): the learner is not deterministic under its "
            "seed, or library versions differ; the first record of each counts."
        )
    return problems


def sound_record(line: bytes) -> Trial | TaskRefusal | RetryRequest:
    """Record of a line, whose fields are within their range.

    Raises
    ------
    DataError
        No record, or fields that are out of their range.
    StoreError
        A record of a newer version.
    """
    record = record_from_json(line)
    faults = "; ".join(_faults(record))
    if faults:
        raise DataError(faults)
    return record


def repair_store(folder: Path | str) -> Compaction:
    """Set aside every record that :func:`verify_store` calls damaged: see :func:`metahpo.trials.compaction.repair`."""
    return repair(folder, sound_record)


def _lines(path: Path) -> Iterator[bytes]:
    return parts.read_lines(path) if path.suffix == ".parquet" else log.whole_lines(path)


def _faults(record: Trial | TaskRefusal | RetryRequest) -> Iterator[str]:
    """Fields of a readable record that are out of their range."""
    if isinstance(record, RetryRequest) and record.attempt < 2:
        yield f"attempt {record.attempt} was asked for, the first that can be is 2"
    if not isinstance(record, Trial):
        return
    succeeded = record.status is TrialStatus.SUCCESS
    folds = [loss for of_metric in record.fold_losses.values() for loss in of_metric]
    if succeeded and not (folds and all(map(math.isfinite, folds))):
        yield "a success without losses, or with one that is not finite"
    if not succeeded and folds:
        yield f"losses of a trial with status {record.status}"
    if not succeeded and not record.message:
        yield "a failure without a message"
    if len({len(of_metric) for of_metric in record.fold_losses.values()}) > 1:
        yield "metrics with different numbers of folds"
    seconds = [record.seconds, record.finished, *record.fit_seconds, *record.predict_seconds]
    if not all(math.isfinite(s) and s >= 0 for s in seconds):
        yield "seconds that are negative or not finite"
    if record.peak_memory_bytes < 0 or record.peak_device_memory_bytes < 0:
        yield "a negative amount of memory"
    if record.attempt < 1:
        yield f"attempt {record.attempt}"
    if not 0 < record.key.fidelity <= 1:
        yield f"fidelity {record.key.fidelity}, which is not in (0, 1]"
