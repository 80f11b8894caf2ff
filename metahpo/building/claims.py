"""Claims of running trials, which keep two workers from running the same trial.

A claim is a lock on one byte of a file in the build's folder; the byte's place follows from the trial's identity. The
kernel (on NFS, the server) releases the locks of a process when it ends in any way, so a killed worker leaves no claim.
On a file system without locks, every claim is granted. Two drivers on one folder may then run a trial at the same time,
and readers of the store take one of the two records.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import warnings
from functools import cache
from pathlib import Path

from metahpo.exceptions import StoreError

CLAIMS_FILE = ".claims"


class Claims:
    """Claims on the trials of one build; one object a process and folder, see :func:`claims_of`.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # One descriptor for the life of the process, because closing any descriptor of a file releases all its
            # locks.
            self._file = os.open(folder / CLAIMS_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreError(f"the folder of the build {str(folder)!r} cannot be written: {error}.") from error
        self._held: set[str] = set()  # the kernel grants a process its own locks again, so threads need this set
        self._lock = threading.Lock()
        self._locking = True

    def take(self, identity: str) -> bool:
        """Claim a trial. False if another running process has claimed it."""
        with self._lock:
            if identity in self._held or not self._locked(identity):
                return False
            self._held.add(identity)
            return True

    def release(self, identity: str) -> None:
        """Release a claim after the trial was stored or skipped."""
        with self._lock:
            self._held.remove(identity)
            if self._locking:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(identity))

    def _locked(self, identity: str) -> bool:
        if not self._locking:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(identity))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            warnings.warn(
                f"the file system of the build knows no locks ({error}): run one driver at a time, or shards.",
                RuntimeWarning,
                stacklevel=2,
            )
            self._locking = False
        return True


@cache
def claims_of(folder: Path) -> Claims:
    """The claims of this process in a folder."""
    return Claims(folder)


def _place(identity: str) -> int:
    """Byte of a trial: 60 bits of its identity.

    Among a million trials, the chance that two share a byte is 1 in 10^6.
    """
    return int(identity[:15], 16)
