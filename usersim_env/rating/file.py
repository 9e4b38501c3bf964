"""A file of ratings: surveys by session in tau-usi's shape, with their progress in a file beside it.

``{"airline_0": {"survey": {field: {"question", "answer"}}, "rating": {…}}}``; ``rating`` says who rated, and what.
While it is being made, ``<file>.part`` holds one line a session (JSON Lines), so that a crash loses at most one.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from usersim_env.errors import UsageError
from usersim_env.feedback.survey import FIELDS, Survey
from usersim_env.importers.fields import load_json
from usersim_env.jsonl.kind import LineKind
from usersim_env.jsonl.lines import JsonLines
from usersim_env.traces.trace import JsonDict

PROGRESS = LineKind(
    "file of ratings in progress",
    re.compile(rb'\{"key": "(?:[^"\\]|\\.)*", (?:"entry": \{"survey": |"failure": \{"kind": )'),
    (frozenset({"key", "entry"}), frozenset({"key", "failure"})),
    synced=True,  # every line was paid for
)
"""Lines of ``<file>.part``."""
NEW = "Name another --out, or remove it to begin anew."


class RatingFile:
    """The ratings that one model has given so far.

    Args:
        out: the JSON file; it need not exist, and its folder is made when the first rating comes.
        model: name of the rater.

    Raises:
        UsageError: the file, or its progress, holds something else or the ratings of another model.
    """

    def __init__(self, out: str | os.PathLike[str], model: str) -> None:
        self.out = Path(out)
        self.part = self.out.with_name(self.out.name + ".part")
        self._model = model
        self._lines = JsonLines(self.part, PROGRESS)
        self._entries: dict[str, JsonDict] = {}
        self._lines.check()
        if self.out.exists():
            self._read_out()
        if self.part.exists():
            self._read_part()

    def asked(self, key: str) -> str | None:
        """What the model was asked when it rated a session, or ``None`` where it has not."""
        return self._entries[key]["rating"]["asked"] if key in self._entries else None

    def add(self, key: str, survey: Survey, rating: Mapping[str, Any]) -> None:
        """Keeps one rating, on disk when this returns."""
        answers = {field: {"question": FIELDS[field].text, "answer": survey.answers[field]} for field in survey}
        self._append({"key": key, "entry": {"survey": answers, "rating": dict(rating)}})

    def fail(self, key: str, kind: str, message: str) -> None:
        """Notes that there is none; what the file held of an older text of the session no longer counts."""
        self._append({"key": key, "failure": {"kind": kind, "message": message}})

    def finish(self, order: Iterable[str]) -> None:
        """Puts the file in the place of its progress: the sessions in that order, then those of earlier runs."""
        if not self.part.exists():
            return
        found = {key: self._entries[key] for key in order if key in self._entries} | self._entries
        target = Path(os.path.realpath(self.out))  # where it is a link, the file that it leads to
        handle, new = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".new", dir=target.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(found, indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, self.part.stat().st_mode)
            os.replace(new, target)
        except BaseException:
            os.unlink(new)
            raise
        self.part.unlink()

    def _append(self, line: JsonDict) -> None:
        self._lines.append(json.dumps(line).encode() + b"\n")
        self._take(line, str(self.part))

    def _take(self, line: JsonDict, where: str) -> None:
        key = line["key"]
        self._entries.pop(key, None)
        if "entry" in line:
            self._entries[key] = self._checked(key, line["entry"], where)

    def _read_out(self) -> None:
        if not self.out.is_file():
            raise UsageError(f"{self.out} is a folder, a pipe or a device; expected a file of ratings. {NEW}")
        try:
            content = load_json(self.out.read_bytes())
        except ValueError as error:
            raise UsageError(f"{self.out}: not JSON: {error}. {NEW}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{self.out}: no file of ratings: {content!r:.80}. {NEW}")
        self._entries = {key: self._checked(key, entry, str(self.out)) for key, entry in content.items()}

    def _read_part(self) -> None:
        for number, text in enumerate(self.part.read_bytes().splitlines(), 1):
            where = f"{self.part}, line {number}"
            try:
                line = load_json(text)
            except ValueError:
                warnings.warn(f"{where} is not whole: that session is rated again.", stacklevel=4)
                continue
            if not isinstance(line, dict) or not isinstance(line.get("key"), str) or not {"entry", "failure"} & {*line}:
                raise UsageError(f"{where}: no rating: {text[:80]!r}. {NEW}")
            self._take(line, where)

    def _checked(self, key: str, entry: Any, where: str) -> JsonDict:
        rating = entry.get("rating") if isinstance(entry, dict) else None
        if not isinstance(rating, dict) or not isinstance(rating.get("asked"), str):
            raise UsageError(f"{where}: {key}: not a rating that was made by this command. {NEW}")
        if rating.get("model") != self._model:
            raise UsageError(f"{where} holds ratings by {rating.get('model')!r}, not by {self._model!r}. {NEW}")
        return dict(entry)
