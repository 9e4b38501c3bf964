"""``usersim-env demo``: the package's main job in one call."""

from __future__ import annotations

import argparse
from typing import Any

from usersim_env.commands import demo_run as demo
from usersim_env.commands.base import command


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "demo", "The package's main job on real tasks, with two synthetic user sides and a planted gap.",
        "demo --out runs/demo", run,
    )  # fmt: skip
    parser.add_argument("--out", default="runs/demo", metavar="DIR")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="of retail test (default: all 115)")


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    demo.run(arguments.out, arguments.tasks)
