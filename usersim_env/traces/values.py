"""The values of a trace that was read: checked once, so that nothing that reads a trace meets a surprise later.

A file of traces may come from anybody. Types are the business of `trace_file`; here it is ranges, names and depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from usersim_env.errors import TraceError, UsageError
from usersim_env.feedback.behaviour import FEATURES
from usersim_env.feedback.survey import Survey
from usersim_env.traces.recorded_task import read_task
from usersim_env.traces.trace import Trace

ENDINGS = ("user", "agent", "transfer", "limit", "failure", "recording", "cut")
"""What may end an episode; `Trace.ended_by`."""

DEEPEST = 200
"""Levels of nesting in what a trace holds of others: arguments of tools, settings, notes, the source's own record."""

_WHOLE = frozenset((*FEATURES, "n_turns"))
_UNSCORED = ("failure", "recording", "cut")
_LARGEST = 1 << 63  # beyond it, an integer is no count, seed or number of seconds of anybody's


def check_values(trace: Trace, where: str) -> None:
    """Looks at every value that code reads later.

    Args:
        trace: whose types are right.
        where: begins the message.

    Raises:
        TraceError: which field, what came, what was expected.
    """
    if trace.task is not None:
        read_task(trace.task, f"{where}: task")
    for name, problem in _problems(trace):
        raise TraceError(f"{where}: {name}: {problem}.")


def _problems(trace: Trace) -> Iterator[tuple[str, str]]:
    yield from _outcome(trace)
    yield from _numbers(trace)
    if trace.survey is not None:
        yield from _survey("survey", trace.survey)
    if trace.behaviour is not None and not trace.behaviour.keys() >= _WHOLE:
        missing = [name for name in (*FEATURES, "n_turns") if name not in trace.behaviour]
        yield "behaviour", f"{', '.join(missing[:3])} missing; expected n_turns and the 19 features, or null"
    for number, event in enumerate(trace.events):
        if event["event"] == "survey" and event["answers"] is not None:
            yield from _survey(f"events.{number}.answers", event["answers"])
        if (problem := _odd(event, DEEPEST)) is not None:
            yield f"events.{number}", problem
    free = {"agent.settings": trace.agent.settings, "user.settings": trace.user.settings, "source": trace.source}
    free |= {"agent.notes": trace.agent.notes, "user.notes": trace.user.notes, "task": trace.task or {}}
    for name, value in free.items():
        if (problem := _odd(value, DEEPEST)) is not None:
            yield name, problem


def _outcome(trace: Trace) -> Iterator[tuple[str, str]]:
    if trace.ended_by not in ENDINGS:
        yield "ended_by", f"expected {', '.join(ENDINGS)}, got {trace.ended_by!r:.80}"
    reward = trace.reward
    if reward is not None and not 0 <= reward <= 1:
        yield "reward", f"expected null or a number from 0 to 1, got {reward!r:.80}"
    if reward is not None and trace.ended_by in _UNSCORED:
        yield "reward", f"an episode that ended by {trace.ended_by!r} is not scored, got {reward!r:.80}"
    if trace.schema < 1:
        yield "schema", f"expected at least 1, got {trace.schema}"


def _numbers(trace: Trace) -> Iterator[tuple[str, str]]:
    effort = vars(trace.effort)
    whole = {f"effort.{name}": value for name, value in effort.items()} | {
        "max_steps": trace.max_steps,
        "max_chars": trace.max_chars or 0,
    }
    if trace.recording is not None:
        whole |= {"recording.turns": trace.recording.turns, "recording.used": trace.recording.used}
        for value in trace.recording.divergence:
            if not 0 <= value <= 1:
                yield "recording.divergence", f"expected numbers from 0 to 1, got {value!r:.80}"
    for limit in ("max_steps", "max_chars"):
        if (value := getattr(trace, limit)) is not None and value < 1:
            yield limit, f"expected a whole number of at least 1, got {value!r:.80}"
    for name, value in whole.items():
        if not 0 <= value < _LARGEST:
            yield name, f"expected a whole number of at least 0, got {value!r:.80}"
    if not -_LARGEST <= trace.seed < _LARGEST:
        yield "seed", f"expected a whole number of 64 bits, got {trace.seed!r:.80}"
    seconds = {"provenance.seconds": trace.provenance.seconds, "provenance.cost": trace.provenance.cost}
    for name, number in seconds.items():
        if number is not None and not 0 <= number < math.inf:
            yield name, f"expected a number of at least 0, got {number!r:.80}"
    for kind, found in (("signals", trace.signals), ("behaviour", trace.behaviour or {})):
        for name, number in found.items():
            if not math.isfinite(number):
                yield f"{kind}.{name[:40]}", f"expected a number, got {number!r}"


def _survey(name: str, answers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        Survey(answers)
    except (UsageError, TypeError) as error:
        yield name, str(error).rstrip(".")


def _odd(value: Any, levels: int) -> str | None:
    """What no JSON that we write could hold, in a dict or a list; texts, which most values are, cost no call."""
    if not levels:
        return f"nested more than {DEEPEST} levels deep"
    for part in value.values() if type(value) is dict else value:
        kind = type(part)
        if kind is dict or kind is list:
            if (problem := _odd(part, levels - 1)) is not None:
                return problem
        elif kind is float and not math.isfinite(part):
            return "holds a number that is too large, such as 1e999"
    return None
