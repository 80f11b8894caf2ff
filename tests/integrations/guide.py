"""Runs an example of the guide to other tools, where the library that it needs is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guide" / "other_tools.md"


def run_example(heading: str, names: dict[str, Any]) -> None:
    """Run the blocks below a heading of the guide with the names that stand before them; new names are added."""
    section = GUIDE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, f"{GUIDE.name}, {heading}", "exec", dont_inherit=True), names)
