"""A cassette: the answers of a model in a file, to be played back with no model at all.

JSON Lines, one answer a line, keyed by everything that shapes it: model, messages, tools, schema, sampling, seed, and
how often the same request was made before within one session. Addresses and keys are not part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from usersim_env.errors import ModelError, UsageError, unknown
from usersim_env.jsonl.kind import LineKind
from usersim_env.jsonl.lines import JsonLines
from usersim_env.llm.nearest import describe_nearest
from usersim_env.llm.request import Completion

MODES = ("record", "replay", "off")
FORMAT = 1
FIELDS = frozenset({"cassette", "key", "occurrence", "request", "answer"})
"""What every line holds."""
ANSWERS = LineKind("cassette", re.compile(rb'\{"cassette": \d+, "key": "'), (FIELDS,))
"""Its lines. A power failure can take the last answers with it; the death of a process cannot."""


@dataclass(frozen=True)
class Cassette:
    """Where answers are kept, and what to do with them.

    Args:
        path: the file.
        mode: ``record`` asks the model and appends each answer (recorded again, the last one counts); ``replay`` never
            asks a model, and a request that was not recorded is an error; ``off`` leaves the file alone.
    """

    path: str | os.PathLike[str]
    mode: str = "replay"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("cassette mode", self.mode, MODES)


class Tape:
    """A cassette within one session.

    Raises:
        UsageError: answers are to be recorded in a file that is no cassette; nobody was asked yet.
    """

    def __init__(self, cassette: Cassette, api_key: str | None = None) -> None:
        self._path = Path(cassette.path)
        self._mode = cassette.mode
        self._api_key = api_key
        self._seen: Counter[str] = Counter()
        self._lines = JsonLines(cassette.path, ANSWERS)
        if self._mode == "record":
            self._lines.check()

    def play(self, body: Mapping[str, Any], episode: int | None = None) -> Completion | None:
        """The recorded answer when replaying; ``None`` when the model is to be asked.

        Args:
            body: the request.
            episode: seed of the episode, where the request holds none; otherwise all repetitions would be one.

        Raises:
            ModelError: kind ``cassette``: not recorded (names the nearest entry and how it differs), or no such file.
        """
        if self._mode != "replay":
            return None
        entries = read_cassette(self._path)
        key = request_key(body, episode)
        occurrence = self._seen[key]
        self._seen[key] += 1
        # The second is what older cassettes have.
        entry = entries.get((key, occurrence)) or entries.get((request_key(body), occurrence))
        if entry is None:
            nearest = describe_nearest(body, occurrence, entries.values())
            raise ModelError(f"cassette: {self._path} holds no answer to this request. {nearest}", "cassette")
        return Completion.from_dict(entry["answer"])

    def record(self, body: Mapping[str, Any], answer: Completion, episode: int | None = None) -> None:
        """Appends one answer when recording.

        Raises:
            UsageError: the file has been replaced by one that is no cassette.
            OSError: the answer was not written, for instance because the disk is full.
        """
        if self._mode != "record":
            return
        key = request_key(body, episode)
        entry = {"cassette": FORMAT, "key": key, "occurrence": self._seen[key], "request": dict(body)}
        self._seen[key] += 1
        text = json.dumps(entry | {"answer": answer.to_dict()}, allow_nan=False, default=str)
        if self._api_key:
            text = text.replace(json.dumps(self._api_key)[1:-1], "…")
        self._lines.append(text.encode() + b"\n")


def request_key(body: Mapping[str, Any], episode: int | None = None) -> str:
    """Sixteen hex digits of everything that shapes the answer, and of the episode where no seed does."""
    if episode is not None:
        body = {**body, "episode": episode}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_cassette(path: str | os.PathLike[str]) -> Mapping[tuple[str, int], dict[str, Any]]:
    """Entries by request and repetition; of equal ones the last counts. A cut line is left out, with a warning.

    Raises:
        ModelError: no such file.
        UsageError: not a cassette.
    """
    if not Path(path).is_file():
        raise ModelError(f"cassette: no file {path}. Make one with Cassette({str(path)!r}, mode='record').", "cassette")
    stat = os.stat(path)
    return _read(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(path: str, changed: int, size: int) -> Mapping[tuple[str, int], dict[str, Any]]:
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
            except ValueError:
                warnings.warn(f"{path}: line {number} is not whole and is left out.", stacklevel=4)
                continue
            if not isinstance(entry, dict) or not entry.keys() >= FIELDS:
                raise UsageError(f"{path}, line {number}: not an entry of a cassette: {line[:80]!r}")
            if entry["cassette"] > FORMAT:
                raise UsageError(f"{path}: format {entry['cassette']} is newer. Type: pip install -U usersim_env")
            found[entry["key"], entry["occurrence"]] = entry
    return found
