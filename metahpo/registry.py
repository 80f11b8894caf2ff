"""Registries of objects that other packages can add: learners, metrics, meta-features, baselines, engines, surrogates.

A name is looked up in this order:

1. what the package itself offers;
2. what this process has registered, by :meth:`Registry.register`;
3. what installed packages offer, as an entry point of the registry's group;
4. ``module:attribute``, which is imported.

Entry points are read when a name is looked up that is neither of the package nor registered. Only the one with that
name is loaded. ``import metahpo`` therefore loads no plug-in, and a broken plug-in is an error only for its users.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from metahpo.exceptions import DataError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

#: Names are parts of file names, column names and command lines.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class Registry(Generic[T]):
    """Objects of one sort by name. Threads may share it.

    Parameters
    ----------
    what : str
        What an entry is, for messages: "learner".
    group : str
        Group of the entry points: "metahpo.learners".
    own : mapping of str to T
        Entries of the package itself.
    expected : str
        What an entry must be, for messages.
    accepts : callable
        Whether an object can be an entry.
    hint : str, default=""
        Last sentence of the message about an unknown name.
    """

    def __init__(
        self,
        what: str,
        group: str,
        own: Mapping[str, T],
        *,
        expected: str,
        accepts: Callable[[object], bool],
        hint: str = "",
    ) -> None:
        self.what, self.group, self._own = what, group, own
        self._expected, self._accepts, self._hint = expected, accepts, hint
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._lock = Lock()

    def register(self, name: str, entry: T) -> None:
        """Add an entry, for this process.

        Raises
        ------
        DataError
            The name is taken or is not plain, or the entry is not of the sort that is expected.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DataError(
                f"the name of a {self.what} must be of letters, digits, _ and -, and not begin with -, but is {name!r}."
            )
        if not self._accepts(entry):
            raise DataError(f"the {self.what} {name!r} must be {self._expected}, but is {entry!r}.")
        with self._lock:
            if name in self._own or name in self._registered or self._installed(name):
                raise DataError(
                    f"there is a {self.what} {name!r} already; choose another name, or unregister it first."
                )
            self._registered[name] = entry

    def unregister(self, name: str) -> None:
        """Remove an entry that :meth:`register` added.

        Raises
        ------
        UnknownNameError
            Nothing was registered under the name.
        """
        with self._lock:
            if name not in self._registered:
                raise UnknownNameError(f"registered {self.what}", name, list(self._registered))
            del self._registered[name]

    def names(self) -> list[str]:
        """Names of the package, registered names and names of installed packages. Nothing is loaded."""
        with self._lock:
            names = [*self._own, *self._registered]
        return list(dict.fromkeys([*names, *sorted(point.name for point in _entry_points(self.group))]))

    def in_memory(self) -> list[T]:
        """Entries of the package, registered entries, and entries of other packages that were looked up before."""
        with self._lock:
            return [*self._own.values(), *self._registered.values(), *self._loaded.values()]

    def __contains__(self, name: object) -> bool:
        """Whether :meth:`get` finds the name without importing ``module:attribute``. Nothing is loaded."""
        return name in self._own or name in self._registered or bool(self._installed(name))

    def get(self, name: str, *, what: str = "", known: Sequence[str] = ()) -> T:
        """Look an entry up.

        Parameters
        ----------
        name : str
            One of :meth:`names`, or ``module:attribute``.
        what : str, default=""
            Name of the sort of object in messages; "" takes that of the registry.
        known : sequence of str, default=()
            More names that exist, for messages.

        Raises
        ------
        UnknownNameError
            No such name, or no such module or attribute; the message lists the names that exist.
        PluginError
            The entry cannot be imported or is of another sort, or two packages offer the name.
        """
        with self._lock:
            if name in self._own:
                return self._own[name]
            if name in self._registered:
                return self._registered[name]
        points = self._installed(name)
        if len(points) > 1:
            packages = " and ".join(sorted(_package(point) for point in points))
            raise PluginError(f"{packages} both offer a {self.what} {name!r}; uninstall one of them.")
        if points:
            return self._checked(name, *self._load(points[0]))
        if isinstance(name, str) and ":" in name:
            try:
                entry = _imported(name)
            except (ImportError, AttributeError, ValueError) as error:
                hint = f"{error}; the module must lie on PYTHONPATH or be installed."
                raise UnknownNameError(what or self.what, name, [*known, *self.names()], hint) from error
            except Exception as error:
                raise PluginError(
                    f"the module of the {self.what} {name!r} cannot be imported: {type(error).__name__}: {error}. "
                    "Mend the module."
                ) from error
            return self._checked(name, entry, repr(name))
        raise UnknownNameError(what or self.what, name, [*known, *self.names()], self._hint)

    def _installed(self, name: object) -> list[EntryPoint]:
        return [point for point in _entry_points(self.group) if point.name == name]

    def _load(self, point: EntryPoint) -> tuple[object, str]:
        source = f"{point.value!r} of the package {_package(point)}"
        try:
            return point.load(), source
        except Exception as error:
            raise PluginError(
                f"the {self.what} {point.name!r} cannot be loaded from {source}: {type(error).__name__}: {error}. "
                "Upgrade or uninstall that package, or ask its authors."
            ) from error

    def _checked(self, name: str, entry: object, source: str) -> T:
        if not self._accepts(entry):
            raise PluginError(
                f"the {self.what} {name!r} must be {self._expected}, but {source} is {entry!r}. Correct what the name "
                "points to."
            )
        checked: T = entry  # type: ignore[assignment]  # `accepts` has looked at it
        with self._lock:
            self._loaded[name] = checked
        return checked


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _package(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    return _read_entry_points(group, tuple(sys.path))


@lru_cache(maxsize=64)
def _read_entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of the packages on `path`, which is ``sys.path``. Reading them takes tens of milliseconds."""
    from importlib.metadata import entry_points  # slow to import, and `metahpo --help` needs none

    return tuple(entry_points(group=group))
