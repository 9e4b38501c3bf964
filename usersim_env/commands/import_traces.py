"""``usersim-env import``: recordings of others as traces."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from usersim_env import importers
from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.traces.trace import Terms
from usersim_env.visible import visible


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "import", "Read other people's recordings as traces; their terms travel along.",
        "import human.json --format tau-usi --out runs/people.jsonl --skip-broken", run,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", default=importers.AUTO, choices=[importers.AUTO, *importers.FORMATS])
    parser.add_argument("--out", required=True, metavar="FILE.jsonl", help="a new file")
    parser.add_argument("--user", metavar="KIND[:NAME]", help="who sat in the user's seat, for example llm:gpt-4o")
    parser.add_argument("--agent", metavar="NAME", help="who sat in the agent's seat, where the file does not say")
    parser.add_argument("--domain", metavar="NAME", help="of the tasks, where the file does not say")
    parser.add_argument("--split", default="test", metavar="NAME", help="of the tasks of tau-bench (default: test)")
    parser.add_argument("--licence", metavar="TEXT", help="of files that state none")
    parser.add_argument("--no-training", action="store_true", help="models may not be trained on it")
    parser.add_argument("--skip-broken", action="store_true", help="list broken records and import the rest")
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    terms = None
    if arguments.licence is not None or arguments.no_training:
        terms = Terms(arguments.licence or importers.NOT_STATED.licence, training=not arguments.no_training)
    settings = importers.ImportSettings(
        user=arguments.user,
        split=arguments.split,
        terms=terms,
        skip_broken=arguments.skip_broken,
        agent=arguments.agent,
        domain=arguments.domain,
    )
    found = importers.import_to_file(arguments.files, arguments.out, arguments.format, settings).as_dict()
    if arguments.json:
        print_json(found)
        return
    for line in (*found["broken"], *found["notes"]):
        print(visible(line), file=sys.stderr)
    kept = f", {found['not_kept']} marked not to keep" if found["not_kept"] else ""
    counts = f"{found['imported']} imported, {found['scored']} scored{kept}, {len(found['broken'])} broken"
    print(f"{counts}; {arguments.out}")
    print("\n".join(f"terms: {visible(licence)}" for licence in found["terms"]))
