"""OpenML's datasets into our dataset cache: the only address of `openml`, and the only step that needs the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import openml
import pandas as pd
from openml.datasets import OpenMLDataset
from openml.exceptions import OpenMLHashException, OpenMLPrivateDatasetError, OpenMLServerError, OpenMLServerException

from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.cache import cached_keys, read_sidecar, write_task
from metahpo.tasks.task import Task, TaskKind

T = TypeVar("T")

#: Tries of one request, and seconds before the second; each wait is twice the one before.
TRIES = 4
FIRST_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Fetched:
    """What became of one dataset.

    Attributes
    ----------
    data_id : int
        OpenML data id.
    outcome : str
        "fetched", "cached" (it was there already), or why it cannot be used.
    """

    data_id: int
    outcome: str


def prefetch(
    cache: Path | str,
    *,
    suite: str | int | None = None,
    data_ids: Sequence[int] = (),
    task_ids: Sequence[int] = (),
    server: str | None = None,
    first_wait_seconds: float = FIRST_WAIT_SECONDS,
) -> Iterator[Fetched]:
    """Fetch datasets one at a time; those in the cache already are passed over, so that it goes on where it stopped.

    Parameters
    ----------
    cache : path
        Folder of our dataset cache; the client's own files go to its subfolder ``.openml``.
    suite : str or int, default=None
        Name (``"OpenML-CC18"``) or id of a benchmark suite.
    data_ids, task_ids : sequence of int, default=()
        OpenML data ids, and ids of tasks whose datasets and targets are meant.
    server : str, default=None
        URL of the XML API; None takes what the client is configured for.
    first_wait_seconds : float, default=2
        Wait before a failed request is sent again; doubled each time.

    Yields
    ------
    Fetched
        One for each dataset, as it is finished. A dataset that makes no task (no target, one class, ...) is told of
        and passed over.

    Raises
    ------
    DataError
        Nothing asked for, or an id or suite that the server does not have.
    StoreError
        The server cannot be reached, or the cache cannot be written.
    """
    if suite is None and not data_ids and not task_ids:
        raise DataError("nothing to fetch: give the name of a suite, data ids or task ids.")
    cache = Path(cache)
    openmls = _Server(cache / ".openml", server, first_wait_seconds)
    try:
        openmls.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the dataset cache {str(cache)!r} cannot be created: {error}.") from error
    targets: dict[int, str | None] = dict.fromkeys(data_ids)
    wanted = list(task_ids)
    if suite is not None:
        wanted += openmls.ask(f"suite {suite!r}", partial(_tasks_of, suite))
    for task_id in wanted:
        data_id, target = openmls.ask(f"task {task_id}", partial(_dataset_of, task_id))
        targets[data_id] = target
    present = set(cached_keys(cache))
    for data_id, target in targets.items():
        if str(data_id) in present and target in (None, read_sidecar(cache, str(data_id))["target"]):
            yield Fetched(data_id, "cached")
            continue
        dataset, frame = openmls.ask(f"dataset {data_id}", partial(_download, data_id))
        yield Fetched(data_id, _keep(cache, data_id, dataset, frame, target))


def _tasks_of(suite: str | int) -> list[int]:
    return list(openml.study.get_suite(suite).tasks or ())


def _dataset_of(task_id: int) -> tuple[int, str | None]:
    task = openml.tasks.get_task(task_id, download_splits=False, download_data=False, download_qualities=False)
    return int(task.dataset_id), getattr(task, "target_name", None)


def _download(data_id: int) -> tuple[OpenMLDataset, pd.DataFrame]:
    dataset = openml.datasets.get_dataset(
        data_id, download_data=True, download_qualities=False, download_features_meta_data=True
    )
    return dataset, cast(pd.DataFrame, dataset.get_data(dataset_format="dataframe")[0])


def _keep(cache: Path, data_id: int, dataset: OpenMLDataset, frame: pd.DataFrame, target: str | None) -> str:
    """Write one dataset to our cache; "fetched", or why it makes no task."""
    target = target or dataset.default_target_attribute
    if target is None or target not in frame.columns:
        return f"not usable: it has no single target column (its default is {target!r})"
    ignored = {dataset.row_id_attribute, *(dataset.ignore_attribute or ())} - {None, target}
    frame = frame.drop(columns=[c for c in frame.columns if c in ignored])
    nominal = {f.name for f in dataset.features.values() if f.data_type == "nominal"}
    categorical = [c for c in frame.columns if c in nominal and c != target]
    kind: TaskKind = "classification" if target in nominal else "regression"
    try:
        task = Task.from_arrays(
            frame.drop(columns=target), frame[target], kind=kind, categorical=categorical, name=dataset.name
        )
    except DataError as error:
        return f"not usable: {error}"
    about = {
        "data_id": data_id,
        "name": dataset.name,
        "kind": kind,
        "family": dataset.name,
        "n_rows": len(frame),
        "n_features": frame.shape[1] - 1,
        "n_classes": len(task.classes) or None,
        "categorical": categorical,
        "n_missing": int(frame.drop(columns=target).isna().sum().sum()),
        "licence": dataset.licence,
        "source": dataset.openml_url,
    }
    write_task(cache, str(data_id), frame, target, about)
    return "fetched"


@dataclass(frozen=True)
class _Server:
    """The client, pointed at a server and a cache folder for the time of one request."""

    folder: Path
    url: str | None
    first_wait_seconds: float

    def ask(self, what: str, call: Callable[[], T]) -> T:
        """Answer of the server, asked again with growing pauses where the failure may pass."""
        wait = self.first_wait_seconds
        for left in reversed(range(TRIES)):
            try:
                with self._configured():
                    return call()
            except (OpenMLServerException, OpenMLPrivateDatasetError) as error:  # it answers, and says no
                raise DataError(
                    f"OpenML does not give {what}: {error}; check the number or name on openml.org."
                ) from error
            except (OpenMLServerError, OpenMLHashException, OSError) as error:
                if left == 0:
                    said = " ".join(str(error).split())
                    raise StoreError(
                        f"{what} could not be fetched in {TRIES} tries: {said}. What was fetched before is kept; "
                        "check the connection, then start the same command again."
                    ) from error
            time.sleep(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _configured(self) -> Iterator[None]:
        config = openml.config
        before = config.get_config_as_dict()
        config.set_root_cache_directory(self.folder)
        config.connection_n_retries = 1  # asking again is done here, in one place
        config.server = self.url or config.server
        try:
            yield
        finally:
            config.set_root_cache_directory(before["cachedir"])
            config.connection_n_retries = before["connection_n_retries"]
            config.server = before["server"]
