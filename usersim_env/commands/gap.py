"""``usersim-env gap``: compare two user sides."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from rich.console import Console

from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.gap import ComparisonWarning, GapSettings, compare, print_tables, read_difficulty, write_report


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "gap", "Compare two user sides for the same agent on the same tasks.",
        "gap --sim runs/cooperative.jsonl --reference runs/humanlike.jsonl --out runs/gap", run,
    )  # fmt: skip
    parser.add_argument("--sim", required=True, metavar="FILE", help="traces with the simulated user side")
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--reference", metavar="FILE", help="traces with the user side to compare with")
    other.add_argument("--real", metavar="FILE", help="traces with people (refused when anyone else spoke)")
    parser.add_argument("--out", metavar="DIR", help="write a page with plots there")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    parser.add_argument("--usi", action="store_true", help="add the User-Sim Index of the simulated side")
    parser.add_argument(
        "--difficulty", metavar="FILE", help="mean success per task, for the bins and --usi (default: pooled)"
    )
    parser.add_argument(
        "--agent-failures-as-zero", action="store_true", help="count episodes that failed on the agent's side as 0"
    )
    parser.add_argument(
        "--excerpts", action="store_true", help="show conversations on the page whose terms restrict passing them on"
    )
    parser.add_argument("--note", metavar="TEXT", help="a remark to print on top of the report")
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    reference = arguments.real or arguments.reference
    difficulty = None if arguments.difficulty is None else read_difficulty(arguments.difficulty)
    real = arguments.real is not None
    settings = GapSettings(
        seed=arguments.seed,
        real=real,
        difficulty=difficulty,
        usi=arguments.usi,
        agent_failures="zero" if arguments.agent_failures_as_zero else "unscored",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ComparisonWarning)  # tables, page and JSON say the same
        result = compare(arguments.sim, reference, settings)
    if arguments.json:
        print_json(result.as_dict())
    else:
        print_tables(result, note=arguments.note)
    if arguments.out is not None:
        page = write_report(result, arguments.out, note=arguments.note, excerpts=arguments.excerpts)
        Console(stderr=True).print(f"Page: {page}", highlight=False, soft_wrap=True)
