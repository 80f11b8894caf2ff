"""References in docstrings lead to what exists; `make docs` checks those without a full name as well."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

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
