"""Every package exports its public names, so that a file can move inside it and break nobody."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

import metahpo
from metahpo.lazy_exports import addresses

PACKAGE = Path(metahpo.__file__).parent
#: Packages with other means: the face, the command line, the tests that need pytest, and the integrations, which are
#: imported by the names of their libraries.
OTHERS = {"metahpo", "metahpo.cli", "metahpo.testing", "metahpo.integrations", "metahpo.integrations.optuna"}

#: Modules that need a library which may not be installed; they are imported by their own names.
NEED_A_LIBRARY = {"metahpo.space.optuna_distributions"}


def module_name(path: Path) -> str:
    parts = ("metahpo", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(p): p for p in sorted(PACKAGE.rglob("*.py")) if "_meta_datasets" not in p.parts}
PACKAGES = sorted({name for name, path in FILES.items() if path.name == "__init__.py"} - OTHERS)


def public_definitions(module: str) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(FILES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def used_outside() -> dict[str, dict[str, str]]:
    """Package -> name -> module, for names that modules outside of the package import from one of its modules."""
    used: dict[str, dict[str, str]] = defaultdict(dict)
    for importer, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in FILES and path.name != "__init__.py":
                for package in PACKAGES:
                    if f"{node.module}.".startswith(f"{package}.") and not f"{importer}.".startswith(f"{package}."):
                        used[package] |= {alias.name: node.module for alias in node.names if node.module != package}
    return used


USED = used_outside()


@pytest.mark.parametrize("package", PACKAGES)
def test_what_other_packages_import_is_exported(package: str) -> None:
    exported = import_module(package).__all__
    for name, module in USED[package].items():
        if module in NEED_A_LIBRARY:
            continue
        if name in public_definitions(module) and f"{package}.{name}" not in FILES:
            assert name in exported, f"add {name}, of {module}, to __all__ of {package} and to its imports"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there(package: str) -> None:
    room = import_module(package)
    assert room.__all__
    assert sorted(room.__all__) == sorted(addresses(package))
    for name in room.__all__:
        assert getattr(room, name) is getattr(import_module(addresses(package)[name]), name)
        assert f"{package}.{name}" not in FILES, f"{name} is also the name of a module"
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such_name'; it offers"):
        _ = room.no_such_name


def test_every_folder_is_a_package() -> None:
    folders = {p.parent for p in FILES.values()}
    bare = {folder.relative_to(PACKAGE).as_posix() for folder in folders if not (folder / "__init__.py").exists()}
    assert not bare


def test_exports_load_nothing_before_they_are_used() -> None:
    rooms = ", ".join(PACKAGES)
    code = f"import sys; import {rooms}; print([m for m in ('ast', 'numpy', 'torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
