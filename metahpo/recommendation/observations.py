"""What users measured of their own tasks and told a recommender, in memory and as a log in its folder.

The log is append-only, a file a writer, with the locks of :mod:`metahpo.trials.log`: writers at the same time lose
nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metahpo.exceptions import ArtefactError, StoreError
from metahpo.space.cash import to_cash
from metahpo.space.configuration import Configuration, to_json

#: Folder of the log, beside the meta-dataset.
FOLDER = "observed"
#: Version of a line.
VERSION = 1
#: Fewest trials of a task, of different losses, by which it becomes a source task.
MIN_TRIALS = 2

#: Configurations tried on a task, and their losses.
Trials = tuple[list[Configuration], NDArray[np.float64]]


@dataclass(frozen=True)
class Observation:
    """One configuration that was measured on a task.

    Attributes
    ----------
    task, fingerprint : str
        Name of the task, and the digest of its values.
    learner : str
    configuration : dict
    metric : str
    loss : float
        NaN for a failed trial.
    meta_features : mapping of str to float
    """

    task: str
    fingerprint: str
    learner: str
    configuration: Configuration
    metric: str
    loss: float
    meta_features: Mapping[str, float]

    def to_line(self) -> str:
        """One line of JSON."""
        content = asdict(self)
        content["loss"] = None if math.isnan(self.loss) else self.loss
        content["meta_features"] = {k: None if math.isnan(v) else v for k, v in self.meta_features.items()}
        return json.dumps({"observation": VERSION, **content}, sort_keys=True)

    @classmethod
    def from_line(cls, line: bytes) -> Observation:
        """Inverse of :meth:`to_line`.

        Raises
        ------
        ValueError, LookupError, TypeError
            Anything else.
        """
        content = json.loads(line)
        if content.pop("observation") != VERSION:
            raise ValueError("of another version")
        content["loss"] = math.nan if content["loss"] is None else float(content["loss"])
        features = content["meta_features"]
        content["meta_features"] = {k: math.nan if v is None else float(v) for k, v in features.items()}
        return cls(**content)


def read_observations(folder: Path) -> tuple[Observation, ...]:
    """All observations of a recommender's folder; none where it has no log.

    Raises
    ------
    ArtefactError
        A line that is whole, but no observation.
    StoreError
        A file cannot be read.
    """
    if not (folder / FOLDER).is_dir():
        return ()
    from metahpo.trials.log import LogReader  # its locks need Unix

    found = []
    for line, path in LogReader(folder / FOLDER).new_lines():
        try:
            found.append(Observation.from_line(line))
        except (ValueError, LookupError, TypeError) as error:
            raise ArtefactError(
                f"{str(path)!r} holds a line that is no observation ({error}): remove the line, or install the version "
                "of metahpo that wrote it."
            ) from error
    return tuple(found)


def append_observations(folder: Path, observations: Iterable[Observation]) -> None:
    """Append observations to the log of a recommender's folder; on return they are on disk.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    lines = "".join(f"{observation.to_line()}\n" for observation in observations)
    if not lines:
        return
    from metahpo.trials.log import LogWriter  # its locks need Unix

    try:
        (folder / FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"observations cannot be written to {str(folder)!r}: {error}.") from error
    writer = LogWriter(folder / FOLDER)
    try:
        writer.append(lines.encode())
    finally:
        writer.close()


def by_task(observations: Sequence[Observation], space: str | None, metric: str) -> dict[str, list[Observation]]:
    """Observations of a space (None: of all learners) and a metric, fingerprint of the task -> its observations."""
    found: dict[str, list[Observation]] = {}
    for one in observations:
        if one.metric == metric and space in (None, one.learner):
            found.setdefault(one.fingerprint, []).append(one)
    return found


def trials_of(observations: Sequence[Observation], space: str | None) -> Trials:
    """Distinct configurations, named as in a space, and the mean loss of each. It is NaN if all trials failed."""
    losses: dict[str, list[float]] = {}
    configurations: dict[str, Configuration] = {}
    for one in observations:
        configuration = one.configuration if space is not None else to_cash(one.learner, one.configuration)
        text = to_json(configuration)
        configurations[text] = configuration
        losses.setdefault(text, []).append(one.loss)
    means = [float(np.nanmean(own)) if not all(map(math.isnan, own)) else math.nan for own in losses.values()]
    return list(configurations.values()), np.array(means)


def informative(losses: NDArray[np.float64]) -> bool:
    """Whether trials tell enough of a task to make it a source task."""
    known = losses[np.isfinite(losses)]
    return len(known) >= MIN_TRIALS and float(np.ptp(known)) > 0.0
