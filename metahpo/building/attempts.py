"""Marks of the trials that are under way, which outlive a worker that is killed.

A mark is a file in the build's folder, named by the trial's identity and one byte longer for each start of the trial. A
worker makes it before a trial and removes it once the trial is recorded. A mark without a claim is of a trial whose
worker was killed meanwhile. Once says little: the trial may have run beside the one at fault, or an operator may have
killed the worker. :class:`Attempts` says which trials are to run alone, and which are at fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metahpo.exceptions import StoreError
from metahpo.trials.trial import TrialKey

FOLDER = ".attempts"
#: Starts without an end after which a trial runs alone, so that it cannot be ended by the fault of another.
STARTS_TOGETHER = 2
#: Starts without an end after which the trial is at fault.
MAX_STARTS = 4


class Attempts:
    """Marks of trials in the folder of a build.

    Parameters
    ----------
    folder : path
        Folder of the build.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def begin(self, keys: Iterable[TrialKey]) -> None:
        """Mark trials that start now.

        Raises
        ------
        StoreError
            The folder cannot be written, or it is gone.
        """
        with self._writing():
            self._folder.mkdir(exist_ok=True)
            for key in keys:
                with (self._folder / key.identity).open("ab") as mark:
                    mark.write(b".")

    def end(self, keys: Iterable[TrialKey]) -> None:
        """Remove the marks of trials that have ended, or that do not run after all.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        with self._writing():
            for key in keys:
                (self._folder / key.identity).unlink(missing_ok=True)

    def starts(self) -> dict[str, int]:
        """Identity -> number of starts, of every trial with a mark."""
        found = {}
        for mark in self._folder.glob("*"):
            try:
                found[mark.name] = mark.stat().st_size
            except FileNotFoundError:  # the trial has just ended
                continue
        return found

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"trials cannot be marked as running in {str(self._folder)!r}: {error}. Nothing finished before is "
                "lost; make room or mend the folder, then start the same command again."
            ) from error
