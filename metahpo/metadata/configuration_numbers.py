"""Configurations of a space, stored once. Trials hold the number of a row in the table of configurations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from metahpo.exceptions import DataError

#: Columns of the table of configurations.
COLUMNS = ("space", "configuration")


class ConfigurationNumbers:
    """Numbers the pairs of search space and configuration in the order of their first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def numbered(self, blocks: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Trials, block by block, with one column ``configuration`` of numbers in place of space and text."""
        for trials in blocks:
            pairs = zip(trials["space"], trials["configuration"], strict=True)
            numbers = [self._numbers.setdefault(pair, len(self._numbers)) for pair in pairs]
            rest = trials.drop(columns=list(COLUMNS))
            rest.insert(1, "configuration", np.array(numbers, dtype=np.int32))
            yield rest

    def table(self) -> pd.DataFrame:
        """The configurations that were numbered: columns ``space`` and ``configuration``; row i has number i."""
        return pd.DataFrame(list(self._numbers), columns=list(COLUMNS))


def with_configurations(trials: pd.DataFrame, configurations: pd.DataFrame) -> pd.DataFrame:
    """Inverse of :meth:`ConfigurationNumbers.numbered`: trials with the columns ``space`` and ``configuration``.

    Raises
    ------
    DataError
        A missing column, or a number without a row.
    """
    missing = [column for column in COLUMNS if column not in configurations.columns]
    if missing or "configuration" not in trials.columns:
        raise DataError(f"the table of configurations lacks the columns {missing or ['configuration']}.")
    numbers = trials["configuration"].to_numpy()
    if not np.issubdtype(numbers.dtype, np.integer) or not ((numbers >= 0) & (numbers < len(configurations))).all():
        raise DataError(f"trials name configurations by numbers outside 0 .. {len(configurations) - 1}.")
    whole = trials.drop(columns="configuration")
    for place, column in enumerate(COLUMNS, start=1):
        whole.insert(place, column, configurations[column].to_numpy()[numbers])
    return whole
