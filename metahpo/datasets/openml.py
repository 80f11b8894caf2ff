"""Access to OpenML through its own client, with retries. No other module imports `openml` or needs the network."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import openml
import openml._api_calls
import pandas as pd
from openml.exceptions import (
    OpenMLHashException,
    OpenMLNotAuthorizedError,
    OpenMLPrivateDatasetError,
    OpenMLServerError,
    OpenMLServerException,
)
from openml.tasks import OpenMLSupervisedTask, OpenMLTask, TaskType
from urllib3.exceptions import HTTPError

from metahpo.datasets.arff import read_arff
from metahpo.datasets.openml_description import Description
from metahpo.datasets.splits import check_splits
from metahpo.datasets.throttle import Throttle
from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.target import TaskKind

T = TypeVar("T")

#: The client has one configuration for the whole process.
_ALONE = threading.Lock()

#: Tries of one request.
TRIES = 4
#: Code of OpenML's error "database connection error, usually due to high server load".
_BUSY = 107
#: Failures that may pass. The client parses what it gets: a cut or foreign answer can make it stumble anywhere.
_STUMBLES = (LookupError, TypeError, ValueError, AttributeError, AssertionError, ExpatError)
_PASSING = (OpenMLServerError, OpenMLHashException, HTTPError, OSError, *_STUMBLES)
_KINDS: dict[TaskType, TaskKind] = {
    TaskType.SUPERVISED_CLASSIFICATION: "classification",
    TaskType.SUPERVISED_REGRESSION: "regression",
}


class UnknownIdError(DataError):
    """The server answers, but does not have what was requested."""


class NoAnswerError(StoreError):
    """No usable answer in all tries; `__cause__` is the last failure."""

    @property
    def silent(self) -> bool:
        """Whether the server did not answer at all, or the connection broke."""
        return isinstance(self.__cause__, OSError)

    @property
    def incomplete(self) -> bool:
        """Whether the server answered with a file that is not the announced one."""
        return isinstance(self.__cause__, OpenMLHashException)


class OpenMLClient:
    """The OpenML client, configured for a server and an empty folder while it works.

    Every method may raise UnknownIdError or NoAnswerError, and DataError for data that make no task.

    Parameters
    ----------
    cache : path
        Folder of the dataset cache. The client's own files are in a hidden folder in it while it works.
    url : str or None
        URL of the XML API; None takes what the client is configured for.
    first_wait_seconds : float
        Wait before a failed request is sent again; doubled each time.
    throttle : Throttle
        Pause and time limit of its requests.
    """

    def __init__(self, cache: Path, url: str | None, first_wait_seconds: float, throttle: Throttle) -> None:
        self._cache = cache
        self._url = url
        self._first_wait_seconds = first_wait_seconds
        self._throttle = throttle
        self._folder = cache

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Configure the client, and restore its configuration and remove its files at the end.

        One thread at a time does so; others wait.
        """
        config, calls = openml.config, openml._api_calls
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            folder = TemporaryDirectory(prefix=".openml-", dir=self._cache)
        except OSError as error:
            raise StoreError(f"the dataset cache {str(self._cache)!r} cannot be written: {error}.") from error
        with folder, _ALONE, self._throttle.applied_to(calls):
            before, download = config.get_config_as_dict(), calls._download_minio_file
            calls._download_minio_file = self._of_this_thread(download)
            self._folder = Path(folder.name)
            config.set_root_cache_directory(folder.name)
            config.connection_n_retries = 1  # this module repeats requests itself
            config.server = self._url or config.server
            try:
                yield
            finally:
                calls._download_minio_file = download
                config.set_root_cache_directory(before["cachedir"])
                config.connection_n_retries = before["connection_n_retries"]
                config.server = before["server"]

    def _of_this_thread(self, others: Callable[..., None]) -> Callable[..., None]:
        """The client's download from the public bucket, with retries and time limits in this thread only.

        If it raises FileNotFoundError, the client takes the ARFF file.
        """
        thread = threading.get_ident()

        def download(source: str, destination: Path, **options: Any) -> None:
            if threading.get_ident() == thread:
                self._throttle.download(source, destination)
            else:
                others(source, destination, **options)

        return download

    def suite(self, name: str | int) -> list[int]:
        """Ids of the tasks of a benchmark suite."""
        found = self._ask(f"suite {name!r}", partial(_suite, name))
        if not found:
            raise DataError(f"suite {name!r} lists no tasks; expected a suite of tasks.")
        return found

    def task(self, task_id: int) -> tuple[int, str, TaskKind]:
        """Data id, target and kind of a task."""
        task = self._ask(f"task {task_id}", partial(_task, task_id))
        kind = _KINDS.get(task.task_type_id)
        if kind is None or not isinstance(task, OpenMLSupervisedTask):
            raise DataError(f"task {task_id} is of type {task.task_type!r}; expected classification or regression.")
        return int(task.dataset_id), str(task.target_name), kind

    def description(self, data_id: int) -> Description:
        """Description of a dataset by OpenML."""
        return self._ask(f"dataset {data_id}", partial(_description, data_id))

    def table(self, about: Description, max_cells: int) -> pd.DataFrame:
        """Table of a dataset, with all its rows and columns. A table of more than `max_cells` cells is not read."""
        return self._ask(f"dataset {about.data_id}", partial(_table, about, max_cells))

    def splits(self, task_id: int, n_rows: int) -> pd.DataFrame:
        """Official splits of a task over a dataset of `n_rows` rows, as :func:`write_splits` takes them."""
        return self._ask(f"the official splits of task {task_id}", partial(_splits, task_id, n_rows, self._folder))

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        """Result of `call`. It is called again after growing pauses if the failure can be temporary."""
        for left in reversed(range(TRIES)):
            try:
                return call()
            except DataError:
                raise
            except (OpenMLServerException, OpenMLPrivateDatasetError, OpenMLNotAuthorizedError) as error:
                if getattr(error, "code", None) != _BUSY:
                    raise UnknownIdError(
                        f"OpenML does not give {what}: {error}; check the number or name on openml.org."
                    ) from error
                failure: Exception = error
            except _PASSING as error:
                failure = error
            # Remove files of a failed try, so that the next try does not read them.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(exist_ok=True)
            if left:
                time.sleep(self._first_wait_seconds * 2 ** (TRIES - 1 - left))
        said = " ".join(str(failure).split()) or type(failure).__name__
        raise NoAnswerError(
            f"{what} could not be fetched in {TRIES} tries: {said[:500]}. What was fetched before is kept; check the "
            "connection, then start the same command again."
        ) from failure


def _suite(name: str | int) -> list[int]:
    try:
        return list(openml.study.get_suite(name).tasks or ())
    except ValueError as error:
        if "entity type" in str(error):
            raise DataError(f"{name!r} is a study of runs; expected a suite of tasks.") from error
        raise


def _task(task_id: int) -> OpenMLTask:
    try:
        return openml.tasks.get_task(task_id, download_splits=False, download_data=False, download_qualities=False)
    except NotImplementedError as error:
        raise DataError(f"task {task_id} is of no type that the client knows: {error}") from error


def _description(data_id: int) -> Description:
    dataset = openml.datasets.get_dataset(
        data_id, download_data=False, download_qualities=False, download_features_meta_data=True
    )
    try:
        counted = (dataset.qualities or {}).get("NumberOfInstances", math.nan)
    except OpenMLServerException as error:  # not every dataset has qualities
        if error.code == _BUSY:
            raise
        counted = math.nan
    return Description(
        data_id=data_id,
        name=dataset.name,
        version=dataset.version,
        licence=dataset.licence,
        source=dataset.openml_url,
        default_target=dataset.default_target_attribute,
        not_features=tuple(_listed(dataset.row_id_attribute) + _listed(dataset.ignore_attribute)),
        sorts={feature.name: feature.data_type for feature in dataset.features.values()},
        n_rows=None if math.isnan(counted) else int(counted),
        has_checksum=dataset.md5_checksum is not None,
    )


def _listed(names: str | Sequence[str] | None) -> list[str]:
    """Attribute names as a list. OpenML gives one name, names separated by commas, or a list of either."""
    several = [names] if isinstance(names, str) else names or []
    return [name for one in several for name in (one, *one.split(","))]


def _table(about: Description, max_cells: int) -> pd.DataFrame:
    dataset = openml.datasets.get_dataset(about.data_id, download_data=True, download_qualities=False)
    if dataset.parquet_file is not None:
        frame, checked = pd.read_parquet(dataset.parquet_file), False
    else:
        assert dataset.data_file is not None
        checked = about.has_checksum
        try:
            frame = read_arff(dataset.data_file, max_cells)
        except DataError as error:
            if checked:
                raise
            raise OpenMLHashException(f"it came without a checksum and cannot be read: {error}") from error
    if not checked and about.n_rows not in (None, len(frame)):
        raise OpenMLHashException(f"{about.n_rows} rows were announced, but {len(frame)} came")
    return frame


def _splits(task_id: int, n_rows: int, folder: Path) -> pd.DataFrame:
    task = openml.tasks.get_task(task_id, download_splits=False, download_data=False, download_qualities=False)
    assert isinstance(task, OpenMLSupervisedTask)
    path = folder / f"splits-{task_id}.arff"
    # The client's own reader leaves the file open, and pickles it.
    task._download_split(path)
    try:
        lines = read_arff(path)
    except DataError as error:
        raise OpenMLHashException(f"its splits cannot be read: {error}") from error
    splits = pd.DataFrame(
        {
            "repeat": lines["repeat"].astype("int32"),
            "fold": lines["fold"].astype("int32"),
            "row": lines["rowid"].astype("int32"),
            "test": lines["type"] == "TEST",
        }
    )
    declared = task.estimation_procedure["parameters"]
    assert isinstance(declared, dict)
    try:
        check_splits(splits, n_rows, int(declared.get("number_repeats") or 1), int(declared.get("number_folds") or 1))
    except DataError as error:
        raise OpenMLHashException(str(error)) from error
    return splits
