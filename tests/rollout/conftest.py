"""Agents and user sides that wait, break or block, and an OpenAI-compatible server that answers late."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from usersim_env import Trace


@pytest.fixture
def timeless() -> Callable[[Iterable[Trace]], list[Trace]]:
    """Traces without their times."""

    def strip(traces: Iterable[Trace]) -> list[Trace]:
        return [
            dataclasses.replace(t, provenance=dataclasses.replace(t.provenance, started="", seconds=0)) for t in traces
        ]

    return strip


@pytest.fixture(scope="session")
def late_server() -> Iterator[str]:
    """Address of a server, in a process of its own, that answers every call after 200 ms."""
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("litellm is not installed")
    script = Path(__file__).with_name("late_server.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()
