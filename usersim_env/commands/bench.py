"""``usersim-env bench``: the engine beside τ-bench's own."""

from __future__ import annotations

import argparse
from typing import Any

from usersim_env.commands import engine_bench as bench
from usersim_env.commands.base import command, json_flag, print_json


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(commands, "bench", "Time the engine beside τ-bench's own.", "bench --json", run)
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    result = bench.run()
    if arguments.json:
        print_json(result)
    else:
        print(bench.as_text(result))
