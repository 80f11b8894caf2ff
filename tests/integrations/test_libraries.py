"""A library that is missing or too old is named, with the extra that installs it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from metahpo.exceptions import MissingDependencyError
from metahpo.integrations import libraries
from metahpo.integrations.libraries import Library

ROOT = Path(__file__).parent.parent.parent
ALL = [value for value in vars(libraries).values() if isinstance(value, Library)]
#: There wherever the tests run.
NUMPY = Library("NumPy", "numpy", "numpy", (2, 0), "numpy")


@pytest.mark.parametrize("library", ALL, ids=lambda library: library.name)
def test_a_missing_library_names_its_extra(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library.module, None)
    with pytest.raises(MissingDependencyError, match=rf"^{library.name} cannot .*'metahpo\[{library.extra}\]'\.$"):
        library.load()


def test_a_library_that_is_too_old_names_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    assert NUMPY.load() is np
    monkeypatch.setattr(np, "__version__", "1.26.4rc1")
    with pytest.raises(MissingDependencyError, match=r"NumPy 1.26.4rc1 is too old, 2\.0 is needed; .* -U "):
        NUMPY.load()


@pytest.mark.parametrize("library", ALL, ids=lambda library: library.name)
def test_each_extra_installs_its_library_in_the_version_that_is_needed(library: Library) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    minimum = ".".join(map(str, library.minimum))
    names = [requirement.partition("[")[0].partition(">")[0] for requirement in extras[library.extra]]
    assert library.package in names
    assert any(f">={minimum}" in requirement for requirement in extras[library.extra])
