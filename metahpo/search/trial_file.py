"""The trials of a search in a file, from which it goes on after whatever has ended it.

The file has one JSON value a line. The first says of which space, data and metric the trials are; each other line is a
trial, written when it has ended. The file is only ever appended to, by one search at a time, which holds a lock on it.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ConfigSpace import ConfigurationSpace
from joblib import hash as content_hash

from metahpo.exceptions import SpaceError, StoreError, StoreWarning
from metahpo.search.search_trial import Proposal, SearchTrial
from metahpo.space.configuration import json_value
from metahpo.space.domain import Domain
from metahpo.space.space_comparison import description

#: What the first line of a file is of, and its version.
FORMAT = "metahpo search trials, version 1"

#: What to do where a file is not of the search.
_ANOTHER = "give another file (resume_from; --out of `metahpo tune`)."
#: What makes trials comparable: part of a head -> what it is called in messages.
_PARTS = {"data": "other data", "folds": "other folds (give `cv` a random_state)"}

Head = dict[str, Any]


def head_of(space: ConfigurationSpace, X: Any, y: Any, splits: Any, metric: str, fidelity: str | None) -> Head:
    """Common data of the trials of a search."""
    return {
        "format": FORMAT,
        "space": description(space),
        "data": _hash((X, y)),
        "folds": _hash(splits),
        "metric": metric,
        "fidelity": fidelity,
    }


def check_same(ours: Head, theirs: Mapping[str, Any], where: str) -> None:
    """Refuse trials that do not compare with those of a search.

    Raises
    ------
    StoreError
        They are of another space, other data, other folds, another metric or another fidelity.
    """
    one, other = theirs.get("space", {}), ours["space"]
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            raise StoreError(
                f"{where} holds trials of another search space: {key} is {one.get(key, 'missing')} there, but "
                f"{other.get(key, 'missing')} here; {_ANOTHER}"
            )
    if theirs.get("fidelity") != ours["fidelity"]:
        raise StoreError(
            f"{where} holds trials with fidelity={theirs.get('fidelity')!r}, but here it is {ours['fidelity']!r}; "
            f"{_ANOTHER}"
        )
    if theirs.get("metric") != ours["metric"]:
        raise StoreError(
            f"{where} holds trials of another metric, {theirs.get('metric')!r}, but here it is {ours['metric']!r}; "
            f"{_ANOTHER}"
        )
    for part, what in _PARTS.items():
        if theirs.get(part) != ours[part]:
            raise StoreError(f"{where} holds trials of {what}; {_ANOTHER}")


class TrialFile:
    """A file of trials, open for this search alone.

    Parameters
    ----------
    path : path
        It may not exist yet; its folder must.
    head : dict
        See :func:`head_of`.

    Raises
    ------
    StoreError
        The file is of another search, in use, cannot be written, or is no file of trials.
    """

    def __init__(self, path: Path, head: Head) -> None:
        import fcntl  # Unix only; a search without a file needs none

        self._path = path
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise StoreError(f"resume_from={str(path)!r} cannot be opened: {error}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lines = self._read(head)
        except BlockingIOError as error:
            self._file.close()
            raise StoreError(f"{str(path)!r} is in use by another search; wait for its end, or {_ANOTHER}") from error
        except BaseException:
            self._file.close()
            raise

    def trials(
        self, space: ConfigurationSpace, parameters: Callable[[Proposal], dict[str, Any]], n_splits: int
    ) -> list[SearchTrial]:
        """Trials of the file, in order; a line that is damaged is passed over with a StoreWarning."""
        domain, found = Domain(space), []
        for number, line in self._lines:
            try:
                found.append(_trial(json.loads(line), domain, parameters, n_splits))
            except (ValueError, KeyError, TypeError, AttributeError, SpaceError) as error:
                warnings.warn(
                    f"line {number} of {str(self._path)!r} is no trial of this search and is passed over: {error}",
                    StoreWarning,
                    stacklevel=6,
                )
        self._lines = []
        return found

    def append(self, trial: SearchTrial) -> None:
        """Write a trial; on return it is on disk.

        Raises
        ------
        StoreError
            The disk is full, or the file cannot be written any more.
        """
        proposal = trial.proposal
        self._write(
            {
                "configuration": json_value(proposal.configuration),
                "resources": proposal.resources,
                "iteration": proposal.iteration,
                "bracket": proposal.bracket,
                "before": [[json_value(configuration), until] for configuration, until in proposal.before],
                "status": trial.status,
                "reason": trial.reason,
                "seconds": trial.seconds,
                "folds": {str(fold): json_value(result) for fold, result in trial.folds.items()},
            }
        )

    def close(self) -> None:
        """Give up the lock."""
        self._file.close()

    def _read(self, head: Head) -> list[tuple[int, bytes]]:
        self._file.seek(0)
        content = self._file.read()
        lines = list(enumerate(content.split(b"\n"), start=1))
        if len(lines) == 1:  # not even the first line was written whole
            if content and not json.dumps(head).encode().startswith(content[:20]):
                raise StoreError(f"{str(self._path)!r} is no file of a search; {_ANOTHER}")
            os.ftruncate(self._file.fileno(), 0)
            self._write(head)
            return []
        try:
            first = json.loads(lines[0][1])
            version = first["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{str(self._path)!r} is no file of a search; {_ANOTHER}") from error
        if version != FORMAT:
            raise StoreError(f"{str(self._path)!r} is of {version!r}, but this package reads {FORMAT!r}; {_ANOTHER}")
        check_same(head, first, repr(str(self._path)))
        if not content.endswith(b"\n"):  # half a line, where the last search was ended
            self._file.write(b"\n")
        return [(number, line) for number, line in lines[1:] if line.strip()]

    def _write(self, value: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(
                f"the trial cannot be written to {str(self._path)!r}: {error}. Nothing written before is lost."
            ) from error


def _trial(
    record: Mapping[str, Any], domain: Domain, parameters: Callable[[Proposal], dict[str, Any]], n_splits: int
) -> SearchTrial:
    if not isinstance(record, Mapping) or record["status"] not in ("complete", "stopped", "failed"):
        raise ValueError("no trial")
    configuration = domain.canonical(record["configuration"])
    before = tuple((domain.canonical(earlier), int(until)) for earlier, until in record.get("before", []))
    proposal = Proposal(configuration, record["resources"], record["iteration"], record["bracket"], before)
    folds = {int(fold): dict(result) for fold, result in record["folds"].items()}
    if any(fold >= n_splits or "test_scores" not in result for fold, result in folds.items()):
        raise ValueError("folds that this search does not have")
    return SearchTrial(
        proposal, parameters(proposal), folds, n_splits, float(record["seconds"]), record["status"],
        str(record["reason"]),
    )  # fmt: skip


def _hash(value: Any) -> str:
    """Hash of what data hold; that of the type alone, where they cannot be hashed."""
    try:
        return str(content_hash(value))
    except Exception:  # noqa: BLE001 - data may be anything that the estimator takes
        return f"cannot be hashed: {type(value).__name__}"
