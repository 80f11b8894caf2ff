"""Kills and readers during `MetaDataset.save`: `python scripts/kill_save.py [N_KILLS]`, 40 by default.

A process writes two meta-datasets to one folder in turn and is killed after a random time, again and again. After each
kill the folder must hold one of the two, whole; so it must whenever it is read beside the writer. The exit status is 1
where it did not.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from metahpo.exceptions import MetaHPOError
from metahpo.metadata import release
from metahpo.metadata.meta_dataset import MetaDataset

SAVER = """
import sys
from metahpo.metadata.meta_dataset import MetaDataset

meta_datasets = [MetaDataset.load(folder) for folder in sys.argv[2:]]
print("ready", flush=True)
while True:
    for meta_dataset in meta_datasets:
        meta_dataset.save(sys.argv[1])
"""


def is_one_of(folder: Path, sizes: set[int]) -> bool:
    """Whether a meta-dataset with one of these numbers of tasks is there, and whole."""
    try:
        return len(MetaDataset.load(folder).tasks) in sizes
    except MetaHPOError as error:
        print(error)
        return False


def main(n_kills: int) -> int:
    """Kill, and count what is damaged."""
    rng = random.Random(0)
    whole = MetaDataset.load(release.locate("tabular_regression"))
    part = whole.drop(tasks=list(whole.tasks.index[:10]))
    sizes = {len(whole.tasks), len(part.tasks)}
    n_damaged = n_read = n_read_damaged = 0
    with tempfile.TemporaryDirectory() as root:
        target, folders = Path(root) / "target", [Path(root) / "whole", Path(root) / "part"]
        for folder, meta_dataset in zip(folders, (whole, part), strict=True):
            meta_dataset.save(folder)
        whole.save(target)
        for _ in range(n_kills):
            saver = subprocess.Popen([sys.executable, "-c", SAVER, target, *folders], stdout=subprocess.PIPE)
            assert saver.stdout is not None
            saver.stdout.readline()
            end = time.monotonic() + rng.uniform(0.05, 0.5)
            while time.monotonic() < end:
                n_read += 1
                n_read_damaged += not is_one_of(target, sizes)
            saver.kill()
            saver.communicate()
            n_damaged += not is_one_of(target, sizes)
    print(f"{n_damaged} of {n_kills} kills left a damaged meta-dataset; {n_read_damaged} of {n_read} reads met one")
    return int(n_damaged + n_read_damaged > 0)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
