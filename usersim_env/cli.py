"""``usersim-env``: finds the command and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from usersim_env.commands import (
    bench,
    demo,
    export_traces,
    gap,
    import_traces,
    play,
    rate,
    rescore,
    rollout,
    serve,
    study,
    tasks,
    usi,
)
from usersim_env.commands.base import Parser
from usersim_env.errors import UsersimError
from usersim_env.registration import load_plugin
from usersim_env.version import __version__
from usersim_env.visible import visible

COMMANDS = (tasks, rollout, rescore, gap, usi, rate, play, serve, study, import_traces, export_traces, bench, demo)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; bad input is exit code 2 and one line on standard error."""
    arguments = parser().parse_args(argv)
    if "" not in sys.path:
        sys.path.append("")  # --agent my_module:MyAgent in the folder where this is typed, as with python -m
    run: Callable[[argparse.Namespace], object] = arguments.run
    try:
        for plugin in arguments.plugin:
            load_plugin(plugin)
        run(arguments)
    except UsersimError as error:
        print(f"usersim-env {arguments.command}: {visible(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except OSError as error:
        hint = "Is the path right, and may it be written?"
        print(f"usersim-env {arguments.command}: {visible(error)}. {hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished episodes are on disk", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    found = Parser(prog="usersim-env", description="τ-bench with a user side that can be swapped.")
    found.add_argument("--version", action="version", version=__version__)
    commands = found.add_subparsers(dest="command", required=True, parser_class=Parser, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return found


if __name__ == "__main__":
    sys.exit(main())
