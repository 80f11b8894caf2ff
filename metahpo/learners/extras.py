"""Libraries of learners that extras of this package install."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from metahpo.exceptions import MissingDependencyError
from metahpo.learners.learner import Learner

#: Library -> the extra that installs it, where the extra does not have the name of the library.
_EXTRAS = {"numba": "networks"}


def imported(library: str) -> Any:
    """The module of a library.

    Raises
    ------
    MissingDependencyError
        It is not installed; the message names the extra that installs it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingDependencyError(f"{library} is not installed: {installation(library)}.") from error


def missing_libraries(learner: Learner) -> list[str]:
    """Libraries of a learner that are not installed. No library is imported."""
    return [library for library in learner.libraries if importlib.util.find_spec(library) is None]


def check_installed(learners: Iterable[Learner]) -> None:
    """Raise an error for learners whose estimators cannot be made here.

    Raises
    ------
    MissingDependencyError
        A library is not installed; the message names the extra that installs it.
    """
    for learner in learners:
        for library in missing_libraries(learner):
            raise MissingDependencyError(
                f"the learner {learner.name!r} needs {library}, which is not installed: {installation(library)}."
            )


def installation(library: str) -> str:
    """The command that installs a library of a learner."""
    return f"pip install 'metahpo[{_EXTRAS.get(library, library)}]'"
