"""The agent is asked for one action. Its output is as untrusted as a participant's: it harms its own sitting only."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from usersim_env.domains.canonical import checked, evidence
from usersim_env.env.raised import frames_of
from usersim_env.env.threads import Threads
from usersim_env.errors import InvalidAction, told
from usersim_env.feedback.values import Failure
from usersim_env.messages import ToolCall, parse_action
from usersim_env.person.clock import Now, Stopwatch
from usersim_env.person.limits import MAX_ACTION
from usersim_env.study.agents import AgentSide, Situation

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between two looks at the clock
NOTES_PATIENCE = 5.0
"""Seconds for an agent's notes of an episode."""

_LONGEST_MESSAGE, _LONGEST_KIND = 500, 40  # characters


async def next_call(
    agent: AgentSide, situation: Situation, timeout: float, now: Now = time.monotonic
) -> ToolCall | Failure:
    """The agent's next action, or how it failed; whatever it does, this returns within ``timeout`` seconds.

    Seconds in which this process did not run do not count.
    """
    asked = asyncio.ensure_future(_asked(agent, situation))
    watch, left = Stopwatch(now), timeout
    try:
        while left > 0 and not asked.done():
            # Not wait_for, which would wait for an agent that does not let itself be cancelled.
            await asyncio.wait({asked}, timeout=min(left, _LOOK))
            left -= watch.lap()
    finally:
        found = asked.result() if asked.done() else None
        asked.cancel()
    return Failure("agent", "timeout", f"The agent did not act within {timeout:g} s.") if found is None else found


async def notes_of(agent: AgentSide, sitting: str) -> dict[str, Any]:
    """What the agent says of an episode; nothing where that cannot be written into a trace, or does not come."""
    asked = asyncio.ensure_future(_noted(agent, sitting))
    try:
        await asyncio.wait({asked}, timeout=NOTES_PATIENCE)
    finally:
        found = asked.result() if asked.done() else f"they did not come within {NOTES_PATIENCE:g} s"
        asked.cancel()
    if isinstance(found, dict):
        return found
    log.warning("sitting %s: the agent's notes are left out: they are no notes, or did not come", sitting)
    return {}


async def _noted(agent: AgentSide, sitting: str) -> dict[str, Any] | str:
    """The notes, or why there are none."""
    try:
        # In a thread: while an agent counts its tokens, everybody else is served.
        notes: dict[str, Any] = checked(await Threads(1).run(agent.notes, sitting), "notes")
        if len(json.dumps(notes)) > MAX_ACTION:
            return f"longer than {MAX_ACTION} characters"
    except BaseException as error:  # also an agent's sys.exit(), which would end the server
        return type(error).__name__  # its text may quote the person, and a log is not deleted with their data
    return notes


async def _asked(agent: AgentSide, situation: Situation) -> ToolCall | Failure:
    try:
        return _bounded(parse_action(await agent.act(situation)))
    except InvalidAction as error:
        return Failure("agent", "invalid_action", str(error)[:_LONGEST_MESSAGE])
    except BaseException as error:  # also what would end the server, such as an agent's sys.exit()
        return Failure("agent", _kind(error), told(error)[:_LONGEST_MESSAGE], frames_of(error))


def _kind(error: BaseException) -> str:
    try:
        kind = getattr(error, "kind", None)
    except Exception:  # a foreign error may raise anything when it is looked at
        return "error"
    return kind if type(kind) is str and kind.isidentifier() and len(kind) <= _LONGEST_KIND else "error"


def _bounded(call: ToolCall) -> ToolCall:
    """The call; raises `InvalidAction` where it is too long to be stored, shown and read again by everybody."""
    try:
        kept = checked(call.arguments)
    except Exception:
        kept = evidence(call.arguments)  # what the conversation will keep of a call that it refuses
    length = len(json.dumps([call.name, kept]))
    if length > MAX_ACTION:
        raise InvalidAction(f"An action has at most {MAX_ACTION} characters as JSON, this one has {length}.")
    return call
