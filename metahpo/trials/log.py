"""Logs: files of JSON lines that writers append to. Each writer has its own file, so writers share only a directory.

A writer holds a lock (flock) on its file while it runs. The kernel (on NFS, the server) releases the lock when the
process ends in any way. A file without a lock therefore does not grow any more. On a file system without locks, a file
counts as growing until it was not modified for `QUIET_SECONDS`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from metahpo.exceptions import StoreError

QUIET_SECONDS = 86_400.0
PATTERN = "trials-*.jsonl"


class LogWriter:
    """The file of one writer; made with its first line.

    Parameters
    ----------
    folder : path
        An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder
        self._file: int | None = None

    def append(self, lines: bytes) -> None:
        """Append complete lines. They are on disk when this returns.

        Raises
        ------
        StoreError
            The disk is full or the folder read-only or gone; what was written before stays whole.
        """
        try:
            file = self._opened()
            if os.write(file, lines) != len(lines):
                raise OSError("the disk took only part of the record")
            os.fsync(file)
            # An open file still exists after its name was removed. Records in it would be lost silently.
            if not _is_at(file, self._path):
                raise OSError("the file was removed")
        except OSError as error:
            # The next line begins another file, so that it does not continue an incomplete record. This file is not
            # truncated, because a reader may have read further and would continue in the middle of a line.
            self.close()
            raise StoreError(
                f"trials cannot be appended to {str(self._path)!r}: {error}. Nothing finished before is lost; "
                "make room or mend the folder, then start the same command again."
            ) from error

    def close(self) -> None:
        """Close the file. The next line begins a new file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is not None:
            return self._file
        while self._file is None:
            name = f"trials-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            self._path = self._folder / name
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            with contextlib.suppress(OSError):  # no locks here: see the head of this file
                fcntl.flock(self._file, fcntl.LOCK_EX)
            if not _is_at(self._file, self._path):
                self.close()  # a compaction removed the empty, unlocked file
        sync_folder(self._folder)
        return self._file

    def __del__(self) -> None:
        self.close()


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


class LogReader:
    """Reads complete lines of all writers of a folder, each line once. A second reading returns only new lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[str, int] = {}

    def new_lines(self) -> Iterator[tuple[bytes, Path]]:
        """Lines that were not read yet, with the file they are in.

        Raises
        ------
        StoreError
            A file cannot be read.
        """
        for path in sorted(self._folder.glob(PATTERN)):
            with contextlib.suppress(FileNotFoundError):  # compacted since the folder was listed: it is in a part now
                for line in whole_lines(path, self._offsets.get(path.name, 0)):
                    yield line, path
                    self._offsets[path.name] = self._offsets.get(path.name, 0) + len(line)


def whole_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """Lines of a log from a byte on, up to an incomplete line.

    Such a line is still being written, or its writer was killed. Nothing after it is read, because the line may have
    been completed in the meantime.

    Raises
    ------
    StoreError
        The file cannot be read.
    FileNotFoundError
        It is not there.
    """
    try:
        with open(path, "rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error}.") from error


@contextlib.contextmanager
def resting(path: Path) -> Iterator[bool]:
    """Whether no writer will append to a log any more. Inside the context, no writer can start to.

    Raises
    ------
    StoreError
        The file cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # NFS grants an exclusive lock to those only who may write
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be opened: {error}.") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # no locks on this file system
            free = time.time() - os.fstat(file).st_mtime > QUIET_SECONDS
        yield free
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Write new and changed names of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
