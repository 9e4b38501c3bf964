"""What all commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """One clear line and exit code 2 instead of the usage text."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and how to see what is right."""
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
