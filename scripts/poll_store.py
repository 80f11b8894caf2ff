"""A reader beside two writers at full speed: `python scripts/poll_store.py [N_RECORDS]`, 200,000 by default.

The reader asks for the recorded trials every millisecond. Any error or warning of its own, and any record that is
missing in the end, makes the exit status 1. The writers pass over fsync, which would only slow them down.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings

from metahpo.exceptions import MetaHPOError, StoreWarning
from metahpo.trials.store import TrialStore

WRITER = """
import os, sys
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

os.fsync = lambda descriptor: None
store, first, n = TrialStore(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + n):
    key = TrialKey("task", "svm", {"C": float(i)}, "v1")
    store.append([Trial(key, TrialStatus.SUCCESS, fold_losses={"r2": [0.1] * (i % 50)})])
"""


def main(n_records: int) -> int:
    """Write and read; count the errors."""
    n_errors = n_polls = 0
    half = n_records // 2
    with tempfile.TemporaryDirectory() as folder:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, folder, str(first), str(half)]) for first in (0, half)
        ]
        reader = TrialStore(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("error", StoreWarning)
            running = True
            while running:
                running = any(writer.poll() is None for writer in writers)
                n_polls += 1
                try:
                    reader.identities()
                except (MetaHPOError, StoreWarning) as error:
                    print(error)
                    n_errors += 1
                time.sleep(0.001)
        n_missing = 2 * half - len(reader.identities())
    print(f"{n_errors} errors in {n_polls} polls of {2 * half} records; {n_missing} records are missing")
    return int(n_errors + n_missing > 0)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
