"""The record of the training of one estimator: its seconds, its learning curves, and whether it diverged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Training:
    """Record of the training of one estimator.

    Attributes
    ----------
    seconds : float
        Of an estimator that was trained beside others, its share.
    curve : dict of str to sequence of float
        Name of a loss -> its value after each epoch; empty for estimators without epochs.
    diverged : str
        Where and how training diverged; empty where it has not.
    """

    seconds: float
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    diverged: str = ""
