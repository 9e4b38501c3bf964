"""``usersim-env usi``: the User-Sim Index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.errors import UsageError
from usersim_env.gap.usi import print_usi, user_sim_index
from usersim_env.gap.usi.calibration import MIN_SAMPLES
from usersim_env.gap.usi.tables import terms_lines
from usersim_env.visible import visible


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "usi", "Compare simulators with people by the User-Sim Index; files of tau-usi, or traces.",
        "usi --human human.json --sim mine=runs/mine.jsonl --difficulty difficulty.json", run,
    )  # fmt: skip
    many: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "NAME=FILE"}
    parser.add_argument("--human", required=True, metavar="FILE", help="sessions of people, in batches")
    parser.add_argument("--sim", required=True, help="sessions of simulators, in one or several runs", **many)
    parser.add_argument("--surveys", default=[], help="a simulator's answers about the sessions of people", **many)
    parser.add_argument("--human-re-rating", metavar="FILE", help="a second person's answers about the first batch")
    parser.add_argument("--difficulty", metavar="FILE", help="success rates by task (default: of the simulators)")
    parser.add_argument(
        "--min-samples", type=int, default=MIN_SAMPLES, metavar="N",
        help=f"sessions a task needs for such a rate, without --difficulty (default: {MIN_SAMPLES})",
    )  # fmt: skip
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    result = user_sim_index(
        arguments.human,
        _by_name(arguments.sim, "--sim"),
        surveys=_by_name(arguments.surveys, "--surveys"),
        human_re_rating=arguments.human_re_rating,
        difficulty=arguments.difficulty,
        min_samples=arguments.min_samples,
    )
    if not arguments.json:
        print_usi(result)
        return
    print_json(result.as_dict())
    print(visible("\n".join(terms_lines(result))), file=sys.stderr)


def _by_name(given: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, _, file = text.partition("=")
        if not name or not file:
            raise UsageError(f"{option} takes NAME=FILE, for example {option} mine=runs/mine.jsonl; got {text!r}.")
        if name in found:
            raise UsageError(f"{option} names {name!r} twice. Put its runs into one file, or give the other a name.")
        found[name] = file
    return found
