"""Download of OpenML datasets into the dataset cache, one at a time. If it is started again, it resumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from metahpo.datasets.cache import read_sidecar, verify, write_task
from metahpo.datasets.cache_status import Fetched, Inventory, Wanted
from metahpo.datasets.files import read_json_file, write_json_file
from metahpo.datasets.openml import NoAnswerError, OpenMLClient, UnknownIdError
from metahpo.datasets.splits import write_splits
from metahpo.datasets.throttle import Throttle
from metahpo.exceptions import DataError, StoreError

#: Seconds before a request is sent for the second time; each wait is twice the one before.
FIRST_WAIT_SECONDS = 2.0
#: Seconds between two requests, and seconds without a byte after which one has failed.
PAUSE_SECONDS = 0.2
TIMEOUT_SECONDS = 60.0
#: Largest dataset: rows times columns (1.6 GB of numbers).
MAX_CELLS = 200_000_000
#: Largest file, unpacked, and longest time that one may take.
MAX_BYTES = 1 << 30
MAX_SECONDS = 3600.0
#: Number of consecutive datasets without any answer of the server after which the others are not tried.
GIVE_UP_AFTER = 3


def prefetch(
    cache: Path | str,
    *,
    suite: str | int | None = None,
    data_ids: Sequence[int] = (),
    task_ids: Sequence[int] = (),
    server: str | None = None,
    max_cells: int = MAX_CELLS,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    first_wait_seconds: float = FIRST_WAIT_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Iterator[Fetched]:
    """Fetch datasets one at a time. Datasets that are complete in the cache are skipped.

    If all are in the cache, the network is not used. What cannot be used is recorded there with its reason
    (:func:`metahpo.datasets.cache.read_refusals`), and the others are fetched all the same.

    Parameters
    ----------
    cache : path
        Folder of our dataset cache. A run that is killed can leave a hidden folder ``.openml-*`` in it, of no use.
    suite : str or int, default=None
        Name (``"OpenML-CC18"``) or id of a benchmark suite. Its list of tasks is kept in ``suites/``.
    data_ids, task_ids : sequence of int, default=()
        OpenML data ids (their default targets are meant), and ids of tasks, whose targets and official splits are.
    server : str, default=None
        URL of the XML API; None takes what the client is configured for.
    max_cells : int, default=200_000_000
        Rows times columns of the largest dataset that is taken.
    max_bytes : int, default=1 GiB
        Of the largest file that is taken, unpacked.
    max_seconds : float, default=3600
        For one file.
    first_wait_seconds : float, default=2
        Wait before a failed request is sent again; doubled each time.
    pause_seconds : float, default=0.2
        Between two requests.
    timeout_seconds : float, default=60
        Without a byte from the server; then the request has failed. So it has where a file comes at less than 10 kB a
        second, once these seconds are over.

    Yields
    ------
    Fetched
        One for each dataset or task, as it is finished.

    Raises
    ------
    DataError
        Nothing asked for, or an unknown suite; after all others, that ids are unknown.
    StoreError
        The server cannot be reached, or the cache cannot be written; after all others, that some could not be fetched.
    """
    if suite is None and not data_ids and not task_ids:
        raise DataError("nothing to fetch: give the name of a suite, data ids or task ids.")
    cache = Path(cache)
    throttle = Throttle(pause_seconds, timeout_seconds, max_bytes, max_seconds)
    client = OpenMLClient(cache, server, first_wait_seconds, throttle)
    wanted = [Wanted("dataset", i) for i in data_ids] + [Wanted("task", i) for i in task_ids]
    if suite is not None:
        wanted += [Wanted("task", i) for i in _tasks_of(client, cache, suite)]
    wanted = list(dict.fromkeys(wanted))
    inventory = Inventory(cache, max_cells, max_bytes)
    errors: list[DataError | StoreError] = []
    silent = number = 0
    for number, one in enumerate(wanted, 1):
        status = inventory.status(one)
        data_id = one.number if one.sort == "dataset" else None
        if status.refusal is not None:
            outcome = f"not usable: {status.refusal}"
        elif status.key is not None and status.damage is None:
            outcome, data_id = "cached", read_sidecar(cache, status.key).get("data_id")
        else:
            silent_before, silent = silent, 0
            try:
                with client.at_work():
                    key, data_id, note = _fetch(client, cache, one, max_cells)
                inventory.keep(one, key)
                outcome = (f"fetched again: {status.damage}" if status.damage else "fetched") + note
            except DataError as error:
                known = not isinstance(error, UnknownIdError)
                inventory.refuse(one, str(error), final=known)
                outcome = f"not usable: {error}"
                errors += [] if known else [error]
            except NoAnswerError as error:
                outcome = f"failed: {error}"
                errors.append(error)
                silent = silent_before + 1 if error.silent else 0
        yield Fetched(one, data_id, outcome, number, len(wanted))
        if silent == GIVE_UP_AFTER:
            break
    if errors:
        first = next((e for e in errors if isinstance(e, StoreError)), errors[0])
        more = f" So it is with {len(errors) - 1} more." if len(errors) > 1 else ""
        untried = f" {len(wanted) - number} were not tried." if number < len(wanted) else ""
        raise type(first)(f"{first}{more}{untried}") from first


def _fetch(client: OpenMLClient, cache: Path, wanted: Wanted, max_cells: int) -> tuple[str, int, str]:
    """Fetch one dataset and, if a task is wanted, its official splits.

    Returns
    -------
    key : str
    data_id : int
    note : str
        On the splits, if there are none; else empty.
    """
    target, kind, data_id = None, None, wanted.number
    if wanted.sort == "task":
        data_id, target, kind = client.task(wanted.number)
    about = client.description(data_id)
    target = about.target(target)
    key = about.key(target)
    if not _holds(cache, key, target):
        about.refuse_beyond(max_cells)
        frame, sidecar = about.converted(client.table(about, max_cells), target, kind)
        write_task(cache, key, frame, target, sidecar)
    return key, data_id, _keep_splits(client, cache, key, wanted.number) if wanted.sort == "task" else ""


def _holds(cache: Path, key: str, target: str) -> bool:
    """Whether the cache holds a whole dataset of that key and target."""
    try:
        return bool(verify(cache, key)["target"] == target)
    except (StoreError, DataError):
        return False


def _keep_splits(client: OpenMLClient, cache: Path, key: str, task_id: int) -> str:
    """Store the official splits of a task beside its dataset. Returns why there are none, or an empty text."""
    sidecar = read_sidecar(cache, key)
    note, record = "", None
    try:
        record = write_splits(cache, key, task_id, client.splits(task_id, sidecar["n_rows"]))
    except (DataError, NoAnswerError) as error:
        if isinstance(error, NoAnswerError) and not error.incomplete:
            raise
        note = f", without official splits: {error}"
    tasks = {**sidecar.get("tasks", {}), str(task_id): record}
    write_json_file(cache / f"{key}.json", {**sidecar, "tasks": tasks})
    return note


def _tasks_of(client: OpenMLClient, cache: Path, suite: str | int) -> list[int]:
    """Tasks of a suite, from the list that was stored at the first request."""
    path = cache / "suites" / f"{quote(str(suite), safe='')}.json"
    kept = read_json_file(path)
    if isinstance(kept, dict) and isinstance(kept.get("tasks"), list):
        return [int(i) for i in kept["tasks"]]
    with client.at_work():
        tasks = client.suite(suite)
    write_json_file(path, {"suite": suite, "tasks": tasks})
    return tasks
