"""Extraction of meta-features from a task: one call, on one thread, with the same result every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter

from threadpoolctl import ThreadpoolController

from metahpo.metafeatures.classes import WITHOUT_COLUMNS, without_columns
from metahpo.metafeatures.definition import Group, MetaFeature
from metahpo.metafeatures.general import GENERAL, general
from metahpo.metafeatures.image_features import IMAGE, draw_images, image
from metahpo.metafeatures.information import INFORMATION, information
from metahpo.metafeatures.landmarking import LANDMARKING, landmarking
from metahpo.metafeatures.others import MetaFeatureGroup, meta_features_named
from metahpo.metafeatures.sample import Sample, draw, without_empty_columns
from metahpo.metafeatures.statistical import STATISTICAL, statistical
from metahpo.metafeatures.text_features import TEXT, draw_texts, text
from metahpo.numerics.arithmetic import own_arithmetic
from metahpo.tasks.task import Modality, Task

#: Meta-features of tables, in the order of `MetaFeatures.values`; `pandas.DataFrame(META_FEATURES)` is a table of them.
META_FEATURES: tuple[MetaFeature, ...] = (*GENERAL, *STATISTICAL, *INFORMATION, *LANDMARKING)
#: Those of every modality: images and texts have groups of their own, and what needs no columns.
DEFINITIONS: Mapping[Modality, tuple[MetaFeature, ...]] = {
    "table": META_FEATURES,
    "image": (*WITHOUT_COLUMNS, *IMAGE),
    "text": (*WITHOUT_COLUMNS, *TEXT),
}


@dataclass(frozen=True)
class MetaFeatures:
    """The meta-features of one task.

    Attributes
    ----------
    values : mapping of str to float
        One value a definition of the task's modality in `DEFINITIONS` (`META_FEATURES` for tables), in that order;
        NaN = not defined for this task. Then those of other packages, called ``GROUP.NAME``.
    seconds : mapping of str to float
        Wall-clock seconds of each group, and of "sample": arranging and drawing rows and columns.
    n_rows_used, n_columns_used : int
        Size of the sample that all groups but landmarking read; landmarking reads part of its rows. The columns of
        images are their pixels, times channels.
    """

    values: Mapping[str, float]
    seconds: Mapping[str, float]
    n_rows_used: int
    n_columns_used: int


@dataclass(frozen=True)
class _Prepared:
    """Computations that remain after the sample of a task is drawn: one call for each group."""

    groups: Mapping[Group, Callable[[], dict[str, float]]]
    n_rows: int
    n_columns: int


@own_arithmetic()
def extract(
    task: Task, random_state: int = 0, others: Sequence[str] | Mapping[str, MetaFeatureGroup] = ()
) -> MetaFeatures:
    """Compute the meta-features of a task.

    Time is bounded by the size of the sample, not by a clock, so that the same data give the same values on any day.
    For tables, the order of rows and columns, names, and the units of numeric columns do not matter (see
    `canonical_order`); for images and texts the order of rows does, by which they are drawn and dealt into folds.

    Parameters
    ----------
    task : Task
        Task of any kind and modality, with or without missing cells and categorical columns. It is not changed.
    random_state : int, default=0
        Seed of the draws of rows, columns and folds.
    others : sequence of str, or mapping of str to MetaFeatureGroup, default=()
        Groups of other packages to compute too, by name: see :func:`metahpo.metafeatures.others.meta_features_named`.

    Returns
    -------
    MetaFeatures
        A value that is not defined (a class share of a regression task, say) is NaN; nothing is raised for it.

    Raises
    ------
    UnknownNameError, PluginError
        A group of `others` does not exist, cannot be loaded, or fails.
    """
    if not isinstance(others, Mapping):
        others = {name: meta_features_named(name) for name in others}
    seconds: dict[str, float] = {}
    # On such small matrices, threads take more time than they save, and their number would change the last digits.
    with _libraries().limit(limits=1):
        start = perf_counter()
        prepared = _PREPARE[task.modality](task, random_state)
        seconds["sample"] = perf_counter() - start
        found: dict[str, float] = {}
        for group, compute in prepared.groups.items():
            start = perf_counter()
            found |= compute()
            seconds[group] = perf_counter() - start
        values = {feature.name: found.get(feature.name, float("nan")) for feature in DEFINITIONS[task.modality]}
        for name, other in others.items():
            start = perf_counter()
            values |= other.values(name, task)
            seconds[name] = perf_counter() - start
    return MetaFeatures(values, seconds, prepared.n_rows, prepared.n_columns)


@cache
def _libraries() -> ThreadpoolController:
    """The libraries of linear algebra. They are loaded with this package, and to find them takes milliseconds."""
    return ThreadpoolController()


def _table(task: Task, random_state: int) -> _Prepared:
    task = without_empty_columns(task)
    drawn = draw(task, random_state)
    sample = Sample.of(drawn)
    groups: dict[Group, Callable[[], dict[str, float]]] = {
        "general": lambda: general(task, drawn, sample),
        "statistical": lambda: statistical(sample),
        "information": lambda: information(sample),
        "landmarking": lambda: landmarking(drawn, random_state),
    }
    return _Prepared(groups, sample.n_rows, sample.n_columns)


def _images(task: Task, random_state: int) -> _Prepared:
    images, y = draw_images(task, random_state)
    return _Prepared(
        {"general": lambda: without_columns(task.y), "image": lambda: image(images, y)}, len(y), images[0].size
    )


def _texts(task: Task, random_state: int) -> _Prepared:
    texts, y = draw_texts(task, random_state)
    return _Prepared(
        {"general": lambda: without_columns(task.y), "text": lambda: text(texts, y)}, len(y), len(task.categorical)
    )


_PREPARE: Mapping[Modality, Callable[[Task, int], _Prepared]] = {"table": _table, "image": _images, "text": _texts}
