"""Lazy exports of a package: a public name loads its module when it is first used.

The ``__init__`` of a package imports its public names for type checkers only, and lists them in ``__all__``. These
imports also tell where a name is loaded from::

    if TYPE_CHECKING:
        from metahpo.space.encoding import SpaceEncoder

    __all__ = ["SpaceEncoder"]
    __getattr__, __dir__ = lazy_exports(__name__, __all__)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_exports(package: str, names: list[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    names : list of str
        Its ``__all__``.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(names)}")
        return getattr(import_module(addresses(package)[name]), name)

    return load, lambda: names


@cache
def addresses(package: str) -> dict[str, str]:
    """Public name -> module that it is loaded from, as the imports for type checkers in the package say.

    The file is read when the first name is asked for, so that ``import metahpo`` does not pay for it.
    """
    import ast

    file = Path(str(sys.modules[package].__file__))
    guarded = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    imports = [node for block in guarded for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
