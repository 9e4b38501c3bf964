"""``usersim-env tasks``: list tasks."""

from __future__ import annotations

import argparse
from typing import Any

from usersim_env.commands import task_list
from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.rollouts import select_tasks


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "tasks", "List tasks, or what the agenda user reads in them.",
        "tasks --domain retail --split test --tasks 0-2 --agenda", run,
    )  # fmt: skip
    parser.add_argument("--domain", default="retail", metavar="NAME", help="retail (default), airline, mock, …")
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or dev (default: test)")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="all, 0-9, 1,4 or ids (default: all)")
    parser.add_argument("--agenda", action="store_true", help="print the agenda parsed from each instruction")
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    ids = select_tasks(arguments.domain, arguments.split, arguments.tasks)
    if arguments.json:
        print_json(task_list.as_json(ids, arguments.agenda))
    else:
        print(task_list.as_text(ids, arguments.agenda))
