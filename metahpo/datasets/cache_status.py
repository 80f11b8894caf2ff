"""The cache status of requested OpenML datasets and tasks: cached, damaged, refused or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from metahpo.datasets.cache import cached_keys, forget_refusal, read_refusals, verify, write_refusal
from metahpo.datasets.files import read_json_file
from metahpo.exceptions import DataError, StoreError


class Wanted(NamedTuple):
    """A dataset or a task by its OpenML id."""

    sort: Literal["dataset", "task"]
    number: int

    def __str__(self) -> str:
        return f"{self.sort} {self.number}"

    @property
    def refusal_key(self) -> str:
        """Key of the record of its refusal."""
        return str(self.number) if self.sort == "dataset" else f"task-{self.number}"


@dataclass(frozen=True)
class Fetched:
    """Result of fetching one requested dataset or task.

    Attributes
    ----------
    wanted : Wanted
        Requested dataset or task: "dataset 31", "task 11".
    data_id : int or None
        OpenML data id; None where it is not known.
    outcome : str
        "fetched", "fetched again: " what was wrong with its files, "cached" (it was there already, whole), "not
        usable: " why, or "failed: " why (the next prefetch tries again).
    number, total : int
        Progress: this is the `number`-th of `total`.
    """

    wanted: Wanted
    data_id: int | None
    outcome: str
    number: int
    total: int

    def __str__(self) -> str:
        return f"[{self.number}/{self.total}] {self.wanted}: {self.outcome}"


@dataclass(frozen=True)
class CacheStatus:
    """Status of one requested dataset or task in the cache.

    Attributes
    ----------
    key : str or None
        Key of its dataset in the cache, where there is one.
    refusal : str or None
        Reason why it cannot be used.
    damage : str or None
        Defect of the files of `key`.
    """

    key: str | None = None
    refusal: str | None = None
    damage: str | None = None


class Inventory:
    """Contents of a dataset cache, read once.

    Parameters
    ----------
    cache : path
        Folder of the cache; it need not exist.
    max_cells, max_bytes : int
        Size limits. A dataset that was refused under other limits is requested again.
    """

    def __init__(self, cache: Path, max_cells: int, max_bytes: int) -> None:
        self._cache = cache
        self._limits = {"max_cells": max_cells, "max_bytes": max_bytes}
        self._refusals = read_refusals(cache)
        self._keys: dict[Wanted, str] = {}
        for key in cached_keys(cache) if cache.is_dir() else ():
            sidecar = read_json_file(cache / f"{key}.json")
            if key.isdecimal():
                self._keys[Wanted("dataset", int(key))] = key
            if isinstance(sidecar, dict) and isinstance(sidecar.get("tasks"), dict):
                self._keys |= {Wanted("task", int(i)): key for i in sidecar["tasks"] if i.isdecimal()}

    def status(self, wanted: Wanted) -> CacheStatus:
        """Cache status of `wanted`. The files of its dataset are compared with their checksums."""
        refusal = self._refusals.get(wanted.refusal_key, {})
        if self._limits.items() <= refusal.items():
            return CacheStatus(refusal=str(refusal["reason"]))
        key = self._keys.get(wanted)
        if key is None:
            return CacheStatus()
        try:
            sidecar = verify(self._cache, key)
        except (StoreError, DataError) as error:
            return CacheStatus(key, damage=str(error))
        listed = wanted.sort == "dataset" or str(wanted.number) in sidecar.get("tasks", {})
        return CacheStatus(key) if listed else CacheStatus()

    def keep(self, wanted: Wanted, key: str) -> None:
        """Note that `wanted` is in the cache now."""
        self._keys[wanted] = key
        forget_refusal(self._cache, wanted.refusal_key)

    def refuse(self, wanted: Wanted, reason: str, *, final: bool) -> None:
        """Record that `wanted` cannot be used. If the refusal is not `final`, it will be requested again."""
        write_refusal(self._cache, wanted.refusal_key, reason, **(self._limits if final else {}))
