"""The definition of a meta-feature (name, group, formula and source), and summaries over columns.

A name always means the same formula, because meta-datasets and surrogates find meta-features by name. A changed formula
therefore gets a new name. Names that a surrogate does not know are unknown values to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metahpo.tasks.task import TaskKind

Group = Literal["general", "statistical", "information", "landmarking", "image", "text"]


@dataclass(frozen=True)
class MetaFeature:
    """The definition of one meta-feature.

    Attributes
    ----------
    name : str
        Key in `MetaFeatures.values`.
    group : str
        "general", "statistical", "information", "landmarking", "image" or "text"; or the name of another package's.
    formula : str
        What is computed, in words and symbols (n rows, p columns, k classes; ln is the natural logarithm).
    source : str
        Where it was proposed.
    kind : {"classification", "regression"} or None
        The only kind of task it is defined for; None: both.
    """

    name: str
    group: str
    formula: str
    source: str
    kind: TaskKind | None = None


def mean_of(values: NDArray[Any]) -> float:
    """Mean over columns, skipping undefined ones; NaN where no column is left."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def largest_of(values: NDArray[Any]) -> float:
    """Largest over columns, skipping undefined ones; NaN where no column is left."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else float("nan")
