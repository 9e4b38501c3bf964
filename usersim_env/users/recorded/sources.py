"""Where recordings come from: files of traces, or traces at hand; and whether they may be used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from usersim_env.errors import TermsError, UsageError, unknown
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import Trace

Traces: TypeAlias = "str | os.PathLike[str] | Trace | Iterable[str | os.PathLike[str] | Trace]"
PURPOSES = ("training", "evaluation")

_HOW = (
    "Make some: usersim-env rollout --env Tau{name}-agenda-v0 --agent clerk --tasks 0-9 --out recorded.jsonl. Or bring "
    "recordings of others into the format: usersim-env import --help. Then: gym.make('Tau{name}-replay-v0', "
    "traces='recorded.jsonl')"
)


def load_traces(traces: Any, domain: str) -> tuple[Trace, ...]:
    """The traces of one domain.

    Args:
        traces: a path, a `Trace`, or several of either (`Traces`).
        domain: ``retail``, ``airline``, ``mock`` or one of your own; traces of others are left out.

    Raises:
        UsageError: there are none, or none of that domain; says how to get some.
        TraceError: a file that is not there, or is no file of traces.
    """
    how = _HOW.format(name=domain.capitalize())
    if traces is None:
        raise UsageError(f"Replay needs recordings: traces= is missing. {how}")
    single = isinstance(traces, str | os.PathLike | Trace)
    if not single and not isinstance(traces, Iterable):
        raise UsageError(f"traces is a path, a list of paths or a list of Trace, got {type(traces).__name__}. {how}")
    found: list[Trace] = []
    for item in [traces] if single else traces:
        if isinstance(item, Trace):
            found.append(item)
        elif isinstance(item, str | os.PathLike):
            found += read_traces(item)
        else:
            raise UsageError(f"traces is a list of paths or of Trace, got a {type(item).__name__} in it. {how}")
    if not found:
        raise UsageError(f"There is no trace in traces={traces!r:.80}. {how}")
    own = tuple(trace for trace in found if trace.domain == domain)
    if not own:
        counts = ", ".join(f"{name} {n}" for name, n in Counter(trace.domain for trace in found).items())
        raise UsageError(f"No trace of {domain} among the {len(found)} given ({counts}). {how}")
    return own


def check_terms(traces: Sequence[Trace], purpose: str) -> None:
    """Refuses traces whose terms forbid what they are wanted for.

    Raises:
        UnknownName: the purpose is neither ``training`` nor ``evaluation``.
        TermsError: names the terms, and how many traces carry them.
    """
    if purpose not in PURPOSES:
        raise unknown("purpose", purpose, PURPOSES)
    forbidden = [trace for trace in traces if not trace.terms.training]
    if purpose == "training" and forbidden:
        licences = ", ".join(f"{name!r} ({n})" for name, n in Counter(t.terms.licence for t in forbidden).items())
        raise TermsError(
            f"{len(forbidden)} of {len(traces)} traces may not be trained on. Their terms: {licences}; the first is "
            f"{forbidden[0].id}. Leave them out, or say purpose='evaluation' if nothing is trained on what comes out."
        )
