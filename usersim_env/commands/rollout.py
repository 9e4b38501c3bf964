"""``usersim-env rollout``: run an agent on tasks."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from usersim_env.agent import Agent
from usersim_env.baselines import make_agent
from usersim_env.commands.base import command, json_flag, print_json
from usersim_env.errors import UsageError
from usersim_env.llm import Model, close_connections
from usersim_env.registration import env_parts
from usersim_env.rollouts import (
    BACKENDS,
    RaySettings,
    RolloutResult,
    RolloutSettings,
    failure_name,
    rollout,
    rollout_async,
    select_tasks,
)
from usersim_env.rollouts.estimate import estimate_rollout
from usersim_env.users import User
from usersim_env.users.llm.spec import make_llm_user
from usersim_env.visible import visible


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "rollout", "Run an agent on tasks; traces go to a file, finished episodes are not run again.",
        "rollout --env TauRetail-agenda-v0 --agent clerk --tasks 0-9 --seed 0 --out runs/clerk.jsonl", run,
    )  # fmt: skip
    parser.add_argument("--env", required=True, metavar="ID", help="for example TauRetail-agenda-v0")
    parser.add_argument("--agent", required=True, metavar="NAME", help="silent, oracle, clerk, … or module:name")
    parser.add_argument(
        "--user",
        metavar="SPEC",
        help="plays the user in the llm ids: llm:model=NAME,strategy=verify,trait.patience=low,…",
    )
    parser.add_argument("--persona", metavar="NAME", help="of the agenda user; of the llm user: a text")
    parser.add_argument("--model", metavar="NAME", help="plays the user in the llm ids, for example openai/gpt-4o-mini")
    parser.add_argument("--api-base", metavar="URL", help="of that model: an OpenAI-compatible server")
    parser.add_argument("--split", default="test", metavar="NAME", help="test, train or dev (default: test)")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="all, 0-9, 1,4 or ids (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="first seed (default: 0)")
    parser.add_argument("--episodes", type=int, default=1, metavar="K", help="seeds N … N+K-1 for each task")
    parser.add_argument("--max-steps", type=int, default=200, metavar="N", help="agent steps (default: 200)")
    parser.add_argument("--traces", nargs="+", metavar="FILE", help="recordings, for the replay ids")
    parser.add_argument("--purpose", choices=["training", "evaluation"], help="of the recordings (default: training)")
    parser.add_argument("--on-divergence", choices=["continue", "truncate"], help="what a replay does when it is left")
    parser.add_argument("--out", required=True, metavar="FILE.jsonl")
    parser.add_argument("--concurrency", type=int, metavar="N", help="episodes at once (default: one after the other)")
    parser.add_argument("--max-parallel", type=int, metavar="N", help="of --model: most calls at once")
    parser.add_argument("--rpm", type=float, metavar="N", help="of --model: most calls in a minute")
    parser.add_argument("--backend", choices=BACKENDS, default="serial", help="ray: on all cores, or on a cluster")
    parser.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster (default: one for this rollout)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes on Ray (default: as many as CPUs)")
    parser.add_argument("--retry-failed", action="store_true", help="run episodes again that the file has as failed")
    parser.add_argument(
        "--raise", action="store_true", help="let an exception of a seat end the rollout, with traceback"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run and what it may cost; run nothing")
    json_flag(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    domain, _ = env_parts(arguments.env)
    if arguments.seed < 0 or arguments.episodes < 1:
        raise UsageError(f"--seed is at least 0 and --episodes at least 1, got {arguments.seed}, {arguments.episodes}.")
    keywords: dict[str, Any] = {"split": arguments.split, "max_steps": arguments.max_steps}
    own = ("api_base", "max_parallel", "rpm")
    if arguments.model is not None:
        keywords["model"] = Model(arguments.model, **{name: getattr(arguments, name) for name in own})
    elif given := [name for name in own if getattr(arguments, name) is not None]:
        raise UsageError(f"--{given[0].replace('_', '-')} goes with --model.")
    if arguments.user is not None:
        keywords["user"] = _user(arguments)
    for name in ("persona", "traces", "purpose", "on_divergence"):
        if getattr(arguments, name) is not None:
            keywords[name] = getattr(arguments, name)
    # With recordings, "all" are the tasks that have one.
    recorded = arguments.traces is not None and arguments.tasks == "all"
    settings = RolloutSettings(
        tasks=None if recorded else select_tasks(domain, arguments.split, arguments.tasks),
        seeds=range(arguments.seed, arguments.seed + arguments.episodes),
        out=arguments.out,
        keywords=keywords,
        retry_failed=arguments.retry_failed,
        on_error="raise" if getattr(arguments, "raise") else "record",
    )
    agent = make_agent(arguments.agent)
    if arguments.dry_run:
        expected = estimate_rollout(agent, arguments.env, settings)
        print_json(expected.as_dict()) if arguments.json else print(expected.as_text())
        return
    result = _rolled_out(agent, arguments, settings)
    _reasons(result)
    print_json(result.summary()) if arguments.json else print(_summary_line(result, arguments.out))
    _hints(result, arguments)
    if result.traces and not result.scored:
        raise UsageError("no episode is scored, so there is nothing to go on with; the reasons are above.")


def _user(arguments: argparse.Namespace) -> User:
    """The user side of ``--user``, in an env that has none of another kind."""
    if env_parts(arguments.env)[1] not in ("", "llm"):
        raise UsageError(f"--user goes with the llm ids, such as TauRetail-llm-v0, got {arguments.env}.")
    for name in ("model", "persona"):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name} and --user say the same thing: write --user llm:model=…,{name}=…")
    return make_llm_user(arguments.user)


def _rolled_out(agent: Agent, arguments: argparse.Namespace, settings: RolloutSettings) -> RolloutResult:
    """One after the other, many at once, or on Ray."""
    if arguments.backend == "ray":
        concurrency = 1 if arguments.concurrency is None else arguments.concurrency
        on_ray = RaySettings(arguments.address, arguments.workers, concurrency)
        return rollout(agent, arguments.env, settings, on_ray)
    if arguments.address is not None or arguments.workers is not None:
        raise UsageError("--address and --workers go with --backend ray.")
    if arguments.concurrency is None:
        return rollout(agent, arguments.env, settings)
    return asyncio.run(_many(rollout_async(agent, arguments.env, settings, arguments.concurrency)))


async def _many(running: Coroutine[Any, Any, RolloutResult]) -> RolloutResult:
    try:
        return await running
    finally:
        await close_connections()


def _reasons(result: RolloutResult) -> None:
    """The first message of each kind of failure, on standard error."""
    shown: set[str] = set()
    for trace in result.traces:
        if trace.failure is not None and (name := failure_name(trace.failure, trace.ended_by)) not in shown:
            shown.add(name)
            print(visible(f"{name}, first in {trace.task_id}: {trace.failure.message}"), file=sys.stderr)


def _hints(result: RolloutResult, arguments: argparse.Namespace) -> None:
    """What a reader of the file should know, on standard error."""
    if result.resumed and result.failed and not arguments.retry_failed:
        print("failed episodes that were on disk are not run again without --retry-failed", file=sys.stderr)
    if result.others:
        text = f"{arguments.out} also holds {result.others} other episodes: of other tasks, seeds, agents or user sides"
        print(text, file=sys.stderr)


def _summary_line(result: RolloutResult, out: str) -> str:
    failed = ", ".join(f"{name} {count}" for name, count in sorted(result.failed.items())) or "none"
    success = "no episode scored" if result.success is None else f"success {result.success:.3f}"
    if result.success is not None and (bounds := result.success_bounds) is not None and bounds[0] != bounds[1]:
        success += f" ({bounds[0]:.3f} with the failed as 0, {bounds[1]:.3f} as 1)"
    return f"{success}; {len(result.scored)} scored, failed: {failed}; {result.resumed} were on disk; {out}"
