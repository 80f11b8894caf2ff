"""Compact parts: recorded trials in few bytes, for version control during a build.

A part is a Parquet file with one row a trial: its key, status, message, seconds, and the losses of its fits in every
metric. Losses and seconds are rounded to 16 significant bits (a relative error below 2e-5), which halves the size.
Memory, library versions, devices and learning curves are left out; only the store has them.

Parts are only added. Imported trials are ordinary records, so a build on another machine can continue from the parts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metahpo.exceptions import StoreError
from metahpo.numerics.rounding import rounded
from metahpo.space.configuration import to_json
from metahpo.trials.store import TrialStore
from metahpo.trials.trial import Trial, TrialKey, TrialStatus

PATTERN = "part-*.parquet"
#: Columns of few distinct values.
WORDS = ("task", "learner", "configuration", "protocol", "status", "message")
_LOSSES = "losses."
#: Significant bits of losses and seconds.
BITS = 16


def export_part(folder: Path | str, parts: Path | str) -> int:
    """Write the trials of a store that are in no part yet to a new part.

    Parameters
    ----------
    folder : path
        Folder of a build.
    parts : path
        Folder of the parts; created where it does not exist.

    Returns
    -------
    int
        Trials written; 0 leaves no file.

    Raises
    ------
    StoreError
        The store or a part cannot be read, or the folder cannot be written.
    """
    parts = Path(parts)
    known = {trial.key.identity for trial in read_parts(parts)}
    rows = [_row(trial) for trial in TrialStore(folder) if trial.key.identity not in known]
    if not rows:
        return 0
    frame = pd.DataFrame(rows).sort_values(["learner", "task", "seed"], kind="stable", ignore_index=True)
    path = parts / f"part-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.parquet"
    temporary = path.with_name(f".{path.name}")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(temporary, compression="zstd", compression_level=15, use_dictionary=list(WORDS), index=False)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"the part {str(path)!r} cannot be written: {error}.") from error
    return len(frame)


def import_parts(parts: Path | str, folder: Path | str) -> int:
    """Append the trials of parts that a store lacks, and return their number.

    Raises
    ------
    StoreError
        A part or the store cannot be read, or the store cannot be written.
    """
    store = TrialStore(folder)
    recorded = set(store.identities())
    lacking = [trial for trial in read_parts(parts) if trial.key.identity not in recorded]
    store.append(lacking)
    return len(lacking)


def read_parts(parts: Path | str) -> Iterator[Trial]:
    """Trials of all parts of a folder, the older parts first.

    Raises
    ------
    StoreError
        A part cannot be read.
    """
    for path in sorted(Path(parts).glob(PATTERN)):
        try:
            frame = pd.read_parquet(path)
            metrics = [name for name in frame.columns if name.startswith(_LOSSES)]
            yield from (_trial(row, metrics) for row in frame.to_dict("records"))
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"the part {str(path)!r} cannot be read ({error}); bring it back from a copy.") from error


def _row(trial: Trial) -> dict[str, Any]:
    key = trial.key
    return {
        "task": key.task,
        "learner": key.learner,
        "configuration": to_json(key.configuration),
        "protocol": key.protocol,
        "seed": np.int16(key.seed),
        "fidelity": np.float32(key.fidelity),
        "status": str(trial.status),
        "message": trial.message,
        "seconds": rounded([trial.seconds], BITS)[0],
        "fit_seconds": rounded(trial.fit_seconds, BITS),
        "predict_seconds": rounded(trial.predict_seconds, BITS),
        **{f"{_LOSSES}{metric}": rounded(losses, BITS) for metric, losses in trial.fold_losses.items()},
    }


def _trial(row: Mapping[Hashable, Any], metrics: Sequence[str]) -> Trial:
    key = TrialKey(
        str(row["task"]),
        str(row["learner"]),
        json.loads(row["configuration"]),
        str(row["protocol"]),
        int(row["seed"]),
        float(row["fidelity"]),
    )
    losses = {
        name.removeprefix(_LOSSES): [float(loss) for loss in row[name]] for name in metrics if row[name] is not None
    }
    return Trial(
        key,
        TrialStatus(row["status"]),
        fold_losses=losses,
        fit_seconds=[float(s) for s in row["fit_seconds"]],
        predict_seconds=[float(s) for s in row["predict_seconds"]],
        message=str(row["message"]),
        seconds=float(row["seconds"]),
    )
