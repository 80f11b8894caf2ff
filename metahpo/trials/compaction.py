"""Compaction of a store: finished logs become one Parquet part. Repair of a store: damaged lines are set aside."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from metahpo.exceptions import DataError, StoreError
from metahpo.trials import log, parts
from metahpo.trials.records import Record, record_from_json

LOCK_FILE = ".compaction.lock"
#: Folder, in that of the store, of what was set aside.
DAMAGED = "damaged"


@dataclass(frozen=True)
class Compaction:
    """Result of a compaction.

    Attributes
    ----------
    n_records, n_logs : int
        Records moved into a part, and logs that were removed.
    n_growing : int
        Logs that were skipped because their writers are running.
    set_aside : tuple of path
        Files with the damaged lines, and parts that could not be read.
    """

    n_records: int
    n_logs: int
    n_growing: int
    set_aside: tuple[Path, ...] = ()

    def __str__(self) -> str:
        left = f"; {self.n_growing} files are still being written and stay" if self.n_growing else ""
        damaged = "".join(f"\nwhat was damaged is in {str(path)!r} now" for path in self.set_aside)
        return f"{self.n_records} records of {self.n_logs} files are in Parquet now{left}{damaged}"


def compact(folder: Path | str) -> Compaction:
    """Move the records of all finished logs into one Parquet part, in bounded memory.

    The part gets its name when it is complete and on disk. The logs are removed afterwards. A compaction that is killed
    at any moment therefore loses nothing, and the next one finishes its work. Writers and readers may continue
    meanwhile. Damaged lines are written to a file of the log's name in the folder ``damaged``.

    Raises
    ------
    StoreError
        The store cannot be read or written, or another compaction is running.
    """
    folder = Path(folder)
    with _alone(folder):
        return _compact(folder, record_from_json)


def repair(folder: Path | str, sound: Callable[[bytes], Record]) -> Compaction:
    """Move damaged lines of logs and parts to the folder ``damaged``. Their trials are pending again.

    All logs that do not grow any more are compacted. A part with damaged records is rewritten without them. If a part
    cannot be read, the records before the damage are kept.

    Parameters
    ----------
    sound : callable
        Record of a line; it raises DataError for a damaged one.

    Raises
    ------
    StoreError
        The store cannot be read or written, another compaction is running, or a record is of a newer version.
    """
    folder = Path(folder)
    with _alone(folder):
        set_aside: list[Path] = []
        for path in parts.part_paths(folder):
            set_aside += _repair_part(folder, path, sound)
        done = _compact(folder, sound)
        return Compaction(done.n_records, done.n_logs, done.n_growing, (*set_aside, *done.set_aside))


def _compact(folder: Path, sound: Callable[[bytes], Record]) -> Compaction:
    with contextlib.ExitStack() as held, _clear_errors(folder):
        for left in folder.glob(f".{parts.PATTERN}.*"):  # by a killed compaction
            left.unlink()
        n_finished = _remove_those_in_parts(folder)
        logs = sorted(folder.glob(log.PATTERN))
        finished = [path for path in logs if held.enter_context(log.resting(path))]
        set_aside = []
        with parts.PartWriter(_new_part(folder)) as part:
            for source in finished:
                damaged = _move(log.whole_lines(source), part, sound)
                set_aside += _set_aside(folder, source.name, damaged)
            part.describe({source.name: source.stat().st_size for source in finished})
        for source in finished:
            source.unlink()
        return Compaction(part.n_records, n_finished + len(finished), len(logs) - len(finished), tuple(set_aside))


def _repair_part(folder: Path, path: Path, sound: Callable[[bytes], Record]) -> list[Path]:
    """Replace a damaged part. Returns the file with its damaged content."""
    with _clear_errors(folder):
        try:
            parts.read_sources(path)
            parts.read_columns(path, parts.INDEX)
            if all(_is_sound(line, sound) for line in parts.read_lines(path)):
                return []
            readable = True
        except parts.UnreadablePartError:
            readable = False
        damaged: list[bytes] = []
        with parts.PartWriter(_new_part(folder)) as part, contextlib.suppress(parts.UnreadablePartError):
            damaged = _move(parts.read_lines(path), part, sound)
        if readable:
            set_aside = _set_aside(folder, path.name, damaged)
            path.unlink()
            return set_aside
        (folder / DAMAGED).mkdir(exist_ok=True)
        return [path.rename(folder / DAMAGED / path.name)]


def _move(lines: Iterator[bytes], part: parts.PartWriter, sound: Callable[[bytes], Record]) -> list[bytes]:
    """Add the sound lines to a part and return the others."""
    damaged = []
    for line in lines:
        try:
            part.add(sound(line), line)
        except DataError:
            damaged.append(line.rstrip(b"\n") + b"\n")
    return damaged


def _is_sound(line: bytes, sound: Callable[[bytes], Record]) -> bool:
    try:
        sound(line)
    except DataError:
        return False
    return True


def _set_aside(folder: Path, name: str, damaged: list[bytes]) -> list[Path]:
    """Write damaged lines to disk and return the file, if there are any."""
    if not damaged:
        return []
    (folder / DAMAGED).mkdir(exist_ok=True)
    path = folder / DAMAGED / f"{name}.lines"
    with open(path, "wb") as file:
        file.writelines(damaged)
        file.flush()
        os.fsync(file.fileno())
    log.sync_folder(folder / DAMAGED)
    return [path]


def _new_part(folder: Path) -> Path:
    return folder / f"trials-{uuid.uuid4().hex[:16]}.parquet"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock for compactions of a store."""
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
    """Remove logs whose records are already in a part, after a compaction was killed."""
    n = 0
    for path in parts.part_paths(folder):
        sources = {folder / name: size for name, size in parts.read_sources(path).items()}
        left = [source for source, size in sources.items() if source.is_file() and source.stat().st_size == size]
        if left:
            held = {_digest(line) for line in parts.read_lines(path)}
            for source in left:
                # A part may name logs whose records it does not hold. Only lines that are in the part may be removed.
                if all(_digest(line) in held for line in log.whole_lines(source) if _is_sound(line, record_from_json)):
                    source.unlink()
                    n += 1
    return n


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\n"), digest_size=16).digest()
