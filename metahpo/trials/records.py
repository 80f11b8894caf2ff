"""The records of a store that are not trials: tasks that cannot be measured, and requests to retry failures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from metahpo.exceptions import DataError
from metahpo.trials.schema import from_line, plain_text, to_line
from metahpo.trials.trial import Trial, is_word


@dataclass(frozen=True)
class TaskRefusal:
    """The reason why nothing can be measured on a task. It is no failure of a learner, so it is no trial.

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
    """A failed trial is pending again: records of it with a lower attempt no longer count.

    Attributes
    ----------
    identity : str
        Of the trial.
    attempt : int
        Number of the pending attempt.
    """

    identity: str
    attempt: int

    def to_json(self) -> str:
        """One line of JSON."""
        return to_line("retry", asdict(self))


Record = Trial | TaskRefusal | RetryRequest


def record_from_json(line: str | bytes) -> Record:
    """Read a record of any kind. All readers of a store accept the lines that this function accepts.

    Raises
    ------
    DataError
        A line that is no record.
    StoreError
        A record of a newer version; the message says what to do.
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
        record = kinds[kind](**content)
        wrong = [f.name for f in fields(record) if not _is_of(getattr(record, f.name), str(f.type))]
        if wrong:
            raise TypeError(f"of another type than expected: {', '.join(wrong)}")
    except (KeyError, TypeError) as error:
        raise DataError(f"not a record of the kind {kind!r} ({error!r}): {str(content)[:80]}") from error
    return record


def _is_of(value: Any, kind: str) -> bool:
    """Whether a value that was read is of the type of its field."""
    return is_word(value) if kind == "str" else type(value) in {"int": (int,), "float": (int, float)}[kind]
