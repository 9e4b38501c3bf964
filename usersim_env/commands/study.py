"""``usersim-env study``: what to do with a study beside serving it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from usersim_env.commands.base import command
from usersim_env.errors import UsageError
from usersim_env.study.deletion import forget_person
from usersim_env.study.export import export_study


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "study", "Export a study's traces, or delete a participant.",
        "study export study/ --out runs/people.jsonl", run,
    )  # fmt: skip
    actions = parser.add_subparsers(dest="action", required=True, parser_class=type(parser), metavar="ACTION")
    export = actions.add_parser("export", help="write the traces; the study may be going on")
    export.add_argument("study", metavar="FOLDER", help="what serve --out wrote")
    export.add_argument("--out", required=True, metavar="FILE.jsonl")
    delete = actions.add_parser("delete", help="delete everything that one participant said")
    delete.add_argument("study", metavar="FOLDER", help="what serve --out wrote")
    delete.add_argument("--participant", required=True, metavar="ID", help="pseudonym, or the PROLIFIC_PID")
    delete.add_argument("--yes", action="store_true", help="also if that names several people")


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    folder = Path(arguments.study)
    if arguments.action == "export":
        count = export_study(folder, arguments.out)
        print(f"{count} traces; {arguments.out}")
        return
    done = forget_person(folder, arguments.participant, arguments.yes)
    if not done.finished:
        raise UsageError(
            f"{done.sittings} sessions deleted, but another program is reading {folder}, so their words are still in "
            "its files. Close that program and type this again; the study's server finishes it by itself as well."
        )
    print(
        f"{done.sittings} sessions of {arguments.participant} deleted; no file in {folder} holds their words. Files "
        "that were exported or backed up before still do: export again."
    )
