"""`Screen`: what `render` does with a conversation, the same for both faces of the env."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usersim_env.conversation.frame import frame, require_pillow
from usersim_env.conversation.transcript import render_events
from usersim_env.errors import UsageError

MODES = ("ansi", "human", "rgb_array")
"""``ansi``: the transcript is returned; ``human``: it is printed as it comes; ``rgb_array``: it is drawn."""


class Screen:
    """Shows one conversation after the other.

    Args:
        mode: of `MODES`, or ``None``: nothing is shown.

    Raises:
        UsageError: another mode.
        InstallError: ``rgb_array`` without Pillow.
    """

    def __init__(self, mode: str | None) -> None:
        if mode not in (None, *MODES):
            raise UsageError(f"render_mode is 'ansi', 'human', 'rgb_array' or None, got {mode!r}.")
        if mode == "rgb_array":
            require_pillow()
        self._mode = mode
        self._printed = 0

    def clear(self) -> None:
        """Another conversation begins."""
        self._printed = 0

    def show(self, events: Sequence[Mapping[str, Any]]) -> str | NDArray[np.uint8] | None:
        """The conversation so far as text or as a frame; printed, where that is the mode, as far as it is new."""
        if self._mode == "ansi":
            return render_events(events)
        if self._mode == "rgb_array":
            return frame(events)
        if self._mode == "human" and len(events) > self._printed:
            print(render_events(events[self._printed :]), flush=True)
            self._printed = len(events)
        return None
