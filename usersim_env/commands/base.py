"""What all commands share."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """One clear line and exit code 2 instead of the usage text."""

    _typed: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Keeps what was typed, for `error`."""
        self._typed = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _all_actions(self) -> Iterator[argparse.Action]:
        for action in self._actions:
            yield action
            if isinstance(action, argparse._SubParsersAction):
                for inner in action.choices.values():
                    yield from inner._all_actions() if isinstance(inner, Parser) else ()

    @staticmethod
    def _meant(found: re.Match[str]) -> str:
        """The choices, with the nearest to what was typed."""
        got = re.search(r"invalid choice: '([^']*)'", found.string)
        near = difflib.get_close_matches(got[1], re.findall(r"[\w-]+", found[1]), n=1) if got else []
        return f". Did you mean {near[0]}? (choose from {found[1]})" if near else found[0]

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, what was meant, and how to see what is right."""
        message = re.sub(r" \(choose from (.*)\)$", self._meant, message)
        options = [option for action in self._all_actions() for option in action.option_strings]
        for typed in self._typed:
            name = typed.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                near = difflib.get_close_matches(name, options, n=1)
                message += f". Did you mean {near[0]} by {name}?" if near else ""
                break
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command(
    commands: Any, name: str, text: str, example: str, run: Callable[[argparse.Namespace], object]
) -> argparse.ArgumentParser:
    """Adds a command whose help shows an example."""
    shape = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example:\n  usersim-env {example}", formatter_class=shape
    )
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="PATH", help="a folder with a domain of your own, or a module"
    )
    parser.set_defaults(run=run)
    return parser


def json_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="print figures as JSON")


def print_json(value: object) -> None:
    """Figures on standard output."""
    print(json.dumps(value, indent=2))
