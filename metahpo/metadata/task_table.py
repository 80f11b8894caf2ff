"""Recorded trials as arrays, one table for each task. Surrogates and baselines learn from these tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metahpo.space.cash import to_cash
from metahpo.space.encoding import SpaceEncoder


@dataclass(frozen=True)
class TaskTable:
    """The recorded trials of one task in one search space, as arrays.

    Attributes
    ----------
    task, family : str
        Name of the task, and of its family.
    X : ndarray of shape (n, d)
        Configurations in the unit cube: see :mod:`metahpo.space.encoding`.
    loss : ndarray of shape (n,)
        To be minimised; NaN where the trial failed.
    meta_features : mapping of str to float, or None
        Values may be NaN; None where none are known.
    """

    task: str
    family: str
    X: NDArray[np.float64]
    loss: NDArray[np.float64]
    meta_features: Mapping[str, float] | None


def digest_of_tables(tables: Sequence[TaskTable], fits: Iterable[NDArray[np.float64]] = ()) -> str:
    """Digest of recorded trials, meta-features and families, and of the losses of fits where methods see them."""
    digest = hashlib.sha256()
    for losses in fits:
        digest.update(np.ascontiguousarray(losses).tobytes())
    for table in tables:
        digest.update(repr((table.task, table.family, table.X.shape, table.meta_features)).encode())
        digest.update(np.ascontiguousarray(table.X).tobytes() + np.ascontiguousarray(table.loss).tobytes())
    return digest.hexdigest()


def by_task(
    trials: pd.DataFrame, tasks: pd.Index, encoder: SpaceEncoder, *, cash: bool
) -> Iterator[tuple[str, pd.DataFrame, NDArray[np.float64]]]:
    """Name, trials and encoded configurations (n, d) of each task that has trials, in the order of `tasks`.

    Parameters
    ----------
    trials : DataFrame
        Of one space, or of all where `cash`; columns task, space, configuration.
    tasks : Index
        Names.
    encoder : SpaceEncoder
        Encoder of that space, or of the CASH space.
    cash : bool
    """
    unique, index = _encoded(trials, encoder, cash)
    positions = pd.Series(np.arange(len(trials)), index=trials["task"].to_numpy())
    grouped = positions.groupby(level=0, sort=False).apply(np.asarray)
    for name in tasks:
        if name in grouped.index:
            rows = grouped[name]
            yield str(name), trials.iloc[rows], unique[index[rows]]


def _encoded(trials: pd.DataFrame, encoder: SpaceEncoder, cash: bool) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distinct configurations as rows (u, d), and each trial's row in them (n,)."""
    texts = trials["space"] + "|" + trials["configuration"] if cash else trials["configuration"]
    index, unique = pd.factorize(texts)
    configurations = []
    for text in unique:
        learner, _, configuration = text.partition("|") if cash else ("", "", text)
        values = json.loads(configuration)
        configurations.append(to_cash(learner, values) if cash else values)
    return encoder.encode(configurations), index
