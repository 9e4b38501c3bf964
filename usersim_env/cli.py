"""``usersim-env``: argument parsing only; what a command does is in the module of its name."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rich.console import Console

from usersim_env import bench, demo, importers, play, task_list
from usersim_env.baselines import make_agent
from usersim_env.domains import LOADERS
from usersim_env.errors import UsageError, UsersimError
from usersim_env.gap import ComparisonWarning, GapSettings, compare, print_tables, write_report
from usersim_env.registration import env_parts
from usersim_env.rescore import FORMATS, rescore
from usersim_env.rollout import RolloutResult, RolloutSettings, rollout, select_tasks
from usersim_env.trace import Terms
from usersim_env.trace_file import read_traces
from usersim_env.version import __version__


class _Parser(argparse.ArgumentParser):
    """One clear line and exit code 2 instead of the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; bad input is exit code 2 and one line on standard error."""
    arguments = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], object] = arguments.run
        run(arguments)
    except UsersimError as error:
        print(f"usersim-env {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("interrupted; finished episodes are on disk", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="usersim-env", description="τ-bench with a user side that can be swapped.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")
    for add in (_tasks, _rollout, _import, _export, _rescore, _gap, _play, _bench, _demo):
        add(commands)
    return parser


def _command(commands: Any, name: str, text: str, example: str, run: Callable[..., object]) -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example:\n  usersim-env {example}", formatter_class=shape
    )
    parser.set_defaults(run=run)
    return parser


def _json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print figures as JSON")


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


# -- tasks -------------------------------------------------------------------------------------------------------------


def _tasks(commands: Any) -> None:
    parser = _command(
        commands, "tasks", "List tasks, or what the agenda user reads in them.",
        "tasks --domain retail --split test --tasks 0-2 --agenda", _run_tasks,
    )  # fmt: skip
    parser.add_argument("--domain", default="retail", choices=list(LOADERS))
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or dev (default: test)")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="all, 0-9 or 1,4 (default: all)")
    parser.add_argument("--agenda", action="store_true", help="print the agenda parsed from each instruction")
    _json_flag(parser)


def _run_tasks(arguments: argparse.Namespace) -> None:
    ids = select_tasks(arguments.domain, arguments.split, arguments.tasks)
    if arguments.json:
        _print_json(task_list.as_json(ids, arguments.agenda))
    else:
        print(task_list.as_text(ids, arguments.agenda))


# -- rollout -----------------------------------------------------------------------------------------------------------


def _rollout(commands: Any) -> None:
    parser = _command(
        commands, "rollout", "Run an agent on tasks; traces go to a file, finished episodes are not run again.",
        "rollout --env TauRetail-agenda-v0 --agent clerk --tasks 0-9 --seed 0 --out runs/clerk.jsonl", _run_rollout,
    )  # fmt: skip
    parser.add_argument("--env", required=True, metavar="ID", help="for example TauRetail-agenda-v0")
    parser.add_argument("--agent", required=True, metavar="NAME", help="silent, oracle, clerk, … or module:name")
    parser.add_argument("--persona", metavar="NAME", help="of the agenda user")
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or dev (default: test)")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="all, 0-9 or 1,4 (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="first seed (default: 0)")
    parser.add_argument("--episodes", type=int, default=1, metavar="K", help="seeds N … N+K-1 for each task")
    parser.add_argument("--max-steps", type=int, default=200, metavar="N", help="agent steps (default: 200)")
    parser.add_argument("--out", required=True, metavar="FILE.jsonl")
    _json_flag(parser)


def _run_rollout(arguments: argparse.Namespace) -> None:
    domain, _ = env_parts(arguments.env)
    if arguments.seed < 0 or arguments.episodes < 1:
        raise UsageError(f"--seed is at least 0 and --episodes at least 1, got {arguments.seed}, {arguments.episodes}.")
    keywords = {"split": arguments.split, "max_steps": arguments.max_steps}
    if arguments.persona is not None:
        keywords["persona"] = arguments.persona
    settings = RolloutSettings(
        tasks=select_tasks(domain, arguments.split, arguments.tasks),
        seeds=range(arguments.seed, arguments.seed + arguments.episodes),
        out=arguments.out,
        keywords=keywords,
    )
    result = rollout(make_agent(arguments.agent), arguments.env, settings)
    _print_json(result.summary()) if arguments.json else print(_summary_line(result, arguments.out))


def _summary_line(result: RolloutResult, out: str) -> str:
    failed = ", ".join(f"{name} {count}" for name, count in sorted(result.failed.items())) or "none"
    success = "no episode scored" if result.success is None else f"success {result.success:.3f}"
    return f"{success}; {len(result.scored)} scored, failed: {failed}; {result.resumed} were on disk; {out}"


# -- import, export ----------------------------------------------------------------------------------------------------


def _import(commands: Any) -> None:
    parser = _command(
        commands, "import", "Read other people's recordings as traces; their terms travel along.",
        "import human.json --format tau-usi --out runs/people.jsonl --skip-broken", _run_import,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", default=importers.AUTO, choices=[importers.AUTO, *importers.FORMATS])
    parser.add_argument("--out", required=True, metavar="FILE.jsonl", help="a new file")
    parser.add_argument("--user", metavar="KIND[:NAME]", help="who sat in the user's seat, for example llm:gpt-4o")
    parser.add_argument("--split", default="test", metavar="NAME", help="of the tasks of tau-bench (default: test)")
    parser.add_argument("--licence", metavar="TEXT", help="of files that state none")
    parser.add_argument("--no-training", action="store_true", help="models may not be trained on it")
    parser.add_argument("--skip-broken", action="store_true", help="list broken records and import the rest")
    _json_flag(parser)


def _run_import(arguments: argparse.Namespace) -> None:
    terms = None
    if arguments.licence is not None or arguments.no_training:
        terms = Terms(arguments.licence or importers.NOT_STATED.licence, training=not arguments.no_training)
    settings = importers.ImportSettings(arguments.user, arguments.split, terms, arguments.skip_broken)
    found = importers.import_to_file(arguments.files, arguments.out, arguments.format, settings).as_dict()
    if arguments.json:
        _print_json(found)
        return
    for line in (*found["broken"], *found["notes"]):
        print(line, file=sys.stderr)
    kept = f", {found['not_kept']} marked not to keep" if found["not_kept"] else ""
    counts = f"{found['imported']} imported, {found['scored']} scored{kept}, {len(found['broken'])} broken"
    print(f"{counts}; {arguments.out}")
    print("\n".join(f"terms: {licence}" for licence in found["terms"]))


def _export(commands: Any) -> None:
    parser = _command(
        commands, "export", "Write traces in other people's formats.",
        "export runs/clerk.jsonl --format openai --out runs/chat.jsonl", _run_export,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", required=True, choices=importers.TARGETS)
    parser.add_argument("--out", required=True, metavar="FILE", help="a new file")
    parser.add_argument(
        "--purpose", default="training", choices=["training", "evaluation"],
        help="of chat messages: training (the default) refuses traces whose terms forbid it",
    )  # fmt: skip


def _run_export(arguments: argparse.Namespace) -> None:
    traces = [trace for file in arguments.files for trace in read_traces(file)]
    count = importers.export_file(traces, arguments.format, arguments.out, arguments.purpose)
    print(f"{count} exported; {arguments.out}")


# -- rescore -----------------------------------------------------------------------------------------------------------


def _rescore(commands: Any) -> None:
    parser = _command(
        commands, "rescore", "Replay recorded calls on a fresh world: verdict against recorded verdict.",
        "rescore runs/clerk.jsonl --json", _run_rescore,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--format", default="auto", choices=FORMATS)
    _json_flag(parser)


def _run_rescore(arguments: argparse.Namespace) -> None:
    result = rescore(arguments.files, arguments.format).as_dict()
    if arguments.json:
        _print_json(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))


# -- gap ---------------------------------------------------------------------------------------------------------------


def _gap(commands: Any) -> None:
    parser = _command(
        commands, "gap", "Compare two user sides for the same agent on the same tasks.",
        "gap --sim runs/cooperative.jsonl --reference runs/humanlike.jsonl --out runs/gap", _run_gap,
    )  # fmt: skip
    parser.add_argument("--sim", required=True, metavar="FILE", help="traces with the simulated user side")
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--reference", metavar="FILE", help="traces with the user side to compare with")
    other.add_argument("--real", metavar="FILE", help="traces with people (refused when anyone else spoke)")
    parser.add_argument("--out", metavar="DIR", help="write a page with plots there")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    parser.add_argument("--note", metavar="TEXT", help="a remark to print on top of the report")
    _json_flag(parser)


def _run_gap(arguments: argparse.Namespace) -> None:
    reference = arguments.real or arguments.reference
    settings = GapSettings(seed=arguments.seed, real=arguments.real is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ComparisonWarning)  # tables, page and JSON say the same
        result = compare(read_traces(arguments.sim), read_traces(reference), settings)
    if arguments.json:
        _print_json(result.as_dict())
    else:
        print_tables(result, note=arguments.note)
    if arguments.out is not None:
        page = write_report(result, arguments.out, note=arguments.note)
        Console(stderr=True).print(f"Page: {page}", highlight=False, soft_wrap=True)


# -- play, bench, demo -------------------------------------------------------------------------------------------------


def _play(commands: Any) -> None:
    parser = _command(
        commands, "play", "Be the user at the terminal.",
        "play --domain retail --task retail/test/17 --agent clerk --out runs/me.jsonl", _run_play,
    )  # fmt: skip
    parser.add_argument("--domain", default="retail", choices=list(LOADERS))
    parser.add_argument("--task", metavar="ID", help="for example retail/test/17 (default: drawn by the seed)")
    parser.add_argument("--agent", default="clerk", metavar="NAME", help="who serves you (default: clerk)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", metavar="FILE.jsonl", help="append the trace there")


def _run_play(arguments: argparse.Namespace) -> None:
    agent = make_agent(arguments.agent)
    trace = play.play_terminal(agent, arguments.domain, arguments.task, arguments.seed, arguments.out)
    print(play.closing_line(trace))


def _bench(commands: Any) -> None:
    parser = _command(commands, "bench", "Time the engine beside τ-bench's own.", "bench --json", _run_bench)
    _json_flag(parser)


def _run_bench(arguments: argparse.Namespace) -> None:
    result = bench.run()
    if arguments.json:
        _print_json(result)
    else:
        print(bench.as_text(result))


def _demo(commands: Any) -> None:
    parser = _command(
        commands, "demo", "The package's main job on real tasks, with two synthetic user sides and a planted gap.",
        "demo --out runs/demo", _run_demo,
    )  # fmt: skip
    parser.add_argument("--out", default="runs/demo", metavar="DIR")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="of retail test (default: all 115)")


def _run_demo(arguments: argparse.Namespace) -> None:
    demo.run(arguments.out, arguments.tasks)


if __name__ == "__main__":
    sys.exit(main())
