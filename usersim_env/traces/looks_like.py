"""What a file is that is not the one that was asked for, and which command reads it: the end of an error message."""

from __future__ import annotations

import os
import re
from pathlib import Path

_HEAD = 65_536
"""Bytes that are looked at."""

_IMPORT = "Read it with: usersim-env import {path} --out FILE.jsonl"
_BEGINS = (
    (b"PK\x03\x04", "an archive. A log of Inspect (.eval) is read with: usersim-env import {path} --out FILE.jsonl"),
    (b"\x1f\x8b", "compressed by gzip. Unpack it first."),
    (b"SQLite format 3", "a database. Of a study, give the folder: usersim-env study export FOLDER --out FILE.jsonl"),
)  # fmt: skip
_OURS = {"events", "task_hash"}
"""Keys of a trace of this package, about which its reader says more."""
_KEYS = (
    ({"cassette", "key"}, "a cassette of a model's answers. Play it with: --user llm:model=NAME,cassette={path}"),
    ({"gap_is", "estimand"}, "the numbers of a report of gap, which no command reads; the report is its index.html."),
    ({"schema", "tasks", "settings"}, "the history of a GapMonitor. Read it with: GapMonitor(…, file=PATH)"),
    ({"instance_id", "conversation", "results"}, f"results of OdysSim. {_IMPORT}"),
    ({"conversation"}, f"sessions in tau-usi's format. {_IMPORT}"),
    ({"traj", "task_id"}, f"results of τ-bench. {_IMPORT}"),
    ({"simulations"}, f"results of τ²-bench. {_IMPORT}"),
    ({"termination_reason"}, f"runs of τ²-bench. {_IMPORT}"),
    ({"user_scenario"}, f"results or tasks of τ²-bench. {_IMPORT}"),
    ({"eval", "plan"}, f"a log of Inspect. {_IMPORT}"),
    ({"traces", "task", "env"}, f"traces of verifiers. {_IMPORT}"),
    ({"prompt", "completion", "reward"}, f"results of verifiers. {_IMPORT}"),
    ({"conversations"}, f"chat messages (ShareGPT). {_IMPORT}"),
    ({"messages"}, f"chat messages. {_IMPORT}"),
    ({"role", "content"}, f"chat messages. {_IMPORT}"),
)  # fmt: skip
"""Keys that occur near the beginning → what it is. The first that fits counts."""


def looks_like(path: str | os.PathLike[str]) -> str | None:
    """What a file or folder seems to be and what reads it, as the end of a sentence; ``None``: nobody can tell."""
    place = Path(path)
    if (place / "results.json").is_file():
        return f"a folder of results of τ²-bench. {_IMPORT}".format(path=path)
    if (place / "study.sqlite").is_file():
        return f"the folder of a study. Export it with: usersim-env study export {path} --out FILE.jsonl"
    if not place.is_file():
        return None
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    for begin, what in _BEGINS:
        if head.startswith(begin):
            return what.format(path=path)
    if head.lstrip()[:1] not in (b"{", b"["):
        return None
    keys = {key.decode() for key in re.findall(rb'"(\w+)"\s*:', head)}
    if keys >= _OURS:
        return None
    return next((what.format(path=path) for known, what in _KEYS if known <= keys), None)


def hint(path: str | os.PathLike[str]) -> str:
    """The same as a sentence of its own with a space before it; empty where nobody can tell."""
    found = looks_like(path)
    return "" if found is None else f" It looks like {found}"
