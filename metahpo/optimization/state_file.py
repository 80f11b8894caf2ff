"""The state of a search in a JSON file: written whole or not at all, and by one search only.

A file carries the identity of the search that wrote it, and one of the writing. A search replaces only a writing that
it made or read itself, so that two searches on one file cannot overwrite each other's trials.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ConfigSpace import ConfigurationSpace

from metahpo.datasets.files import write_json_file
from metahpo.exceptions import ArtefactError, SpaceError, StoreError
from metahpo.space.space_comparison import description, first_difference
from metahpo.space.stored import read_space

FORMAT = "metahpo search state"
#: Version of the layout that this package writes and reads.
VERSION = 1


@dataclass
class KnownFiles:
    """The state files of one search.

    Attributes
    ----------
    search : str
        Identity of the search.
    writings : dict of path to str
        The writing of each file that the search made or read last.
    """

    search: str = field(default_factory=lambda: uuid4().hex)
    writings: dict[Path, str] = field(default_factory=dict)


def write_state(path: Path, space: ConfigurationSpace, state: Mapping[str, Any], known: KnownFiles) -> None:
    """Write the state of a search, in place of the writing that it knows, and know the new one.

    Raises
    ------
    ArtefactError
        The file holds anything else: another search, a writing of this one by another process, or no state at all.
    StoreError
        The folder cannot be written.
    """
    path = path.absolute()
    with _alone(path.parent):
        if path.exists():
            header = _read(path)
            if header["search"] != known.search:
                raise ArtefactError(
                    f"{str(path)!r} holds the state of another search, with {len(header['state']['trials'])} trials. "
                    "Save to another path, go on with that search by BayesianOptimizer.load, or delete the file."
                )
            if header["writing"] != known.writings.get(path):
                raise ArtefactError(
                    f"{str(path)!r} was written since this search read or wrote it, and now holds "
                    f"{len(header['state']['trials'])} trials: another process goes on with the same search. "
                    "Save to another path, or load the file again."
                )
        writing = uuid4().hex
        record = {
            "format": FORMAT,
            "version": VERSION,
            "search": known.search,
            "writing": writing,
            "space": description(space),
            "space_record": _record(space),
            "state": dict(state),
        }
        write_json_file(path, record)
        known.writings[path] = writing


def read_state(
    path: Path, space: ConfigurationSpace | None
) -> tuple[ConfigurationSpace, Mapping[str, Any], KnownFiles]:
    """Read the space and the state of a search, with what makes it one with the search that wrote the file.

    Parameters
    ----------
    path : Path
    space : ConfigurationSpace or None
        The space that the state must be of; None: the one in the file.

    Raises
    ------
    ArtefactError
        The file is missing, damaged, of another version or of another space.
    """
    header = _read(path)
    if space is not None:
        found = first_difference(header["space"], description(space))
        if found is not None:
            raise ArtefactError(
                f"{str(path)!r} is the state of a search of another space: compared with the one given, {found}."
            )
    elif header["space_record"] is None:
        raise ArtefactError(
            f"{str(path)!r} is of a space with choices that JSON cannot hold, so that the file alone is not enough: "
            "give BayesianOptimizer.load the space."
        )
    else:
        try:
            space = read_space(header["space_record"])
        except SpaceError as error:
            raise ArtefactError(f"{str(path)!r} is damaged: {error}") from error
    known = KnownFiles(header["search"], {path.absolute(): header["writing"]})
    return space, header["state"], known


def _read(path: Path) -> dict[str, Any]:
    """Content of a state file, of which the layout is known."""
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"there is no state of a search at {str(path)!r}; save one there first.") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{str(path)!r} cannot be read as the state of a search: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ArtefactError(f"{str(path)!r} is not the state of a search; BayesianOptimizer.save writes one.")
    if header.get("version") != VERSION:
        raise ArtefactError(
            f"{str(path)!r} is a search state of version {header.get('version')!r}, but this metahpo knows version "
            f"{VERSION} only. Load it with the metahpo that wrote it."
        )
    kinds = {"search": str, "writing": str, "space": dict, "state": dict}
    damaged = [name for name, kind in kinds.items() if not isinstance(header.get(name), kind)]
    if damaged or not isinstance(header["state"].get("trials"), list):
        raise ArtefactError(f"{str(path)!r} is damaged: {damaged or 'its trials'} cannot be read.")
    return header


def _record(space: ConfigurationSpace) -> dict[str, Any] | None:
    """The space as ConfigSpace writes it; None where JSON does not give back the same."""
    try:
        text = json.dumps(space.to_serialized_dict())
        same = description(read_space(json.loads(text))) == description(space)
    except (TypeError, ValueError, SpaceError):
        return None
    record: dict[str, Any] | None = json.loads(text) if same else None
    return record


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to write to a folder; wait for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {str(folder)!r} cannot be made: {error}.") from error
    try:
        import fcntl
    except ImportError:  # not on this system: the count of writings tells what happened
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # no locks on this file system
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
