"""Histories on disk: one file of JSON a unit, so that an evaluation that was ended goes on where it was.

The name of a file is a digest of all that its content depends on: data, method, seed, protocol, and the version and the
code of the package. What another protocol, another meta-dataset or another version left in the folder is never read. A
file is written under a temporary name and renamed, so that it is whole or not there; one that was damaged later is
replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metahpo import __version__
from metahpo.evaluation.baselines.baseline import Method
from metahpo.evaluation.unit import History, Unit, UnitResult
from metahpo.exceptions import StoreError

#: Version of the files' layout.
FORMAT = 1
#: Folders and files of the package that methods and searches are made of.
CODE = ("acquisition", "evaluation/baselines", "evaluation/pool.py", "evaluation/replay.py", "evaluation/unit.py",
        "numerics", "space", "surrogates")  # fmt: skip
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]+")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@cache
def digest_of_code() -> str:
    """Digest of the files that a history depends on, so that a change of a method is noticed before its version is."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for name in CODE:
        for file in sorted((package / name).rglob("*.py")) if (package / name).is_dir() else [package / name]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def identity(unit: Unit, data: str) -> str:
    """Digest of all that the result of a unit depends on.

    Parameters
    ----------
    unit : Unit
    data : str
        What :func:`~metahpo.metadata.task_table.digest_of_tables` gives for all tables of the space.
    """
    halves = hashlib.sha256()
    for table in unit.held_out if unit.halves is not None else ():
        for losses in unit.halves[table.task] if unit.halves else ():
            halves.update(np.ascontiguousarray(losses).tobytes())
    told = (
        FORMAT,
        __version__,
        digest_of_code(),
        data,
        [table.task for table in unit.training],
        [table.task for table in unit.held_out],
        _described(unit.method),
        unit.space,
        unit.seed,
        unit.n_trials,
        unit.n_replays,
        sorted(unit.defaults.items()),
        unit.default_first,
        halves.hexdigest() if unit.halves is not None else None,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()


class HistoryFolder:
    """Folder of histories.

    Parameters
    ----------
    folder : Path or str
        Made where it is not there.

    Raises
    ------
    StoreError
        It cannot be made, or cannot be written to.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"histories cannot be kept in {str(folder)!r}: {error}. Give another folder.") from error
        if not os.access(self.folder, os.W_OK):
            raise StoreError(f"histories cannot be kept in {str(folder)!r}: it cannot be written to.")

    def path(self, unit: Unit, data: str) -> Path:
        """File of a unit."""
        method = _NOT_PLAIN.sub("-", unit.method.name)[:40]
        name = f"{unit.space}.{method}.fold{unit.fold}.seed{unit.seed}.{identity(unit, data)[:16]}.json"
        return self.folder / name

    def find(self, unit: Unit, data: str) -> UnitResult | None:
        """What was kept of a unit; None where nothing was, or where the file is damaged."""
        try:
            return _from_json(json.loads(self.path(unit, data).read_bytes()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def keep(self, unit: Unit, data: str, result: UnitResult) -> None:
        """Keep the result of a unit; one in which the method failed is not kept, so that it is tried again.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        if result.failure is None and not any(history.failure for history in result.histories):
            path = self.path(unit, data)
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                part.write_text(json.dumps(asdict(result)), encoding="utf-8")
                part.replace(path)
            except OSError as error:
                raise StoreError(f"{str(path)!r} cannot be written: {error}. What was finished is kept.") from error


def _described(method: Method) -> str:
    """Class, name and settings of a method; what a class does not show of itself is not part of it."""
    return f"{type(method).__module__}.{type(method).__qualname__} {method.name} {_ADDRESS.sub('', repr(method))}"


def _from_json(content: dict[str, Any]) -> UnitResult:
    histories = tuple(History(**{**history, "picks": tuple(history["picks"])}) for history in content["histories"])
    first = {task: tuple(rows) for task, rows in content["first_picks"].items()}
    return UnitResult(histories, first, tuple(content["coverage"]), float(content["learn_seconds"]))
