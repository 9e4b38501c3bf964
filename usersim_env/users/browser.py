"""A person in the browser, for an env that blocks until they answer."""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.errors import Abandoned, InstallError, UsageError
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Message, Say, Stop
from usersim_env.person.clock import Stopwatch
from usersim_env.person.overtime import out_of_time
from usersim_env.person.session import HINT, Brief, Ending, PersonSession, Phase
from usersim_env.person.wire import Leave, Move
from usersim_env.traces.trace import NOT_ASKED, Terms
from usersim_env.users.base import User, UserSession

_GLANCE = 0.5  # seconds between two looks whether Ctrl-C was pressed, where a wait cannot be interrupted


def open_page(address: str) -> None:
    """Opens an address in the person's browser, where there is a screen for it."""
    if sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        webbrowser.open(address)  # without a screen it might start a text browser in the terminal of the env


class Pages:
    """The pages of a `BrowserUser` that wait for their next conversation.

    They outlive an episode and belong to this process: a copy, as pickling makes one, has none.
    """

    def __init__(self) -> None:
        self._waiting: list[Any] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Pages], tuple[()]]:
        return Pages, ()

    def take(self) -> Any | None:
        """A page that nobody sits at, or ``None``."""
        with self._lock:
            return self._waiting.pop() if self._waiting else None

    def give_back(self, page: Any) -> None:
        """An episode is over; its page waits for the next one."""
        with self._lock:
            self._waiting.append(page)

    def close(self) -> None:
        """Takes down the pages that wait."""
        while (page := self.take()) is not None:
            page.stop()


@dataclass(frozen=True)
class BrowserUser(User):
    """Opens a page for whoever sits at this machine, and waits for their turns.

    It is the page of a study, with the same rules for the person. There is one page, at one address that cannot be
    guessed, as long as the env lives: the next episode begins in the same tab, when the person asks for it. It goes
    with `TauEnv.close`. Episodes that run at the same time have a page each.

    Args:
        turn_timeout: seconds that one turn may take; then the person has left (`Abandoned`).
        session_timeout: seconds that all turns of the person may take together; the agent's time does not count.
        announce: is told the address.
        open: opens the address; ``None`` leaves that to the person.
        host: address of this machine that the page is served at. The default can be reached from this machine only.
        port: of the page; 0 for a free one.
        rules: a Markdown file for the person to read, or ``None`` for the rules of studies.
        markdown: whether emphasis, lists, tables and code in the agent's messages are shown as such.
        terms: what may be done with what the person types. Nobody has asked them, so the default forbids training.
    """

    kind: ClassVar[str] = "human"
    blocking: ClassVar[bool] = True

    turn_timeout: float = 900.0
    session_timeout: float = 3600.0
    announce: Callable[[str], object] = print
    open: Callable[[str], object] | None = open_page
    host: str = "127.0.0.1"
    port: int = 0
    rules: str | os.PathLike[str] | None = None
    markdown: bool = True
    terms: Terms = NOT_ASKED
    pages: Pages = field(default_factory=Pages, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("turn_timeout", "session_timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is a number of seconds above 0, got {getattr(self, name)!r}.")
        if type(self.port) is not int or not 0 <= self.port <= 65535:
            raise UsageError(f"port is a whole number from 0 (a free one) to 65535, got {self.port!r}.")
        if self.host in ("", "0.0.0.0", "::"):
            raise UsageError(f"host is the address that the page is reached at, such as 192.0.2.7, got {self.host!r}.")
        if self.rules is not None and not os.path.isfile(self.rules):
            raise UsageError(f"rules is a Markdown file, and there is none at {self.rules}.")

    @property
    def name(self) -> str:
        """The channel."""
        return "browser"

    def begin(self, scene: Scene) -> UserSession:
        """A session whose first turn starts the page, says where it is and opens it; the next ones find it there."""
        return _BrowserSession(self, scene)

    def release(self) -> None:
        """Takes the page down."""
        self.pages.close()


class _BrowserSession(UserSession):
    """The owner of a `PersonSession` whose episode runs in another thread than the page."""

    def __init__(self, user: BrowserUser, scene: Scene) -> None:
        self._user, self.terms = user, user.terms
        self._moves: queue.SimpleQueue[Move] = queue.SimpleQueue()
        self._seconds: list[float] = []
        self.session = PersonSession(Brief(scene.instruction, hint=HINT), self._take)
        # From the first turn to `close`: a session that Ctrl-C keeps from its owner has nothing to take down.
        self._page: Any = None
        self._why = "This conversation is over. Thank you!"

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
        """Says that it is over, on a page that has not heard so, and leaves the page to the next episode; once."""
        page, self._page = self._page, None
        if page is None:
            return
        try:
            if not self.session.over:
                page.update(self.session, "closed", self.session.messages, Ending(self._why, next="later"))
            page.settle(self.session)
        except BaseException:
            page.stop()
            raise
        self._user.pages.give_back(page)

    # -- between the two threads -----------------------------------------------------------------------------------

    def _ask(self, phase: Phase, scene: Scene) -> Say | Stop | Survey:
        with self._clean():
            if self._page is None:
                self._open_page()
            if self._moves.empty():  # else the person has left in the meantime
                self._page.update(self.session, phase, scene.transcript, activity=max(0, scene.waited - 1))
            move = self._next(min(self._user.turn_timeout, self._user.session_timeout - sum(self._seconds)))
        if isinstance(move.act, Leave):
            raise Abandoned("The person left the conversation.")
        return move.act

    def _open_page(self) -> None:
        if self.session.over:
            raise Abandoned("The page was closed.")
        user = self._user
        self._page = user.pages.take()
        known = self._page is not None
        if not known:
            self._page = _made(user)  # before it runs, so that `close` finds it
            self._page.start()
        page = self._page
        self.session.brief = replace(self.session.brief, rules=page.rules, render=page.render)
        page.show(self.session)
        if not known:
            user.announce(f"The customer's page: {page.address}")
            if user.open is not None:
                user.open(page.address)

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
            with suppress(Exception):
                self._user.release()
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
        self._why = out_of_time(sum(self._seconds) + waited, user.turn_timeout, user.session_timeout)
        raise Abandoned(
            f"The person did not answer in time (turn_timeout={user.turn_timeout:g} s, "
            f"session_timeout={user.session_timeout:g} s)."
        )

    async def _take(self, move: Move) -> None:
        """On the page's thread: hands the move over, and shows at once what follows from it."""
        said = (Message("user", move.act.content),) if isinstance(move.act, Say | Stop) and move.act.content else ()
        messages = (*self.session.messages, *said)
        self.session.last = move.id
        if isinstance(move.act, Survey):
            self.session.show("done", messages, ending=Ending("Your answers have been recorded.", next="later"))
        elif isinstance(move.act, Leave):
            self.session.show("closed", messages, ending=Ending("You have left this conversation.", next="later"))
        else:
            self.session.show("agent", messages)
        self._moves.put(move)


def _made(user: BrowserUser) -> Any:
    """A page that is not served yet."""
    try:
        local = importlib.import_module("usersim_env.person.local")  # on first use: it needs an extra
    except ImportError as error:
        raise InstallError(
            f"The page needs the extra 'study' ({error.name} is missing). Type: pip install 'usersim_env[study]', "
            "or sit at the terminal: gym.make(…, channel='terminal')."
        ) from None
    return local.LocalPage(user.host, user.port, user.rules, user.markdown)
