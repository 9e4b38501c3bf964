"""``usersim-env rescore``: verdict against recorded verdict."""

from __future__ import annotations

import argparse
from typing import Any

from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.errors import UsageError
from usersim_env.importers.rescore import FORMATS, rescore
from usersim_env.visible import visible


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "rescore", "Replay recorded calls on a fresh world: verdict against recorded verdict.",
        "rescore runs/clerk.jsonl --json", run,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", default="auto", choices=FORMATS)
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    result = rescore(arguments.files, arguments.format).as_dict()
    if not result["episodes"]:
        raise UsageError(
            f"no episode in {', '.join(arguments.files)}. Make some with: usersim-env rollout … --out FILE"
        )
    if arguments.json:
        print_json(result)
    else:
        print("\n".join(f"{name}: {visible(value)}" for name, value in result.items()))
