"""A check that a folder can hold a build."""

from __future__ import annotations

from pathlib import Path

from metahpo.building.plan import PLAN_FILE
from metahpo.exceptions import StoreError
from metahpo.trials import log, parts


def check_folder(folder: Path) -> None:
    """Check that a folder holds a build, is empty, or does not exist.

    Hidden files do not count.

    Raises
    ------
    StoreError
        It is a file, or holds files and no build.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StoreError(f"{str(folder)!r} is not a folder; name the folder of a build, or a new one.")
    if (folder / PLAN_FILE).exists() or any(next(folder.glob(of), None) for of in (log.PATTERN, parts.PATTERN)):
        return
    foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if foreign:
        raise StoreError(
            f"{str(folder)!r} is not the folder of a build: it holds {foreign[0]!r}"
            f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}, but no plan and no trials. "
            "Name the folder of a build, or a new one."
        )
