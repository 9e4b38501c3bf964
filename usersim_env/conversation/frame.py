"""A conversation as a picture, for ``render_mode="rgb_array"`` and with it Gymnasium's `RecordVideo`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usersim_env.conversation.transcript import render_events
from usersim_env.errors import InstallError

SIZE = (720, 540)
"""Width and height of a frame in pixels; both are even, as video formats want it."""

_LINE, _MARGIN, _LETTERS, _FONT = 18, 14, 100, 13  # pixels, pixels, letters in a line, pixels
_PAPER = (250, 250, 248)
_INKS = {"user:": (37, 99, 168), "agent:": (24, 24, 24), "agent calls": (130, 90, 20), "  ->": (110, 110, 110)}


def require_pillow() -> Any:
    """Pillow, which draws the frames.

    Raises:
        InstallError: it is not installed.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError:
        raise InstallError(
            'render_mode="rgb_array" draws with Pillow, which is not installed. Type: pip install "usersim_env[plot]"'
        ) from None
    return PIL


def frame(events: Iterable[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """The last turns as far as they fit.

    Returns:
        Shape ``(540, 720, 3)``, RGB.
    """
    pil = require_pillow()
    image = pil.Image.new("RGB", SIZE, _PAPER)
    draw, font = pil.ImageDraw.Draw(image), pil.ImageFont.load_default(_FONT)
    room = (SIZE[1] - 2 * _MARGIN) // _LINE
    for number, (line, ink) in enumerate(list(_lines(render_events(events)))[-room:]):
        draw.text((_MARGIN, _MARGIN + number * _LINE), line, fill=ink, font=font)
    drawn: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return drawn


def _lines(text: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    ink = _INKS["agent:"]
    for paragraph in text.split("\n"):
        ink = next((colour for begin, colour in _INKS.items() if paragraph.startswith(begin)), ink)
        for line in textwrap.wrap(paragraph, _LETTERS, subsequent_indent="    ") or [""]:
            yield line, ink
