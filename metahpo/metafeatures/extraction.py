"""From a task to its meta-features: one call, in process, on one thread, the same answer every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from threadpoolctl import threadpool_limits

from metahpo.metafeatures.definition import GROUPS, MetaFeature, TableGroup
from metahpo.metafeatures.general import GENERAL, general
from metahpo.metafeatures.information import INFORMATION, information
from metahpo.metafeatures.landmarking import LANDMARKING, landmarking
from metahpo.metafeatures.sample import Sample, draw
from metahpo.metafeatures.statistical import STATISTICAL, statistical
from metahpo.tasks.task import Task

#: Every meta-feature, in the order of `MetaFeatures.values`; `pandas.DataFrame(META_FEATURES)` is a table of them.
META_FEATURES: tuple[MetaFeature, ...] = (*GENERAL, *STATISTICAL, *INFORMATION, *LANDMARKING)


@dataclass(frozen=True)
class MetaFeatures:
    """The meta-features of one task.

    Attributes
    ----------
    values : mapping of str to float
        One value a definition in `META_FEATURES`, in that order for every task; NaN = not defined for this task.
    seconds : mapping of str to float
        Wall-clock seconds of each group, and of "sample": arranging and drawing rows and columns.
    n_rows_used, n_columns_used : int
        Size of the sample that all groups but landmarking read; landmarking reads part of its rows.
    """

    values: Mapping[str, float]
    seconds: Mapping[str, float]
    n_rows_used: int
    n_columns_used: int


def extract(task: Task, random_state: int = 0) -> MetaFeatures:
    """Compute the meta-features of a task.

    Time is bounded by the size of the sample, not by a clock, so that the same data give the same values on any day;
    the order of rows and columns, names, and the units of numeric columns do not matter (see `arrangement`).

    Parameters
    ----------
    task : Task
        Of either kind; missing cells and categorical columns are welcome. It is not changed.
    random_state : int, default=0
        Seed of the draws of rows, columns and folds.

    Returns
    -------
    MetaFeatures
        A value that is not defined (a class share of a regression task, say) is NaN; nothing is raised for it.
    """
    seconds: dict[str, float] = {}
    # On matrices this small, threads cost more than they bring, and their number would be felt in the last digits.
    with threadpool_limits(1):
        start = perf_counter()
        drawn = draw(task, random_state)
        sample = Sample.of(drawn)
        seconds["sample"] = perf_counter() - start
        compute: dict[TableGroup, Callable[[], dict[str, float]]] = {
            "general": lambda: general(task, drawn, sample),
            "statistical": lambda: statistical(sample),
            "information": lambda: information(sample),
            "landmarking": lambda: landmarking(drawn, random_state),
        }
        found: dict[str, float] = {}
        for group in GROUPS:
            start = perf_counter()
            found |= compute[group]()
            seconds[group] = perf_counter() - start
    values = {feature.name: found.get(feature.name, float("nan")) for feature in META_FEATURES}
    return MetaFeatures(values, seconds, sample.n_rows, sample.n_columns)
