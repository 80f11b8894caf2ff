"""A trial: one configuration of one learner measured on one task. A failed trial is data as well."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from metahpo.exceptions import DataError
from metahpo.space.configuration import Configuration, to_json
from metahpo.trials.schema import from_line, plain_text, to_line

#: Counts are 64-bit numbers in the parts of a store.
_LARGEST_COUNT = 2**63 - 1


class TrialStatus(StrEnum):
    """Status of a finished trial."""

    SUCCESS = "success"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    DIVERGED = "diverged"
    INVALID = "invalid"


@dataclass(frozen=True)
class TrialKey:
    """Key of a trial. Trials with equal keys are the same trial, and one record of it is enough.

    Attributes
    ----------
    task : str
        Key of the dataset, with the size where the task has one: see :func:`metahpo.building.protocol.task_key`.
    learner : str
    configuration : dict
        Active hyperparameters only.
    protocol : str
        How the trial is measured: folds, row limit, version.
    seed : int
        Number of the repeat; it seeds splits and learner.
    fidelity : float
        Share of the full training budget, in (0, 1].
    """

    task: str
    learner: str
    configuration: Configuration
    protocol: str
    seed: int = 0
    fidelity: float = 1.0

    @property
    def identity(self) -> str:
        """32 hexadecimal digits of SHA-256 over all fields."""
        text = json.dumps(
            [self.task, self.learner, to_json(self.configuration), self.protocol, self.seed, self.fidelity]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes
    ----------
    key : TrialKey
    status : TrialStatus
    fold_losses : dict of str to sequence of float
        Metric name -> loss of every fold; empty unless `status` is success.
    fit_seconds, predict_seconds : sequence of float
        Wall-clock seconds of every fold.
    message : str
        Why it failed; empty on success.
    seconds : float
        Wall-clock seconds of the whole trial.
    peak_memory_bytes : int
        Largest resident set during the trial of the process that ran it and all that it forked.
    versions : dict of str to str
        Versions of the libraries that ran it.
    attempt : int
        1, and more for a failed trial that was asked for again.
    finished : float
        When it ended, in seconds since the epoch, UTC; 0 where that was not recorded.
    learning_curve : dict of str to sequence of float
        Metric name -> loss after each epoch, the mean over the folds; empty for learners without epochs.
    device : str
        What it ran on: ``cpu``, or the name of an accelerator.
    peak_device_memory_bytes : int
        Most memory of the accelerator that it held; 0 on the CPU.
    """

    key: TrialKey
    status: TrialStatus
    fold_losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fit_seconds: Sequence[float] = ()
    predict_seconds: Sequence[float] = ()
    message: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    finished: float = 0.0
    learning_curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    device: str = "cpu"
    peak_device_memory_bytes: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", plain_text(self.message))

    def loss(self, metric: str) -> float:
        """Mean loss over the folds; NaN for a failed trial or a metric that was not recorded."""
        losses = self.fold_losses.get(metric, ())
        return sum(losses) / len(losses) if losses else math.nan

    def to_json(self) -> str:
        """One line of JSON; its form is that of :mod:`metahpo.trials.schema`."""
        return to_line("trial", {"identity": self.key.identity, **asdict(self)})

    @classmethod
    def from_json(cls, line: str | bytes) -> Trial:
        """Inverse of :meth:`to_json`.

        Raises
        ------
        DataError
            A line that is no trial, or whose identity is not that of its content.
        """
        kind, content = from_line(line)
        if kind != "trial":
            raise DataError(f"not a trial record but a {kind}: {line[:80]!r}")
        return cls.from_content(content)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Trial:
        """Trial of the content of a line, which is used up; see :func:`metahpo.trials.schema.from_line`.

        Raises
        ------
        DataError
            A content that is no trial, or whose identity is not its own.
        """
        try:
            identity = content.pop("identity")
            trial = cls(**{**content, "key": TrialKey(**content["key"]), "status": TrialStatus(content["status"])})
            wrong = list(_wrong_types(trial))
            if wrong:
                raise TypeError(f"of another type than expected: {', '.join(wrong)}")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a trial record ({error}): {str(content)[:80]}") from error
        if identity != trial.key.identity:
            raise DataError(f"a trial record says it is {identity}, but its content is {trial.key.identity}.")
        return trial


def _wrong_types(trial: Trial) -> Iterator[str]:
    """Fields of a trial that was read whose values have another type than they should; their range is not looked at."""
    key = trial.key
    words = {"task": key.task, "learner": key.learner, "protocol": key.protocol}
    yield from (name for name, value in words.items() if not is_word(value))
    texts = {"message": trial.message, "device": trial.device}
    yield from (name for name, value in texts.items() if not isinstance(value, str))
    counts = {"seed": key.seed, "attempt": trial.attempt, "peak_memory_bytes": trial.peak_memory_bytes}
    counts["peak_device_memory_bytes"] = trial.peak_device_memory_bytes
    yield from (name for name, value in counts.items() if type(value) is not int or abs(value) > _LARGEST_COUNT)
    numbers = {"fidelity": key.fidelity, "seconds": trial.seconds, "finished": trial.finished}
    yield from (name for name, value in numbers.items() if not _is_number(value))
    yield from (name for name in ("fit_seconds", "predict_seconds") if not _are_numbers(getattr(trial, name)))
    for name in ("fold_losses", "learning_curve"):
        table = getattr(trial, name)
        if not isinstance(table, Mapping) or not all(map(_are_numbers, table.values())):
            yield name
    mappings = {"configuration": key.configuration, "versions": trial.versions}
    yield from (name for name, value in mappings.items() if not isinstance(value, Mapping))


def is_word(value: Any) -> bool:
    """Whether a value that was read is a text that can be written again: JSON may hold half of a character."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_is_number, values))
