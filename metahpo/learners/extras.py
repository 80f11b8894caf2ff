"""Libraries of learners that are extras of this package. An extra has the name of its library."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from metahpo.exceptions import MissingDependencyError
from metahpo.learners.learner import Learner


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
        raise _missing(library) from error


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
            raise _missing(library)


def _missing(library: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"the learner {library!r} needs the package of that name, which is not installed: "
        f"pip install 'metahpo[{library}]'."
    )
