"""The trial store: a folder that many writers append to and that `compact` makes small; nothing finished is ever lost.

What is in it are the logs of :mod:`metahpo.trials.log` and the parts of :mod:`metahpo.trials.parts`; what a record is
says :mod:`metahpo.trials.schema`.

If a trial was recorded more than once, one record counts: a success before any failure, a later attempt before an
earlier one, and among equal records the first that is read. Failures of attempts before the requested one (`retry`) do
not count. :func:`record_rank` implements this rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from metahpo.exceptions import DataError, StoreError
from metahpo.trials import parts
from metahpo.trials.compaction import compact
from metahpo.trials.log import LogReader, LogWriter
from metahpo.trials.reading import read_records
from metahpo.trials.records import Record, RetryRequest, TaskRefusal, record_from_json
from metahpo.trials.trial import Trial, TrialStatus

#: Trials that a merge appends and syncs at a time.
MERGE_BLOCK = 1000
#: Above any number of attempts.
_SUCCESS = 1 << 30


def record_rank(success: Any, attempt: Any) -> Any:
    """Rank of a record among the records of the same trial; the highest one counts. It takes numbers or arrays."""
    return success * _SUCCESS + attempt


class TrialStore:
    """Trials in a folder; safe for many writers and against being killed at any moment.

    Every writer appends whole lines to a file of its own and syncs them before it goes on. A line without its end of
    line is still being written, or a killed writer left it. Any other line that is no record is passed over with a
    :class:`metahpo.exceptions.StoreWarning`: its trial is not recorded.

    Parameters
    ----------
    folder : path
    create : bool, default=True
        Make the folder where it does not exist. Without one, the store is empty.
    compact_every : int, default=20,000
        Records after which this writer begins a new file, and compacts what is finished: reading a million lines of
        JSON takes ten times as long as reading them from a part.

    Raises
    ------
    StoreError
        The folder cannot be created, read or written.
    """

    def __init__(self, folder: Path | str, *, create: bool = True, compact_every: int = parts.BLOCK) -> None:
        self.folder = Path(folder)
        try:
            if create:
                self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the trial store {str(self.folder)!r} cannot be created: {error}.") from error
        self._writer = LogWriter(self.folder)
        self._compact_every, self._n_written = compact_every, 0
        self._reader, self._read_parts = LogReader(self.folder), set[str]()
        self._ranks: dict[str, int] = {}
        self._requested: dict[str, int] = {}

    def append(self, records: Iterable[Trial | TaskRefusal]) -> None:
        """Append finished trials and refused tasks to the file of this writer. They are on disk when this returns.

        A trial that was asked for again carries the number of that attempt. A task that is known to be refused for the
        same reason is not written again. Requests for trials count as far as :meth:`identities` has looked.

        Raises
        ------
        StoreError
            The disk is full or the folder read-only or gone; what was written before stays whole.
        """
        lines = []
        for record in records:
            if isinstance(record, Trial):
                attempt = self._requested.get(record.key.identity, 1)
                lines.append((replace(record, attempt=attempt) if attempt > record.attempt else record).to_json())
            else:
                known = self.refusals().get(record.task)
                if known is None or known.reason != record.reason:
                    lines.append(record.to_json())
        self._write(lines)

    def retry(self, statuses: Collection[TrialStatus]) -> int:
        """Make the failed trials of these statuses pending again and return their number.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        known = self.to_frame(identities=True)
        again = known[known["status"].isin([str(s) for s in statuses if s is not TrialStatus.SUCCESS])]
        pairs = zip(again["identity"], again["attempt"], strict=True)
        self._write([RetryRequest(str(identity), int(attempt) + 1).to_json() for identity, attempt in pairs])
        return len(again)

    def merge(self, other: TrialStore) -> int:
        """Append the trials of another store that this one lacks, or has only as failures; their number.

        Done twice, the second time adds nothing. The other store is not changed.

        Raises
        ------
        StoreError
            A store cannot be read, or this one not be written.
        """
        self.identities()

        def wanted(trial: Trial) -> bool:
            rank = record_rank(trial.status is TrialStatus.SUCCESS, trial.attempt)
            return bool(rank > self.rank_of(trial.key.identity))

        n = 0
        news = (trial for trial in other if wanted(trial))
        while block := list(islice(news, MERGE_BLOCK)):
            self.append(block)
            n += len(block)
        return n

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        self._writer.append("".join(f"{line}\n" for line in lines).encode())
        self._n_written += len(lines)
        if self._n_written >= self._compact_every:
            self._writer.close()
            self._n_written = 0
            with contextlib.suppress(StoreError):  # the records are safe, and another compaction may be running
                compact(self.folder)

    def __iter__(self) -> Iterator[Trial]:
        """All recorded trials, each once: first the successes, then the failures. Failures are kept in memory."""
        return self._rank_of_record(read_records(self.lines()))

    def of_tasks(self, tasks: Set[str]) -> Iterator[Trial]:
        """The trials of some tasks, as by iteration. Of a compacted store, only blocks with such trials are read.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        return self._rank_of_record(read_records(self.lines(tasks), tasks))

    def _rank_of_record(self, records: Iterable[Record]) -> Iterator[Trial]:
        seen: set[str] = set()
        requested: dict[str, int] = {}
        failures: dict[str, Trial] = {}
        for record in records:
            if isinstance(record, RetryRequest):
                requested[record.identity] = max(record.attempt, requested.get(record.identity, 1))
            if not isinstance(record, Trial):
                continue
            identity = record.key.identity
            if identity in seen:
                continue
            if record.status is TrialStatus.SUCCESS:
                seen.add(identity)
                failures.pop(identity, None)
                yield record
            elif identity not in failures or record.attempt > failures[identity].attempt:
                failures[identity] = record
        yield from (trial for i, trial in failures.items() if trial.attempt >= requested.get(i, 1))

    def lines(self, tasks: Set[str] | None = None) -> Iterator[tuple[bytes, Path]]:
        """Every record's line, and the file that it is in; while a compaction runs, some may come twice.

        Where `tasks` are given, lines of parts that hold trials of other tasks are left out.
        """
        # Logs are read first. Records that a compaction moves in the meantime are then found in the part.
        yield from LogReader(self.folder).new_lines()
        for path in parts.part_paths(self.folder):
            yield from ((line, path) for line in parts.read_lines(path, tasks))

    def identities(self) -> Set[str]:
        """Identities of the recorded trials, without those that `retry` made pending. The set grows with every call.

        Only new records since the last call are read, so it can be called before every trial.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        self._look()
        return self._ranks.keys()

    def rank_of(self, identity: str) -> int:
        """:func:`record_rank` of what the last :meth:`identities` found of a trial; 0 if it is pending."""
        return self._ranks.get(identity, 0)

    def refusals(self) -> dict[str, TaskRefusal]:
        """Tasks that could not be measured at the last attempt, by key.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        found = [line for line, _ in LogReader(self.folder).new_lines() if b'"kind":"refusal"' in line]
        for path in parts.part_paths(self.folder):
            found += parts.read_kind(path, "refusal")
        refusals = []
        for line in found:
            with contextlib.suppress(DataError):  # reading all records warns of it
                record = record_from_json(line)
                refusals += [record] if isinstance(record, TaskRefusal) else []
        return {refusal.task: refusal for refusal in sorted(refusals, key=lambda refusal: refusal.time)}

    def to_frame(self, *, identities: bool = False) -> pd.DataFrame:
        """One row for each trial, without its losses. It is fast if the store is compacted.

        Columns: task, learner, configuration (JSON), protocol, seed, fidelity, status, attempt, seconds, finished; and
        identity, by far the longest of them, where `identities` asks for it.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        frame = self._index([name for name in parts.INDEX if identities or name != "identity"])
        if not identities and (frame["kind"] == "retry").any():  # a request names its trial by identity alone
            frame = self._index(parts.INDEX)
        requests = frame[frame["kind"] == "retry"]
        frame = frame[frame["kind"] == "trial"].drop(columns="kind")
        frame["rank"] = record_rank(frame["status"] == "success", frame["attempt"])
        if len(requests):
            asked_for = frame["identity"].map(requests.groupby("identity")["attempt"].max())
            frame = frame[frame["rank"] >= asked_for.fillna(1).astype(int)]
        frame["number"] = _numbers(frame)
        if frame["number"].duplicated().any():
            frame = frame.sort_values("rank", ascending=False, kind="stable").drop_duplicates("number")
        return frame.drop(columns=["rank", "number"])

    def _index(self, columns: list[str]) -> pd.DataFrame:
        """Columns of all records, those of the logs first: see :meth:`lines`."""
        rows, tables = parts.Rows(), []
        for record in read_records(LogReader(self.folder).new_lines()):
            rows.add(record)
            if len(rows) == parts.BLOCK:
                tables.append(rows.take().select(columns))
        tables.append(rows.take().select(columns))
        tables += [parts.read_columns(path, columns) for path in parts.part_paths(self.folder)]
        return parts.to_frame(tables)

    def _look(self) -> None:
        """Read what is new, the logs first: see :meth:`lines`."""
        for record in read_records(self._reader.new_lines()):
            if isinstance(record, Trial):
                self._note("trial", record.key.identity, str(record.status), record.attempt)
            elif isinstance(record, RetryRequest):
                self._note("retry", record.identity, None, record.attempt)
        for path in parts.part_paths(self.folder):
            if path.name not in self._read_parts:
                table = parts.read_columns(path, ["kind", "identity", "status", "attempt"])
                for batch in table.to_batches(parts.BLOCK):
                    for kind, *values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        self._note(kind, *values)
                self._read_parts.add(path.name)

    def _note(self, kind: str, identity: str, status: str | None, attempt: int) -> None:
        if kind == "trial":
            rank = int(record_rank(status == "success", attempt))
            if rank >= self._requested.get(identity, 1):
                self._ranks[identity] = max(rank, self._ranks.get(identity, 0))
        elif kind == "retry":
            self._requested[identity] = max(attempt, self._requested.get(identity, 1))
            if self._ranks.get(identity, attempt) < attempt:
                del self._ranks[identity]


def _numbers(frame: pd.DataFrame) -> pd.Series:
    """The same number for records of the same trial only: what the identity is, ten times as fast to compare."""
    numbers = pd.Series(0, index=frame.index)
    for name in ("task", "learner", "configuration", "protocol"):
        words = frame[name].cat
        numbers = numbers * len(words.categories) + words.codes
    for name in ("seed", "fidelity"):
        codes, values = pd.factorize(frame[name])
        numbers = numbers * len(values) + codes
    return numbers
