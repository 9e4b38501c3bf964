"""A monitor's history on disk: JSON lines, a look a line, written as soon as it is made."""

from __future__ import annotations

import os
import re
from pathlib import Path

from usersim_env.errors import UsageError
from usersim_env.gap.monitor_history import History, Look, line, look_dict
from usersim_env.jsonl.kind import LineKind
from usersim_env.jsonl.lines import JsonLines

LOOKS = LineKind(
    "history of a GapMonitor",
    re.compile(rb'\{"schema": \d+, "tasks": \['),
    (frozenset({"schema", "tasks", "settings"}), frozenset({"step", "sim", "reference"})),
    synced=True,  # a look is minutes of playing
)
"""Lines of `History.to_json`."""


class HistoryFile:
    """Appends to a file that a killed run can be continued from.

    Args:
        path: of the file; made with the first look if it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lines = JsonLines(path, LOOKS)
        self._size = 0

    def resume(self, fresh: History) -> History:
        """What the file holds, or the history given if there is no file yet.

        A last line that was cut in the middle is moved to ``<file>.cut`` with a warning.

        Raises:
            UsageError: it is no history, or one of other tasks or settings. It is left as it is.
        """
        self._lines.check()
        if not self.path.exists():
            return fresh
        self._size = self._lines.repair()
        content = self.path.read_bytes()[: self._size]
        if not content.strip():
            return fresh
        found = History.from_json(content.decode())
        mine, theirs = (h.head()["settings"] | {"tasks": h.head()["tasks"]} for h in (fresh, found))
        # How often to look changes no number of a look.
        differing = [name for name in mine if mine[name] != theirs.get(name) and name != "every"]
        if differing:
            was = ", ".join(f"{name}={theirs.get(name)!r}"[:80] for name in differing)
            raise UsageError(
                f"{self.path} is the history of another run: it has {was}. Looks can be compared only if these stay "
                "the same: take them over, or name another file."
            )
        resumed = History(fresh.tasks, fresh.settings)
        for look in found.looks:
            resumed.add(look.step, look.sim, look.reference)
        return resumed

    def append(self, history: History, look: Look) -> None:
        """One look, on disk when this returns; into an empty file everything that the history holds.

        Raises:
            UsageError: another monitor has written to the file since it was read. It is left as it is.
        """
        whole = history.to_json().encode()
        self._size = self._lines.append(line(look_dict(look)).encode(), if_empty=whole, size=self._size)
