"""A parser whose errors say that an option with several values took the argument that follows them."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """Parser of a command; `add_subparsers` makes parsers of this class, too.

    An option that takes several values, such as `--status STATUS ...`, takes all that follows it up to the next option.
    So `retry --status timeout FOLDER` lacks its folder. The error then names the option, and a command that is
    accepted.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given: list[str] = []
        self._trying = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and remember what was given."""
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._given, namespace)

    def error(self, message: str) -> NoReturn:
        """End with the message. Where an option took an argument, say so, and name a command that is accepted."""
        if self._trying:
            raise argparse.ArgumentError(None, message)
        for name in self._given:
            action = self._option_string_actions.get(name)
            if action is not None and action.nargs in ("?", "*", "+") and (apart := self._apart(name)) is not None:
                super().error(
                    f"{message}\n{name} takes all values that follow it. Put other arguments before {name}, or put -- "
                    f"before them: {self.prog} {shlex.join(apart)}"
                )
        super().error(message)

    def _apart(self, name: str) -> list[str] | None:
        """What was given, with the last values of an option behind ``--``; None where that is refused as well."""
        n_required = sum(not action.option_strings and action.nargs in (None, "+") for action in self._actions)
        start = self._given.index(name) + 1
        end = next((i for i in range(start, len(self._given)) if self._given[i].startswith("-")), len(self._given))
        cut = end - n_required
        if not n_required or cut < start:
            return None
        apart = [*self._given[:cut], *self._given[end:], "--", *self._given[cut:end]]
        self._trying = True
        try:
            _, unknown = super().parse_known_args(apart)
        except argparse.ArgumentError:
            return None
        finally:
            self._trying = False
        return None if unknown else apart
