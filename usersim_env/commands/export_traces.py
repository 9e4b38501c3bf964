"""``usersim-env export``: traces in the formats of others."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from usersim_env import importers
from usersim_env.commands.base import command
from usersim_env.traces.file import read_traces


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "export", "Write traces in other people's formats.",
        "export runs/clerk.jsonl --format openai --out runs/chat.jsonl", run,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", required=True, choices=importers.TARGETS)
    parser.add_argument("--out", required=True, metavar="FILE", help="a new file")
    parser.add_argument(
        "--purpose", default="training", choices=["training", "evaluation"],
        help="of chat messages: training (the default) refuses traces whose terms forbid it",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    traces = [trace for file in arguments.files for trace in read_traces(file)]
    count = importers.export_file(traces, arguments.format, arguments.out, arguments.purpose)
    bound = sum(trace.terms.sharing is False for trace in traces)
    if bound:
        print(
            f"{bound} of these traces may not be passed on to others: their people did not agree to it.",
            file=sys.stderr,
        )
    print(f"{count} exported; {arguments.out}")
