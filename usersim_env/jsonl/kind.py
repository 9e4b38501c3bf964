"""`LineKind`: how the lines of one kind of file are told from other people's, whole or torn."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from usersim_env.errors import UsageError


@dataclass(frozen=True)
class LineKind:
    """What the lines of a file are, and how they are told from other people's.

    Attributes:
        name: what errors call such a file, such as ``file of traces``.
        begins: matches the beginning of a line as this package writes it, far enough to be nobody else's.
        fields: every line has all fields of at least one of these sets, in whatever layout.
        error: raised about a file that holds something else.
        synced: whether each line is forced to the disk, so that it outlives a power failure; some milliseconds a line.
    """

    name: str
    begins: re.Pattern[bytes]
    fields: tuple[frozenset[str], ...]
    error: type[UsageError] = UsageError
    synced: bool = False

    def holds(self, line: bytes) -> bool:
        """Whether a line is whole, and of this kind."""
        if not any(all(f'"{name}"'.encode() in line for name in names) for names in self.fields):
            return False  # other people's files may be one line of megabytes
        content = _parsed(line)
        return isinstance(content, dict) and any(names <= content.keys() for names in self.fields)

    def torn(self, line: bytes) -> bool:
        """Whether a line begins like one of this kind and has no end."""
        return self.begins.match(line) is not None and _parsed(line) is None

    def rest(self, line: bytes) -> bytes | None:
        """The whole line that was glued to a torn one, as older versions could do after a full disk or a crash."""
        if _parsed(line) is not None:
            return None
        starts = (found.start() for found in self.begins.finditer(line, 1))
        return next((line[start:] for start in starts if self.holds(line[start:])), None)


def _parsed(line: bytes) -> object:
    """The JSON of a line; ``None`` where it is none. One that is nested without end is whole, and nobody's."""
    try:
        return json.loads(line)
    except ValueError:
        return None
    except RecursionError:
        return {}
