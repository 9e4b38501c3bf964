"""The socket of one open page: moves in, states out, and what happens to a page that misbehaves."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from usersim_env.person.faults import fault
from usersim_env.person.limits import BAD_FRAMES, MAX_TABS, PATIENCE, Bucket
from usersim_env.person.session import PersonSession
from usersim_env.person.wire import Refused, read_move

log = logging.getLogger(__name__)

POLICY, TOO_MANY_TABS = 1008, 4000
"""Codes that a connection is closed with."""

_UNREAD = 32  # answers that a page may leave unread before it is not listened to any more


class PageSocket:
    """One connection of a session.

    Args:
        websocket: not accepted yet.
        session: whose address it came to.
    """

    def __init__(self, websocket: WebSocket, session: PersonSession) -> None:
        self.shown = -1
        self._socket, self._session = websocket, session
        self._sent = 0  # messages that the page has
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_UNREAD)
        self._wake = asyncio.Event()
        self._kicked = False
        self._rate = Bucket(rate=5, burst=30)
        self._bad = 0

    def changed(self) -> None:
        """The session has something new to show."""
        self._wake.set()

    def kick(self) -> None:
        """The person has opened too many pages."""
        self._kicked = True
        self._wake.set()

    async def run(self) -> None:
        """Until the page is gone or is sent away."""
        await self._socket.accept()
        self._session.join(self, MAX_TABS)
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._session.part(self)
            for task in (writer, reader):
                task.cancel()
            for error in await asyncio.gather(writer, reader, return_exceptions=True):
                self._note(error)

    def _note(self, error: BaseException | None) -> None:
        """What a broken connection raised is no news: the page reconnects. Anything else is a fault of ours."""
        if isinstance(error, asyncio.TimeoutError):
            log.warning("a page was let go: it did not read what it was sent")
        elif isinstance(error, Exception) and not isinstance(error, OSError | RuntimeError | WebSocketDisconnect):
            log.error("a page was let go: its move could not be handled (%s)", fault(error))

    async def _write(self) -> None:
        await self._send(self._session.hello())
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._kicked:
                await self._socket.close(TOO_MANY_TABS, "opened in too many tabs")
                return
            while not self._answers.empty():
                await self._send(self._answers.get_nowait())
            if (version := self._session.version) != self.shown:
                frame = self._session.state(self._sent)
                self._sent += len(frame["messages"])
                await self._send(frame)
                self.shown = version

    async def _send(self, frame: dict[str, Any]) -> None:
        # In ASCII: an agent may say half a character, which no frame could carry otherwise.
        await asyncio.wait_for(self._socket.send_text(json.dumps(frame)), PATIENCE)

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            answer, misbehaved = await self._answer(message.get("text"))
            await self._answers.put(answer)
            self._wake.set()
            self._bad += misbehaved
            if self._bad > BAD_FRAMES:
                log.warning("a page was sent away: %d frames that are none of ours, or too fast", self._bad)
                await self._socket.close(POLICY, "too many bad frames")
                return

    async def _answer(self, text: str | None) -> tuple[dict[str, Any], bool]:
        """The answer to a frame, and whether it should not have come."""
        try:
            if not self._rate.take():
                raise Refused("slow_down", "That was too fast. Please wait a moment.", _id_of(text))
            if text is None:
                raise Refused("bad_frame", "Frames are text.")
            move = read_move(text, self._session.brief.max_chars)
            # A page that goes away meanwhile breaks nothing off: half of a move would be in the store, not here.
            await asyncio.shield(self._session.move(move))
        except Refused as refused:
            return refused.frame(), refused.code in ("bad_frame", "slow_down")
        return {"type": "ack", "id": move.id}, False


def _id_of(text: str | None) -> str | None:
    try:
        return read_move(text or "").id
    except Refused as refused:
        return refused.move
