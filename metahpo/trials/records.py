"""The records of a trial store that are no trials: tasks that cannot be measured, and failures to be tried again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from metahpo.exceptions import DataError
from metahpo.trials.schema import from_line, plain_text, to_line
from metahpo.trials.trial import Trial


@dataclass(frozen=True)
class TaskRefusal:
    """Why nothing can be measured on a task: no learner's failure, so no trial.

    Attributes
    ----------
    task : str
        Key of the dataset.
    reason : str
    time : float
        Seconds since the epoch, UTC.
    """

    task: str
    reason: str
    time: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", plain_text(self.reason))

    def to_json(self) -> str:
        """One line of JSON."""
        return to_line("refusal", asdict(self))


@dataclass(frozen=True)
class RetryRequest:
    """A failed trial is owed again: records of it with a lower attempt no longer count.

    Attributes
    ----------
    identity : str
        Of the trial.
    attempt : int
        Number of the attempt that is owed.
    """

    identity: str
    attempt: int

    def to_json(self) -> str:
        """One line of JSON."""
        return to_line("retry", asdict(self))


Record = Trial | TaskRefusal | RetryRequest


def record_from_json(line: str | bytes) -> Record:
    """Read any record.

    Raises
    ------
    DataError
        A line that is no record.
    """
    kind, content = from_line(line)
    return record_of(kind, content)


def record_of(kind: str, content: dict[str, Any]) -> Record:
    """Record of a kind and the content of its line, which is used up.

    Raises
    ------
    DataError
        Unknown kind, or a content that is not of it.
    """
    if kind == "trial":
        return Trial.from_content(content)
    kinds: dict[str, type[TaskRefusal] | type[RetryRequest]] = {"refusal": TaskRefusal, "retry": RetryRequest}
    try:
        return kinds[kind](**content)
    except (KeyError, TypeError) as error:
        raise DataError(f"not a record of the kind {kind!r} ({error!r}): {content}") from error
