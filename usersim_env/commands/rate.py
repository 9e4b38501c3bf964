"""``usersim-env rate``: a model fills in the survey for recorded sessions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.errors import UsageError
from usersim_env.jsonl.claim import claimed
from usersim_env.llm import as_model, require_litellm
from usersim_env.rating.file import RatingFile
from usersim_env.rating.rater import RateResult, Recorded, Recordings, notice, pending, rate, read_recordings
from usersim_env.rollouts.estimate import money
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.spec import make_llm_user
from usersim_env.visible import visible


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "rate", "A model fills in the survey for recorded sessions; finished ones are not asked again.",
        "rate --human human.json --user llm:openai/gpt-4o-mini --out surveys.json", run,
    )  # fmt: skip
    parser.add_argument("--human", required=True, metavar="FILE", help="traces, or a recording that can be imported")
    parser.add_argument(
        "--user", required=True, metavar="SPEC", help="who rates: llm:MODEL, or llm:model=MODEL,temperature=0,…"
    )
    parser.add_argument("--api-base", metavar="URL", help="of that model: an OpenAI-compatible server")
    parser.add_argument("--out", required=True, metavar="FILE.json", help="surveys by session, in tau-usi's shape")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N sessions only")
    parser.add_argument("--yes", action="store_true", help="send the sessions to the model without asking first")
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    user = make_llm_user(arguments.user)
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError(f"--limit is at least 1, got {arguments.limit}.")
    if arguments.api_base is not None:
        user = replace(user, model=replace(as_model(user.model), api_base=arguments.api_base))
    require_litellm()
    found = read_recordings(arguments.human)
    sessions = found.sessions[: arguments.limit]
    if not sessions:
        why = f" The first is {found.left_out[0]}" if found.left_out else ""
        raise UsageError(f"{arguments.human}: no session can be rated, {len(found.left_out)} are left out.{why}")
    with claimed(arguments.out, "rate command"):
        _rate(found, sessions, user, arguments)


def _rate(found: Recordings, sessions: Sequence[Recorded], user: LLMUser, arguments: argparse.Namespace) -> None:
    """With the file to itself: two commands would pay for every session twice."""
    file = RatingFile(arguments.out, as_model(user.model).name)
    todo = pending(sessions, user, file)
    for line in found.left_out:
        _tell(f"left out: {line}")
    if todo:
        _tell(notice(todo, user))
        if not (arguments.yes or _agreed()):
            _tell("Nothing was sent.")
            return
    result = rate(todo, user, file)
    file.finish(session.key for session in sessions)
    for key, failure, message in result.failures:
        _tell(f"failed: {key}: {message if message.startswith(failure) else f'{failure}: {message}'}")
    figures = {"sessions": len(sessions), "resumed": len(sessions) - len(todo), "left_out": len(found.left_out)}
    print_json(figures | result.as_dict()) if arguments.json else print(_summary(result, figures, arguments.out))


def _agreed() -> bool:
    """Whether the person at the terminal agrees; an error where there is none."""
    if not sys.stdin.isatty():
        raise UsageError("Nothing was sent: there is no terminal to ask at. Add --yes to send the sessions.")
    _tell("Send them? Type yes:")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _summary(result: RateResult, figures: dict[str, int], out: str) -> str:
    failed = ", ".join(f"{kind} {count}" for kind, count in sorted(result.failed.items())) or "none"
    later = f", {result.not_asked} not asked" if result.not_asked else ""
    rated = f"{result.rated} rated ({result.incomplete} with answers missing), failed: {failed}{later}"
    again = "; the same command asks again" if result.failures else ""
    return f"{rated}; {figures['resumed']} were on disk; {money(result.usage.cost)}; {out}{again}"


def _tell(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)
