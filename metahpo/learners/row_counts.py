"""Numbers of rows that a learner is fitted on, which some parameters must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metahpo.tasks.task import TaskKind


@dataclass(frozen=True)
class RowCounts:
    """Numbers of rows, of classes, and of rows of the rarest class.

    Attributes
    ----------
    rows : int
    classes, rarest : int
        0 in regression.
    """

    rows: int
    classes: int = 0
    rarest: int = 0

    @classmethod
    def of(cls, y: Any, kind: TaskKind) -> RowCounts:
        """Count the rows of a target, and its classes if it has a single column of them."""
        y = np.asarray(y)
        if kind == "regression" or y.ndim != 1:
            return cls(len(y))
        counts = np.bincount(pd.factorize(y)[0] + 1)[1:]  # the first is of what is missing
        return cls(len(y), len(counts), int(counts.min(initial=len(y))))
