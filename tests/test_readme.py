"""What the README shows runs, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metahpo.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```\w*\n.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCES if language == "python"]
LINES = [line for language, text in FENCES if language != "python" for line in text.splitlines()]
COMMANDS = sorted(
    {
        " ".join(line.split("#")[0].split())
        for line in [*LINES, *re.findall(r"`([^`]+)`", PROSE)]
        if re.match(r"metahpo\s+[a-z]", line)
    }
)
TARGETS = [found[1] for line in LINES if (found := re.match(r"make (\w+)", line))]
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)


def test_the_readme__shows_code_commands_and_links() -> None:
    assert len(BLOCKS) >= 3
    assert len(COMMANDS) >= 10
    assert len(LINKS) >= 1


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_python_blocks__run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})


def test_make__has_the_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= set(TARGETS)
    for target in TARGETS:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("target", LINKS)
def test_links__lead_to_files(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands__exist_with_their_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.split()
    path = words[1:3] if words[1] == "build" else words[1:2]
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    assert ended.value.code == 0
    there = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= there
