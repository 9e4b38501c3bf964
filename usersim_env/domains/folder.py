"""A domain from a folder: policy.md, data/, tasks/, tools.py."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from usersim_env.domains.functions import tool_of
from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool
from usersim_env.errors import UsageError, told
from usersim_env.messages import ToolCall

PARTS = "policy.md, data/<table>.json, tasks/test.json and tools.py"
_FIELDS = ("instruction", "expected_calls", "required_outputs")


def read_domain(folder: str | os.PathLike[str]) -> Domain:
    """The domain in a folder, named after it.

    ``policy.md`` is given to the agent; ``data/<table>.json`` is a table, key → record; ``tasks/<split>.json`` is a
    list of ``{"instruction", "expected_calls": [{"name", "arguments"}], "required_outputs"}``, the last two optional;
    ``tools.py`` has ``TOOLS``, a list of functions (see `tool_of`) or `Tool`, and may have ``WRITTEN`` (tool → tables)
    and ``TERMINAL`` (tools that end the episode). ``tools.py`` is run.

    Raises:
        UsageError: a part is missing or cannot be read: which one, and what was expected.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise UsageError(f"{folder} is no folder. A domain is a folder with {PARTS}.")
    files = [root / "policy.md", *sorted((root / "data").glob("*.json"))]
    files += [*sorted((root / "tasks").glob("*.json")), root / "tools.py"]
    missing = [part for part in ("policy.md", "tools.py") if not (root / part).is_file()]
    missing += [f"{part}/*.json" for part in ("data", "tasks") if not list((root / part).glob("*.json"))]
    if missing:
        raise UsageError(f"{root} has no {', no '.join(missing)}. A domain is a folder with {PARTS}.")
    code = _run(root / "tools.py")
    tools = _tools(getattr(code, "TOOLS", None), root / "tools.py")
    more = {"terminal": frozenset(code.TERMINAL)} if hasattr(code, "TERMINAL") else {}
    written = getattr(code, "WRITTEN", None)
    return Domain(
        name=root.name,
        policy=(root / "policy.md").read_text(encoding="utf-8"),
        tools={tool.name: tool for tool in tools},
        data={path.stem: _json(path, dict, "an object, key → record") for path in (root / "data").glob("*.json")},
        splits={path.stem: _split(root.name, path) for path in sorted((root / "tasks").glob("*.json"))},
        written=None if written is None else {name: frozenset(tables) for name, tables in written.items()},
        source={"package": root.name, "version": _version(files)},
        **more,
    )


def _version(files: Iterable[Path]) -> str:
    """Of the content, so that traces of a domain that was edited can be told apart."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_of_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be run: {told(error)}") from error
    return module


def _tools(found: Any, path: Path) -> list[Tool]:
    if not isinstance(found, list | tuple) or not found:
        raise UsageError(f"{path} has a list TOOLS of functions, such as TOOLS = [find_order]; got {found!r:.60}.")
    make: Callable[[Any], Tool] = lambda item: item if isinstance(item, Tool) else tool_of(item)  # noqa: E731
    try:
        return [make(item) for item in found]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _json(path: Path, kind: type, expected: str) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, kind):
        raise UsageError(f"{path} holds {expected}; got {found!r:.60}.")
    return found


def _split(domain: str, path: Path) -> tuple[Task, ...]:
    records = _json(path, list, f"a list of tasks {{{', '.join(_FIELDS)}}}")
    return tuple(_task(domain, path, index, record) for index, record in enumerate(records))


def _task(domain: str, path: Path, index: int, record: Any) -> Task:
    try:
        if unknown := set(record) - set(_FIELDS):
            raise ValueError(f"unknown field {', '.join(sorted(unknown))}")
        calls = tuple(ToolCall(c["name"], dict(c["arguments"])) for c in record.get("expected_calls", ()))
        outputs, instruction = record.get("required_outputs", []), record["instruction"]
        if not isinstance(outputs, list):
            raise ValueError(f"required_outputs is a list of texts, got {outputs!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: task {index} is an object with {', '.join(_FIELDS)}, expected_calls a list of "
            f"{{name, arguments}}; got {record!r:.80}: {told(error)}"
        ) from None
    split = path.stem
    return Task(f"{domain}/{split}/{index}", domain, split, instruction, calls, tuple(outputs))
