"""What the README and the documentation show runs, and what they name exists."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metahpo.cli import main

ROOT = Path(__file__).parent.parent
FENCE = r"^```([\w-]*)\n(.*?)^```"


@dataclass(frozen=True)
class Page:
    """A Markdown file: its code blocks, as (language, text), and what stands between them."""

    name: str
    fences: list[tuple[str, str]]
    prose: str

    @classmethod
    def read(cls, path: Path) -> Page:
        text = path.read_text(encoding="utf-8")
        prose = re.sub(FENCE, "", text, flags=re.MULTILINE | re.DOTALL)
        fences = re.findall(FENCE, text, flags=re.MULTILINE | re.DOTALL)
        return cls(path.relative_to(ROOT).as_posix(), fences, prose)

    @property
    def blocks(self) -> list[str]:
        return [text for language, text in self.fences if language == "python"]

    @property
    def lines(self) -> list[str]:
        return [line for language, text in self.fences if language == "console" for line in text.splitlines()]

    @property
    def commands(self) -> set[str]:
        shown = [*self.lines, *(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", self.prose))]
        return {" ".join(line.split("#")[0].split()) for line in shown if re.match(r"metahpo\s+[a-z]", line)}

    @property
    def targets(self) -> list[str]:
        return [target for line in self.lines for target in re.findall(r"^make (\w[\w-]*)", line)] + re.findall(
            r"`make (\w[\w-]*)`", self.prose
        )

    @property
    def scripts(self) -> list[str]:
        return re.findall(r"\bscripts/\w+\.py", self.prose)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\((?!https?:)([^)#]+)\)", self.prose)


README = Page.read(ROOT / "README.md")
PAGES = [
    Page.read(path)
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if not {"_build", "gallery", "generated"} & set(path.relative_to(ROOT).parts)
]
EVERYWHERE = [README, *PAGES, Page.read(ROOT / "CONTRIBUTING.md"), Page.read(ROOT / "SECURITY.md")]
WITH_CODE = [page for page in EVERYWHERE if page.blocks]
COMMANDS = sorted(set().union(*(page.commands for page in EVERYWHERE)))
LINKS = sorted({(page.name, target) for page in EVERYWHERE for target in page.links})


def test_the_readme__is_short_and_shows_code_commands_and_links() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
    assert len(README.blocks) >= 5
    assert len(README.commands) >= 5
    assert len(README.links) >= 5


def test_the_documentation__shows_code_and_commands() -> None:
    assert len(WITH_CODE) >= 10
    assert len(COMMANDS) >= 20


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_python_blocks__run_one_after_the_other(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where they write their files
    names: dict[str, Any] = {"__name__": "shown"}
    for i, block in enumerate(page.blocks):
        exec(compile(block, f"{page.name}, block {i + 1}", "exec", dont_inherit=True), names)


def test_make__has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= set(README.targets)
    for target in {target for page in EVERYWHERE for target in page.targets}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_links__lead_to_files(page: str, target: str) -> None:
    assert (ROOT / page).parent.joinpath(target).exists()


def test_scripts__exist() -> None:
    named = {script for page in EVERYWHERE for script in page.scripts}
    assert named
    for script in named:
        assert (ROOT / script).is_file(), script


def test_examples__are_eight_or_more_and_say_what_they_show() -> None:
    examples = sorted((ROOT / "docs" / "examples").glob("plot_*.py"))
    assert len(examples) >= 8
    for example in examples:
        title, line, *_ = example.read_text(encoding="utf-8").split("\n")[1:]
        assert title, example
        assert re.fullmatch(r"=+", line), example
        compile(example.read_text(encoding="utf-8"), os.fspath(example), "exec")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands__exist_with_their_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.split()
    path = words[1:3] if words[1] == "build" else words[1:2]
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    assert ended.value.code == 0
    there = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= there
