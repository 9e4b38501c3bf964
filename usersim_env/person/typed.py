"""What a person types, whatever the channel: words, or ``/stop`` with or without last words."""

from __future__ import annotations

from usersim_env.messages import Say, Stop

STOP = "/stop"


def read_typed(text: str) -> Say | Stop | None:
    """The turn that was typed; ``None`` for nothing but blanks."""
    words = text.strip()
    if words == STOP or words.startswith((STOP + " ", STOP + "\n")):
        return Stop(words[len(STOP) :].strip())
    return Say(words) if words else None
