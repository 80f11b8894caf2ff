"""Examples in public docstrings run, and references in docstrings lead to what exists.

`make docs` checks references without a full name as well.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import metahpo

ROOT = Path(__file__).parent.parent
REFERENCE = re.compile(r":(?:class|func|mod|meth|data|attr):`~?(metahpo\.[\w.]+)`")


def test_references__lead_to_what_exists() -> None:
    spec = importlib.util.spec_from_file_location("documentation_settings", ROOT / "docs" / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    named = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / "metahpo").rglob("*.py"))
        for name in REFERENCE.findall(path.read_text(encoding="utf-8"))
    ]
    assert named
    assert [reference for reference in named if not settings.exists(reference[1])] == []


@pytest.mark.parametrize("name", [name for name in metahpo.__all__ if name != "__version__"])
def test_examples_of_public_docstrings__run(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder().find(getattr(metahpo, name), name, globs={}):
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0
