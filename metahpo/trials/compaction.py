"""Makes a store small: finished logs become one Parquet part."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metahpo.exceptions import DataError, StoreError
from metahpo.trials import log, parts
from metahpo.trials.schema import from_line

LOCK_FILE = ".compaction.lock"


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    n_records, n_logs : int
        Records moved into a part, and logs that were removed.
    n_growing : int
        Logs left alone because their writers live.
    """

    n_records: int
    n_logs: int
    n_growing: int

    def __str__(self) -> str:
        left = f"; {self.n_growing} files are still being written and stay" if self.n_growing else ""
        return f"{self.n_records} records of {self.n_logs} files are in Parquet now{left}"


def compact(folder: Path | str) -> Compaction:
    """Move the records of all logs that do not grow any more into one Parquet part; memory stays bounded.

    The part gets its name when it is whole and on disk, and only then are the logs removed: killed at any moment, a
    compaction loses nothing, and the next one finishes its work. Writers and readers need not stop for it.

    Raises
    ------
    StoreError
        The store cannot be read or written, or another compaction is running.
    """
    folder = Path(folder)
    with _alone(folder), contextlib.ExitStack() as held:
        for left in folder.glob(f".{parts.PATTERN}.*"):  # by a killed compaction
            left.unlink()
        n_finished = _remove_those_in_parts(folder)
        logs = sorted(folder.glob(log.PATTERN))
        finished = [path for path in logs if held.enter_context(log.resting(path))]
        path = folder / f"trials-{uuid.uuid4().hex[:16]}.parquet"
        with _clear_errors(folder), parts.PartWriter(path) as part:
            for source in finished:
                for line in log.whole_lines(source):
                    try:
                        part.add(line, *from_line(line))
                    except DataError as error:
                        raise StoreError(f"{str(source)!r} holds a damaged line: {error}; remove that line.") from error
            part.describe({source.name: source.stat().st_size for source in finished})
        for source in finished:
            source.unlink()
        return Compaction(part.n_records, n_finished + len(finished), len(logs) - len(finished))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to compact a store."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StoreError(f"the store {str(folder)!r} cannot be written: {error}.") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another compaction of {str(folder)!r} is running; wait for its end.") from None
        except OSError:
            pass  # no locks on this file system: two compactions at once would only write every record twice
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"the store {str(folder)!r} cannot be compacted: {error}. Its trials are as they were; make room or mend "
            "the folder, then compact again."
        ) from error


def _remove_those_in_parts(folder: Path) -> int:
    """Remove logs that a part already holds: a compaction was killed before it could."""
    n = 0
    for path in parts.part_paths(folder):
        for name, size in parts.read_description(path).items():
            source = folder / name
            if source.exists() and source.stat().st_size == size:
                source.unlink()
                n += 1
    return n
