"""The trial store: a folder of append-only JSON-lines files, one a writer: nothing is shared but a directory."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from metahpo.exceptions import DataError, StoreError
from metahpo.trials.trial import Trial


class TrialStore:
    """Trials in a folder; safe for many writers and against being killed at any moment.

    Every writer appends whole lines to a file of its own and syncs them before it goes on. A line without its end of
    line is what a killed writer left, and is passed over; any other line that is no trial is an error.

    Parameters
    ----------
    folder : path
        Created where it does not exist.

    Raises
    ------
    StoreError
        The folder cannot be created, read or written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the trial store {str(self.folder)!r} cannot be created: {error}.") from error
        self._path = self.folder / f"trials-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def append(self, trials: Iterable[Trial]) -> None:
        """Append finished trials to this writer's file; on return they are on disk.

        Raises
        ------
        StoreError
            The disk is full or the folder read-only or gone; what was written before stays whole.
        """
        lines = "".join(trial.to_json() + "\n" for trial in trials).encode()
        try:
            with open(self._path, "ab", buffering=0) as file:
                start = file.tell()
                try:
                    written = file.write(lines)
                    if written != len(lines):
                        raise OSError("the disk took only part of the record")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(start)  # half a record must not become the head of the next
                    raise
        except OSError as error:
            raise StoreError(
                f"trials cannot be appended to {str(self._path)!r}: {error}. Nothing finished before is lost; "
                "make room or mend the folder, then start the same command again."
            ) from error

    def __iter__(self) -> Iterator[Trial]:
        """All trials of all writers; a trial recorded twice comes once."""
        seen: set[str] = set()
        for line, path in self._lines():
            try:
                trial = Trial.from_json(line)
            except DataError as error:
                raise StoreError(f"{str(path)!r} holds a damaged line: {error}") from error
            if trial.key.identity not in seen:
                seen.add(trial.key.identity)
                yield trial

    def identities(self) -> set[str]:
        """Identities of all recorded trials, without building them."""
        found = set()
        for line, path in self._lines():
            try:
                found.add(str(json.loads(line)["identity"]))
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"{str(path)!r} holds a damaged line ({error!r}): {line[:80]!r}") from error
        return found

    def _lines(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.folder.glob("trials-*.jsonl")):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    for line in file:
                        if line.endswith("\n"):
                            yield line, path
            except OSError as error:
                raise StoreError(f"{str(path)!r} cannot be read: {error}.") from error
