"""What τ-bench's own user simulator is told, from the installed package (``envs/user.py``, 59a200c)."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Optional

from usersim_env.domains.tau_bench import INSTALL, installed, paths_only
from usersim_env.errors import InstallError

HASHES = {
    "LLMUserSimulationEnv": "7e51329f4e97ea8c5ef1431c273e0501b32e4a96bb1a164bdf5755af010e6243",
    "ReactUserSimulationEnv": "0232726740c48c619c18eeb7302472b8fae856f404e7d3319437c27bf59f339e",
}
"""Class of ``envs/user.py`` → SHA-256 of what it tells the model for the instruction ``$PROBE``."""


def user_prompt(instruction: str, react: bool = False) -> str:
    """What upstream's user simulator tells its model, from the installed package.

    The one function that builds it is run by itself: its module imports clients of providers, and ``tau_trait``'s
    prints as it goes and ends the text with a line break, which is taken off.

    Args:
        instruction: of the task.
        react: of the simulator that thinks before it speaks.

    Raises:
        InstallError: not installed, or another text than the one that was verified.
    """
    name = "ReactUserSimulationEnv" if react else "LLMUserSimulationEnv"
    build = _prompt_builder(name)
    told = build(None, "$PROBE").rstrip("\n")
    if hashlib.sha256(told.encode()).hexdigest() != HASHES[name]:
        raise InstallError(f"The user prompt of the installed {installed()} is not τ-bench's. Type: {INSTALL}")
    return build(None, instruction).rstrip("\n")


@cache
def _prompt_builder(name: str) -> Callable[[None, str], str]:
    package = installed()
    with paths_only(package):
        found = importlib.util.find_spec(f"{package}.envs")
    origin = None if found is None or found.origin is None else Path(found.origin).parent / "user.py"
    try:
        tree = ast.parse(origin.read_text(encoding="utf-8") if origin is not None else "")
        owner = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        body = next(n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "build_system_prompt")
    except (OSError, SyntaxError, StopIteration):
        raise InstallError(f"The installed {package} has no user prompt. Type: {INSTALL}") from None
    room: dict[str, Any] = {"Optional": Optional, "print": lambda *_: None}
    exec(compile(ast.Module([body], []), str(origin), "exec"), room)
    builder: Callable[[None, str], str] = room["build_system_prompt"]
    return builder
