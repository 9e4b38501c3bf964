"""What a set of episodes comes to, as one line: equal on every Python, or numbers depend on who computes them.

Run as a program it prints that line: ``python tests/equal_bits.py``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import warnings
from collections.abc import Iterator
from typing import Any

from usersim_env.baselines import Clerk
from usersim_env.gap import GapSettings, compare
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.trace import Trace


def episodes(persona: str, count: int) -> tuple[Trace, ...]:
    """The first retail tasks."""
    tasks = [f"retail/test/{number}" for number in range(count)]
    settings = RolloutSettings(tasks=tasks, keywords={"persona": persona}, progress=False)
    return tuple(rollout(Clerk(), "TauRetail-agenda-v0", settings).traces)


def without_time(trace: Trace) -> bytes:
    """Its line, without when and how long."""
    made = dataclasses.replace(trace.provenance, started="", seconds=0.0, package="")
    return dataclasses.replace(trace, provenance=made).to_line()


def parts(count: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of everything that is compared."""
    sides = [episodes(persona, count) for persona in ("cooperative", "humanlike")]
    for trace in (trace for side in sides for trace in side):
        yield f"{trace.task_id} {trace.user.settings}", without_time(trace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: dict[str, Any] = compare(sides[0], sides[1], GapSettings(replicates=500, usi=True)).as_dict()
    for name, value in result.items():
        yield f"gap: {name}", json.dumps(value, sort_keys=True, default=str).encode()


def digests(count: int) -> dict[str, str]:
    """A hash of each part."""
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in parts(count)}


if __name__ == "__main__":
    print(json.dumps({"python": platform.python_version(), "digests": digests(50)}))
