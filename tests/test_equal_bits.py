"""The same episodes give the same bits on every Python.

Since 3.12 the built-in `sum` of floats is compensated, so it and a plain loop differ in the last digit.
"""

from __future__ import annotations

import builtins
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.equal_bits import digests

ROOT = Path(__file__).parents[1]


def plain(values: Iterable[Any], start: Any = 0) -> Any:
    """`sum` until Python 3.11."""
    total = start
    for value in values:
        total = total + value
    return total


def compensated(values: Iterable[Any], start: Any = 0) -> Any:
    """`sum` from Python 3.12 on, or more exact still: floats are added without a loss."""
    found = list(values)
    if found and all(type(value) in (float, int) for value in found) and any(type(value) is float for value in found):
        return math.fsum([start, *found])
    return plain(found, start)


def test_whichever_way_python_adds_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    tenths = [0.1] * 10
    assert plain(tenths) != compensated(tenths)
    found = []
    for way in (plain, compensated):
        monkeypatch.setattr(builtins, "sum", way)
        found.append(digests(12))
    different = [name for name in found[0] if found[0][name] != found[1][name]]
    assert different == []


@pytest.mark.slow
def test_the_pythons_that_are_at_hand(tmp_path: Path) -> None:
    """``make equal-bits PYTHONS="python3.10 python3.13"``; each gets a venv of its own."""
    pythons = os.environ.get("PYTHONS", "").split()
    if not pythons:
        pytest.skip('no other Python is named: make equal-bits PYTHONS="python3.10 python3.13"')
    mine = digests(50)
    for python in pythons:
        other = _of_another(python, tmp_path / Path(python).name)
        different = [name for name, digest in mine.items() if other["digests"].get(name) != digest]
        print(f"\n{platform.python_version()} and {other['python']}: {len(mine)} parts, {len(different)} differ")
        assert different == [] and len(other["digests"]) == len(mine)


def _of_another(python: str, folder: Path) -> dict[str, Any]:
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", "-e", ROOT], check=True)
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", "--no-deps", "tau-trait"], check=True)
    command = [str(folder / "bin" / "python"), "-m", "tests.equal_bits"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
