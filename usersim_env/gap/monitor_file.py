"""A monitor's history on disk: JSON lines, a look a line, written as soon as it is made."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from usersim_env.errors import UsageError
from usersim_env.gap.monitor_history import History, Look, line, look_dict


class HistoryFile:
    """Appends to a file that a killed run can be continued from.

    Args:
        path: of the file; made with the first look if it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def resume(self, fresh: History) -> History:
        """What the file holds, or the history given if there is no file yet.

        A last line that was cut in the middle is taken off with a warning.

        Raises:
            UsageError: it is no history, or one of other tasks or settings.
        """
        if not self.path.exists() or not (content := self._whole_lines()):
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
        """One look, with the settings before the first; in one write, on disk when this returns."""
        new = not self.path.exists() or self.path.stat().st_size == 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record = (line(history.head()) if new else "") + line(look_dict(look))
        with open(self.path, "ab") as file:
            file.write(record.encode())
            file.flush()
            os.fsync(file.fileno())

    def _whole_lines(self) -> bytes:
        content = self.path.read_bytes()
        keep = content.rfind(b"\n") + 1
        if keep < len(content):
            os.truncate(self.path, keep)
            warnings.warn(f"{self.path}: the last line was cut in the middle and is dropped.", stacklevel=4)
        return content[:keep]
