"""A person in the browser, for an env that blocks until they answer."""

from __future__ import annotations

import importlib
import os
import queue
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from usersim_env.errors import Abandoned, InstallError, UsageError
from usersim_env.messages import Message, Say, Stop
from usersim_env.scene import Scene
from usersim_env.study.clock import Stopwatch
from usersim_env.study.session import HINT, Brief, Ending, PersonSession, Phase
from usersim_env.study.wire import Leave, Move
from usersim_env.survey import Survey
from usersim_env.trace import NOT_ASKED, Terms
from usersim_env.users.base import User, UserSession

_GLANCE = 0.5  # seconds between two looks whether Ctrl-C was pressed, where a wait cannot be interrupted


def open_page(address: str) -> None:
    """Opens an address in the person's browser, where there is a screen for it."""
    if sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        webbrowser.open(address)  # without a screen it might start a text browser in the terminal of the env


@dataclass(frozen=True)
class BrowserUser(User):
    """Opens a page for whoever sits at this machine, and waits for their turns.

    Every episode has a page of its own, at an address that cannot be guessed, on this machine only. It goes when the
    episode ends, or with `TauEnv.close`.

    Args:
        turn_timeout: seconds that one turn may take; then the person has left (`Abandoned`).
        session_timeout: seconds that all turns of the person may take together; the agent's time does not count.
        announce: is told the address.
        open: opens the address; ``None`` leaves that to the person.
        port: of the page; 0 for a free one.
        terms: what may be done with what the person types. Nobody has asked them, so the default forbids training.
    """

    kind: ClassVar[str] = "human"
    blocking: ClassVar[bool] = True

    turn_timeout: float = 900.0
    session_timeout: float = 3600.0
    announce: Callable[[str], object] = print
    open: Callable[[str], object] | None = open_page
    port: int = 0
    terms: Terms = NOT_ASKED

    def __post_init__(self) -> None:
        for name in ("turn_timeout", "session_timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is a number of seconds above 0, got {getattr(self, name)!r}.")

    @property
    def name(self) -> str:
        """The channel."""
        return "browser"

    def begin(self, scene: Scene) -> UserSession:
        """A session whose first turn starts the page, says where it is and opens it."""
        return _BrowserSession(self, scene)


class _BrowserSession(UserSession):
    """The owner of a `PersonSession` whose episode runs in another thread than the page."""

    def __init__(self, user: BrowserUser, scene: Scene) -> None:
        self._user, self.terms = user, user.terms
        self._moves: queue.SimpleQueue[Move] = queue.SimpleQueue()
        self._seconds: list[float] = []
        self.session = PersonSession(Brief(scene.instruction, hint=HINT), self._take)
        # From the first turn to `close`: a session that Ctrl-C keeps from its owner has nothing to take down.
        self._server: Any = None

    def open(self, scene: Scene) -> Say | Stop:
        return self.reply(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        move = self._ask("you", scene)
        assert isinstance(move, Say | Stop)
        return move

    def fill_survey(self, scene: Scene) -> Survey | None:
        answers = self._ask("survey", scene)
        assert isinstance(answers, Survey)
        return answers

    def notes(self) -> Mapping[str, Any]:
        return {"seconds_per_turn": [round(seconds, 1) for seconds in self._seconds]}

    def close(self) -> None:
        """Says that it is over, on a page that has not heard so, and takes the page down; once."""
        if self._server is None:
            return
        try:
            if not self.session.over:
                self._show("closed", self.session.messages, Ending("This conversation is over. Thank you!"))
            self._server.call(self.session.settle(1.0), 2.0)
        finally:
            self._server.stop()
            self._server = None

    # -- between the two threads -----------------------------------------------------------------------------------

    def _ask(self, phase: Phase, scene: Scene) -> Say | Stop | Survey:
        with self._clean():
            if self._server is None:
                self._open_page()
            if self._moves.empty():  # else the person has left in the meantime
                self._show(phase, scene.transcript, activity=max(0, scene.waited - 1))
            move = self._next(min(self._user.turn_timeout, self._user.session_timeout - sum(self._seconds)))
        if isinstance(move.act, Leave):
            raise Abandoned("The person left the conversation.")
        return move.act

    def _open_page(self) -> None:
        if self.session.over:
            raise Abandoned("The page was closed.")
        server, address = _served(self.session, self._user.port)
        self._server = server  # before it runs, so that `close` finds it
        server.start()
        self._user.announce(f"The customer's page: {address}")
        if self._user.open is not None:
            self._user.open(address)

    @contextmanager
    def _clean(self) -> Iterator[None]:
        """After Ctrl-C the episode cannot go on, so nothing of it stays behind."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            with suppress(Exception):  # which would take the place of the Ctrl-C
                self.close()
            raise

    def _next(self, limit: float) -> Move:
        """The next move; seconds in which this process did not run do not count."""
        watch, waited = Stopwatch(), 0.0
        while waited < limit:
            with suppress(queue.Empty):
                move = self._moves.get(timeout=min(limit - waited, _GLANCE))
                self._seconds.append(waited + watch.lap())
                return move
            waited += watch.lap()
        user = self._user
        raise Abandoned(
            f"The person did not answer in time (turn_timeout={user.turn_timeout:g} s, "
            f"session_timeout={user.session_timeout:g} s)."
        )

    def _show(
        self, phase: Phase, messages: tuple[Message, ...] | Any, ending: Ending | None = None, activity: int = 0
    ) -> None:
        async def show() -> None:
            self.session.show(phase, messages, activity, ending)

        self._server.call(show(), 20.0)

    async def _take(self, move: Move) -> None:
        """On the page's thread: hands the move over, and shows at once what follows from it."""
        said = (Message("user", move.act.content),) if isinstance(move.act, Say | Stop) and move.act.content else ()
        messages = (*self.session.messages, *said)
        self.session.last = move.id
        if isinstance(move.act, Survey):
            self.session.show("done", messages, ending=Ending("Thank you! You can close this page."))
        elif isinstance(move.act, Leave):
            self.session.show("closed", messages, ending=Ending("You have left. You can close this page."))
        else:
            self.session.show("agent", messages)
        self._moves.put(move)


def _served(session: PersonSession, port: int) -> tuple[Any, str]:
    """A server of one session, not yet started, and the address of its page."""
    try:
        local = importlib.import_module("usersim_env.study.local")  # on first use: it needs an extra
    except ImportError as error:
        raise InstallError(
            f"The page needs the extra 'study' ({error.name} is missing). Type: pip install 'usersim_env[study]', "
            "or sit at the terminal: gym.make(…, channel='terminal')."
        ) from None
    served: tuple[Any, str] = local.serve_one(session, port)
    return served
