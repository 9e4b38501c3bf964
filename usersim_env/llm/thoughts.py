"""What a model meant to say, apart from what it only thought: for every seat and every reader of a model's text.

Nothing is guessed. Where the two cannot be told apart, the text is unusable (`Unreadable`): whoever asked asks again,
and nothing of it reaches the other seat.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from usersim_env.errors import UsersimError
from usersim_env.llm.json_text import json_spans
from usersim_env.llm.markers import CONTROL, Marker, markers


class Unreadable(UsersimError):
    """A text in which thought and words cannot be told apart; the message is half a sentence that says why."""


class Written(NamedTuple):
    """A model's text in two parts."""

    words: str
    thoughts: str


def read_written(text: str) -> Written:
    """Tells the words of a model's text from its thoughts.

    A marker inside a JSON value is data, unless the whole text turns out to be a thought. An end of a thought without
    its beginning, which servers leave in the prompt, makes everything before it a thought.

    Args:
        text: as the model wrote it, with or without markers.

    Returns:
        Both parts, stripped. A text without any marker is all words.

    Raises:
        Unreadable: a thought without an end, words before a thought, text after the end of the turn, nothing but
            thoughts, or a control token that is none of those we know.
    """
    inside = _inside_json(text)
    parts = _Parts(text)
    for marker in markers(text):
        if not inside(marker.start):
            parts.take(marker)
    words, thoughts = parts.finish()
    inside = _inside_json(words)
    if any(not inside(found.start()) for found in CONTROL.finditer(words)):
        raise Unreadable("it holds a control token of its chat template")
    if not words and thoughts:
        raise Unreadable("it was empty beside its thought")
    return Written(words, thoughts)


def _inside_json(text: str) -> Callable[[int], bool]:
    """Whether a place of the text is inside a JSON value."""
    spans = [(start, end) for start, end, _ in json_spans(text)]
    starts = [start for start, _ in spans]

    def inside(at: int) -> bool:
        nearest = bisect_right(starts, at) - 1
        return nearest >= 0 and at < spans[nearest][1]

    return inside


@dataclass
class _Parts:
    """Takes a text apart, marker by marker."""

    text: str
    at: int = 0
    depth: int = 0
    """Thoughts that are open, one inside the other."""
    state: str = "plain"
    """``plain``, ``channel`` (a part that is not for the other seat), ``words`` (one that is), ``after`` its end."""
    words: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def take(self, marker: Marker) -> None:
        """One marker, with the text before it."""
        before, self.at = self.text[self.at : marker.start], marker.end
        getattr(self, f"_{marker.kind}")(before)

    def finish(self) -> tuple[str, str]:
        """The words and the thoughts."""
        rest = self.text[self.at :]
        if self.depth or self.state == "channel":
            raise Unreadable("it never came to an end of its thought")
        if self.state == "after" and rest.strip():
            raise Unreadable("it goes on after the end of its turn")
        self.words.append(rest)
        return "".join(self.words).strip(), "\n".join(map(str.strip, self.thoughts)).strip()

    def _open(self, before: str) -> None:
        if self.depth or self.state == "channel":
            self.thoughts.append(before)
            self.depth += bool(before.strip()) or not self.depth  # a marker that is said twice counts once
            return
        if before.strip() or "".join(self.words).strip():
            raise Unreadable("it has words before its thought, which may be a thought as well")
        self.state, self.depth = "plain", 1

    def _close(self, before: str) -> None:
        if self.state == "words":
            raise Unreadable("a thought ends where none had begun")
        if self.depth == 0:  # it began in the prompt: all that came so far is a thought
            self.thoughts += self.words
            self.words = []
        self.thoughts.append(before)
        self.depth = max(0, self.depth - 1)
        self.state = "plain"

    def _channel(self, before: str) -> None:
        if not self.depth:
            self._end(before)
            self.state = "channel"
        else:
            self.thoughts.append(before)

    def _words(self, before: str) -> None:
        if self.depth:  # the thought quotes it
            self.thoughts.append(before)
            return
        if self.state != "words":  # what came before an explicit beginning was a thought that began in the prompt
            self.thoughts += [*self.words, before]
            self.words = []
        else:
            self.words.append(before)
        self.state = "words"

    def _empty(self, before: str) -> None:
        (self.thoughts if self.depth or self.state == "channel" else self.words).append(before)

    def _end(self, before: str) -> None:
        if self.depth:
            self.thoughts.append(before)
            return
        if self.state == "channel":
            self.thoughts.append(before)
        elif self.state == "after" and before.strip():
            raise Unreadable("it goes on after the end of its turn")
        else:
            self.words.append(before)
        self.state = "after"
