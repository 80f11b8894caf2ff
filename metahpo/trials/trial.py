"""A trial: one configuration of one learner measured on one task. A failed trial is data as well."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from metahpo.exceptions import DataError
from metahpo.space.configuration import Configuration, to_json


class TrialStatus(StrEnum):
    """How a trial ended."""

    SUCCESS = "success"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    DIVERGED = "diverged"
    INVALID = "invalid"


@dataclass(frozen=True)
class TrialKey:
    """What makes a trial itself: two trials with equal keys are the same trial, and one of them is enough.

    Attributes
    ----------
    task : str
        Key of the dataset.
    learner : str
    configuration : dict
        Active hyperparameters only.
    protocol : str
        How the trial is measured: folds, row limit, version.
    seed : int
        Seed of splits and learner.
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
        Largest resident set of the process that ran it.
    versions : dict of str to str
        Versions of the libraries that ran it.
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

    def loss(self, metric: str) -> float:
        """Mean loss over the folds; NaN for a failed trial or a metric that was not recorded."""
        losses = self.fold_losses.get(metric, ())
        return sum(losses) / len(losses) if losses else math.nan

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"identity": self.key.identity, **asdict(self)}, allow_nan=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """Inverse of :meth:`to_json`.

        Raises
        ------
        DataError
            A line that is no trial, or whose identity is not that of its content.
        """
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise TypeError(f"a JSON object was expected, not {type(record).__name__}")
            identity = record.pop("identity")
            trial = cls(**{**record, "key": TrialKey(**record["key"]), "status": TrialStatus(record["status"])})
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a trial record ({error}): {line[:80]!r}") from error
        if identity != trial.key.identity:
            raise DataError(f"a trial record says it is {identity}, but its content is {trial.key.identity}.")
        return trial
