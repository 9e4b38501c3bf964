"""``usersim-env play``: be the user at the terminal."""

from __future__ import annotations

import argparse
from typing import Any

from usersim_env.baselines import make_agent
from usersim_env.commands.base import command
from usersim_env.rollouts import at_terminal as play


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "play", "Be the user at the terminal.",
        "play --task retail/test/17 --agent clerk --out runs/me.jsonl", run,
    )  # fmt: skip
    parser.add_argument("--domain", metavar="NAME", help="default: that of the task, or retail")
    parser.add_argument("--task", metavar="ID", help="for example retail/test/17 (default: drawn by the seed)")
    parser.add_argument("--agent", default="clerk", metavar="NAME", help="who serves you (default: clerk)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", metavar="FILE.jsonl", help="append the trace there")


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    agent = make_agent(arguments.agent)
    domain = arguments.domain or (arguments.task or "retail").split("/")[0]
    trace = play.play_terminal(agent, domain, arguments.task, arguments.seed, arguments.out)
    print(play.closing_line(trace))
