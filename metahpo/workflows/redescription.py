"""Recomputation of the meta-features of a meta-dataset after their definitions have changed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from metahpo.building.protocol import PROTOCOL_VERSION, Protocol
from metahpo.datasets.cache import read_task
from metahpo.exceptions import DataError
from metahpo.metadata.meta_dataset import MetaDataset
from metahpo.metafeatures.extraction import extract
from metahpo.processes import check_n_jobs
from metahpo.tasks.row_sketch import row_sketch
from metahpo.tasks.task import Task

#: Rows that a class had at least under protocol 1.
ROWS_OF_CLASS_OF_PROTOCOL_1 = 3


def describe_again(md: MetaDataset, cache: Path | str, n_jobs: int = -1) -> MetaDataset:
    """Recompute the meta-features of a meta-dataset by the current definitions.

    Parameters
    ----------
    md : MetaDataset
        Its tasks table names the dataset of each task: columns ``key`` and ``n_rows``, and ``dataset`` and ``size``
        where a dataset was measured at several sizes.
    cache : path
        Dataset cache that holds these datasets.
    n_jobs : int, default=-1
        joblib workers.

    Raises
    ------
    DataError
        The tasks table does not name the datasets.
    StoreError
        A dataset is not in the cache, or damaged.
    """
    check_n_jobs(n_jobs)
    missing = [column for column in ("key", "n_rows") if column not in md.tasks]
    if missing:
        raise DataError(f"the tasks of {md.name!r} name no datasets: the tasks table lacks the columns {missing}.")
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
        joblib.delayed(_describe)(Path(cache), about, md.protocol) for about in md.tasks.to_dict("records")
    )
    progress = tqdm(work, total=len(md.tasks), desc="meta-features", disable=not sys.stderr.isatty())
    features = pd.DataFrame(list(progress), index=md.tasks.index)
    return MetaDataset(
        md.tasks,
        md.trials,
        features,
        md.spaces,
        name=md.name,
        version=md.version,
        protocol=md.protocol,
        canonical=True,
    )


def sketch_again(md: MetaDataset, cache: Path | str, n_jobs: int = 1) -> MetaDataset:
    """The meta-dataset with the row sketches of its datasets: see :mod:`metahpo.tasks.row_sketch`.

    Parameters and errors are those of :func:`describe_again`.
    """
    check_n_jobs(n_jobs)
    column = "dataset" if "dataset" in md.tasks else "key"
    if column not in md.tasks:
        raise DataError(f"the tasks of {md.name!r} name no datasets: the tasks table lacks the column 'key'.")
    keys = md.tasks[column].astype(str)
    work = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_sketch)(Path(cache), key) for key in keys.drop_duplicates())
    sketches = dict(zip(keys.drop_duplicates(), work, strict=True))
    return MetaDataset(
        md.tasks.assign(row_sketch=pd.Series([sketches[key] for key in keys], md.tasks.index, object)),
        md.trials,
        md.meta_features,
        md.spaces,
        name=md.name,
        version=md.version,
        protocol=md.protocol,
        canonical=True,
    )


def _sketch(cache: Path, key: str) -> NDArray[np.int64]:
    return row_sketch(read_task(cache, key))


def _describe(cache: Path, about: Mapping[Any, Any], protocol: str) -> dict[str, float]:
    return dict(extract(_measured_rows(cache, about, protocol)).values)


def _measured_rows(cache: Path, about: Mapping[Any, Any], protocol: str) -> Task:
    """The rows that the task trains on, by the protocol of its trials."""
    if protocol.startswith(f"v{PROTOCOL_VERSION}-"):
        size = about["size"]
        rows = None if size is None or size != size else int(str(size).removesuffix(".0"))
        return Protocol().described_rows(read_task(cache, str(about["dataset"])), rows)[0]
    task = read_task(cache, str(about["key"])).without_rare_classes(ROWS_OF_CLASS_OF_PROTOCOL_1)
    return task.subsample(int(str(about["n_rows"])))
