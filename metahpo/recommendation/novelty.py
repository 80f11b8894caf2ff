"""Novelty: the distance of a task to the recorded tasks.

Symbols: t training tasks, p meta-features; values standardised over the training tasks (median, interquartile range),
clipped, unknown ones 0.

    d(x)       = mean_j min(|x_j - x'_j|, CLIP), least over the training tasks x'
    novelty(x) = share of training tasks whose own d, to the other tasks, is smaller
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Differences beyond this many interquartile ranges are all the same: far.
CLIP = 4.0
#: From here on a task counts as unfamiliar: at most one training task in twenty is as far from the others.
UNFAMILIAR = 0.95


@dataclass(frozen=True)
class Familiarity:
    """Distances between tasks by their meta-features.

    Attributes
    ----------
    names : tuple of str
        Meta-features, in the order of the columns.
    centre, scale : ndarray of shape (p,)
    rows : ndarray of shape (t, p)
        Standardised meta-features of the training tasks.
    own : ndarray of shape (t,)
        Distance of each training task to the nearest other one.
    tasks : tuple of str
        Names of the training tasks.
    """

    names: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    rows: NDArray[np.float64]
    own: NDArray[np.float64]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, meta_features: pd.DataFrame) -> Familiarity:
        """Measure the training tasks (rows) against each other."""
        varied = meta_features.loc[:, meta_features.nunique() > 1]
        values = varied.to_numpy(np.float64)
        low, centre, high = np.nanpercentile(values, [25, 50, 75], axis=0)
        scale = np.where(high > low, high - low, np.nanstd(values, axis=0))
        rows = _standardised(values, centre, scale)
        between = np.stack([_distance(row, rows) for row in rows])
        np.fill_diagonal(between, np.inf)
        return cls(
            tuple(map(str, varied.columns)), centre, scale, rows, between.min(axis=1), tuple(map(str, varied.index))
        )

    def novelty(self, meta_features: Mapping[str, float]) -> float:
        """Novelty of a task in [0, 1]; above 0.95 it is unlike what experience comes from."""
        return float(np.mean(self.own < self.distance(meta_features)))

    def distance(self, meta_features: Mapping[str, float]) -> float:
        """Distance of a task to the nearest training task."""
        values = np.array([meta_features.get(name, np.nan) for name in self.names], dtype=np.float64)
        return float(_distance(_standardised(values, self.centre, self.scale), self.rows).min())

    def distances_between(self, families: Mapping[str, str]) -> dict[str, float]:
        """Distance of each training task to the nearest one of another family; infinite where there is none."""
        own = np.array([families[task] for task in self.tasks])
        found = {}
        for task, family, row in zip(self.tasks, own, self.rows, strict=True):
            others = own != family
            found[task] = float(_distance(row, self.rows[others]).min()) if others.any() else float("inf")
        return found


def _standardised(
    values: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.nan_to_num((values - centre) / scale, nan=0.0, posinf=CLIP, neginf=-CLIP)


def _distance(row: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = np.minimum(np.abs(rows - row), CLIP).mean(axis=1)
    return distance
