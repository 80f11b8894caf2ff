"""Options with several values beside the arguments of a command."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from metahpo.cli import _parser
from metahpo.cli.command_parser import CommandParser


def parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


def several(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from (action for action in parser._actions if action.option_strings and action.nargs in ("?", "*", "+"))


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings and action.nargs in (None, "+")]


PARSERS = dict(parsers(_parser()))
CASES = [
    pytest.param(name, action.option_strings[0], id=f"{name} {action.option_strings[0]}")
    for name, parser in PARSERS.items()
    if arguments(parser)
    for action in several(parser)
]


def test_commands__there_are_options_with_several_values() -> None:
    assert {"metahpo build retry", "metahpo train", "metahpo evaluate"} <= {str(case.values[0]) for case in CASES}


@pytest.mark.parametrize(("command", "option"), CASES)
def test_option_before_the_arguments__the_error_names_a_command_that_is_accepted(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = PARSERS[command]
    needed = ["--kind", "regression"] if command == "metahpo release" else []
    values = [] if option == "--live" else ["1"]
    folders = [f"folder{i}" for i in range(len(arguments(parser)))]
    with pytest.raises(SystemExit):
        parser.parse_args([*needed, option, *values, *folders])
    hint = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{option} takes all values that follow it" in hint
    suggested = shlex.split(hint.split("before them: ")[1])
    program = command.split()
    assert suggested[: len(program)] == program
    parsed = vars(parser.parse_args(suggested[len(program) :]))
    told = [parsed[action.dest] for action in arguments(parser)]
    assert [str(part[0] if isinstance(part, list) else part) for part in told] == folders


def test_missing_argument__no_command_is_suggested_where_none_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        PARSERS["metahpo build retry"].parse_args(["--status", "timeout", "--nothing"])
    assert "takes all values" not in capsys.readouterr().err


def test_other_errors__are_those_of_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        PARSERS["metahpo train"].parse_args(["folder", "--patience", "many", "--spaces", "svm"])
    assert capsys.readouterr().err.strip().endswith("argument --patience: invalid int value: 'many'")


@pytest.mark.parametrize("name", PARSERS)
def test_option_with_several_values__given_twice__adds(name: str) -> None:
    parser = PARSERS[name]
    for action in several(parser):
        if action.nargs != "?":
            needed = ["--kind", "regression"] if name == "metahpo release" else []
            needed += ["--cache", "c"] if name.endswith("prefetch") else []
            folders = ["folder"] * len(arguments(parser))
            parsed = parser.parse_args(
                [*folders, *needed, action.option_strings[0], "1", action.option_strings[0], "2"]
            )
            assert [str(part) for part in getattr(parsed, action.dest)] == ["1", "2"], action.option_strings


@pytest.mark.parametrize("name", PARSERS)
def test_help__says_what_every_option_and_argument_is_for(name: str) -> None:
    actions = [action for action in PARSERS[name]._actions if not isinstance(action, argparse._SubParsersAction)]
    silent = [
        action.dest
        for action in actions
        if not action.help or action.help.startswith(("default", "of other", "inferred"))
    ]
    assert silent == []


def test_parsers_of_commands__are_of_one_class() -> None:
    assert all(isinstance(parser, CommandParser) for parser in PARSERS.values())
