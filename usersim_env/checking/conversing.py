"""`Episode`: a user side in conversation with a fixed agent, turn by turn, plain or async."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from usersim_env.conversation.machine import AgentTurn, Conversation, SurveyTurn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.conversation.scene import Scene
from usersim_env.domains import World, get_domain, get_task
from usersim_env.env.raised import user_failure
from usersim_env.messages import RESPOND, ToolCall
from usersim_env.users.base import User
from usersim_env.users.seating import begun

AGENT = (
    ToolCall(RESPOND, {"content": "Hello! How can I help you today?"}),
    ToolCall(RESPOND, {"content": "Could you tell me your name and your e-mail, please?"}),
    ToolCall("no_such_tool", {}),
    ToolCall(RESPOND, {"content": "One moment. Is there anything else?"}),
    ToolCall(RESPOND, {"content": "I have done that for you. Goodbye! Grüße 🙂"}),
)
"""What the agent does, one after the other; its last step is the limit."""


class Episode:
    """One session of a user side.

    Attributes:
        said: (method, what it returned), in order.
        error: what was raised, or answered with something that is no turn.
        changed: methods that changed their scene.
    """

    def __init__(self, user: User, task_id: str, seed: int, lazy: bool = False) -> None:
        task = user.own_task(get_task(task_id), seed)
        world = World(get_domain(task.domain))
        self.conversation = Conversation(task, world, Rules(len(AGENT), True, lazy), seed)
        self.said: list[tuple[str, Any]] = []
        self.error = ""
        self.changed: list[str] = []
        self.session = begun(user, self.conversation.scene())
        if user.sees_everything:
            self.conversation.watcher = self.session.watch

    def turns(self) -> Iterator[tuple[str, Scene]]:
        """Who is asked next, and with what; tell it `hear` each time."""
        agent = iter(AGENT)
        while not self.conversation.over:
            turn = self.conversation.turn
            if isinstance(turn, AgentTurn):
                self.conversation.act(next(agent))
            elif isinstance(turn, UserTurn):
                yield "open" if turn.opening else "reply", turn.scene
            elif isinstance(turn, SurveyTurn):
                yield "fill_survey", turn.scene

    def hear(self, name: str, scene: Scene, before: Scene, came: Any) -> None:
        """What the session gave back, or raised."""
        if scene != before:
            self.changed.append(name)
        if isinstance(came, Exception):
            self.error = f"{name} raised {type(came).__name__}: {came}"
            self.conversation.fail(user_failure(came))
            return
        self.said.append((name, came))
        self.conversation.survey(came) if name == "fill_survey" else self.conversation.hear(came)
        last = self.conversation.events[-1]
        if last["event"] == "fail":
            self.error = f"{name}: {last['message']}"

    def plain(self) -> Iterator[None]:
        """Plays it, one turn of the user side at a time."""
        for name, scene in self.turns():
            before = copy.deepcopy(scene)
            try:
                came = getattr(self.session, name)(scene)
            except Exception as error:
                came = error
            self.hear(name, scene, before, came)
            yield

    async def _twins(self) -> None:
        for name, scene in self.turns():
            before = copy.deepcopy(scene)
            try:
                came = await getattr(self.session, f"a{name}")(scene)
            except Exception as error:
                came = error
            self.hear(name, scene, before, came)

    def play(self, twins: bool = False) -> Episode:
        """Plays it to its end, through the plain methods or their async twins, and closes the session."""
        if twins:
            asyncio.run(self._twins())
        else:
            for _ in self.plain():
                pass
        self.close()
        return self

    def close(self) -> None:
        """Frees the session; what that raises is the business of the contract of closing."""
        with contextlib.suppress(Exception):
            self.session.close()
