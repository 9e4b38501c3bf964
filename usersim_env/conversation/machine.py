"""The sans-IO episode machine: one owner of the rules, driven by whoever has the turns.

It never calls a model, a socket or a person. A driver looks at `Conversation.turn`, gets the turn from the seat
that has it, and tells the machine one of `act`, `say`, `stop`, `survey`, `fail`. Everything it was told is in
`Conversation.events`, as JSON values; `restore` builds the same machine from any prefix of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from usersim_env.conversation.rules import Rules
from usersim_env.conversation.scene import Scene
from usersim_env.domains.canonical import NotJson, checked, evidence
from usersim_env.domains.task import Task
from usersim_env.domains.world import World
from usersim_env.errors import OutOfTurn, UsageError
from usersim_env.feedback import scoring
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Effort, Failure, Feedback, Replayed
from usersim_env.messages import RESPOND, Message, Say, Stop, ToolCall, ToolResult

Event: TypeAlias = dict[str, Any]
Watcher: TypeAlias = Callable[[Sequence[Event], str | None], Replayed | None]
"""Of events and how they ended: how far a recording was followed. Pure, like the machine."""


class AgentTurn(NamedTuple):
    """The agent acts next: tell it `Conversation.act`."""


class UserTurn(NamedTuple):
    """The user side speaks next: tell it `Conversation.say` or `Conversation.stop`."""

    scene: Scene
    opening: bool


class SurveyTurn(NamedTuple):
    """The user side fills in the survey: tell it `Conversation.survey`."""

    scene: Scene


class Outcome(NamedTuple):
    """How an episode ended: ``ended_by`` is ``user``, ``transfer``, ``limit``, ``failure`` or ``recording``."""

    ended_by: str
    failure: Failure | None
    feedback: Feedback

    @property
    def terminated(self) -> bool:
        """Ended by what was said and done, not from outside."""
        return self.ended_by in ("user", "transfer", "recording")


class Ended(NamedTuple):
    """The episode is over."""

    outcome: Outcome


Turn: TypeAlias = AgentTurn | UserTurn | SurveyTurn | Ended
_AGENT, _OPENING, _USER, _SURVEY, _ENDED = range(5)
_QUOTE = 40  # characters in a row that count as a quotation
_NAMES = ("the agent's action", "the user side's opening", "the user side's reply", "the survey", "nothing: it is over")


class Conversation:
    """One episode.

    Args:
        task: what the user side wants.
        world: a fresh world of the task's domain.
        rules: limits and the survey.
        seed: what the user side draws from.
    """

    def __init__(self, task: Task, world: World, rules: Rules | None = None, seed: int = 0) -> None:
        self.task = task
        self.world = world
        self.rules = rules if rules is not None else Rules()
        self.seed = seed
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.steps = 0
        self.ended_by: str | None = None
        self.watcher: Watcher | None = None
        """Set by a driver whose user side sees everything; its scenes then hold the full transcript."""
        self._said = 0
        self._opened = not self.rules.lazy_open
        self._phase = _OPENING if self._opened else _AGENT
        self._survey: Survey | None = None
        self._failure: Failure | None = None
        self._feedback: Feedback | None = None

    # -- what it asks for ------------------------------------------------------------------------------------------

    @property
    def turn(self) -> Turn:
        """Whose turn it is, with what that seat may know."""
        phase = self._phase
        if phase == _AGENT:
            return AgentTurn()
        if phase == _SURVEY:
            return SurveyTurn(self.scene())
        if phase == _ENDED:
            return Ended(self.outcome)
        return UserTurn(self.scene(), phase == _OPENING)

    def scene(self) -> Scene:
        """What the user side may know now."""
        transcript = tuple(self.messages)
        scene = Scene(self.task.id, self.task.instruction, transcript, self.steps - self._said, self.seed)
        return scene if self.watcher is None else scene._replace(events=tuple(self.events))

    @property
    def recording(self) -> Replayed | None:
        """How far a recording that plays the user side has been followed so far."""
        return None if self.watcher is None else self.watcher(self.events, self.ended_by)

    @property
    def over(self) -> bool:
        """Whether the episode has ended, survey included."""
        return self._phase == _ENDED

    @property
    def outcome(self) -> Outcome:
        """How it ended; `OutOfTurn` while it has not."""
        if self._feedback is None or self.ended_by is None:
            raise OutOfTurn(f"The episode is not over: it waits for {_NAMES[self._phase]}.")
        return Outcome(self.ended_by, self._failure, self._feedback)

    # -- what it is told -------------------------------------------------------------------------------------------

    def act(self, call: ToolCall) -> ToolResult | None:
        """The agent's action. A tool's result is returned at once; ``None`` means that the user side has the turn."""
        self._expect(_AGENT)
        try:
            arguments = checked(call.arguments)
        except Exception as error:  # a foreign object may raise anything when it is looked at
            text = str(error) if isinstance(error, NotJson) else f"arguments cannot be read ({type(error).__name__})"
            result = ToolResult(call.name, f"Error: {text:.500}", error=True)
            self._count(_acted(call.name, evidence(call.arguments), result, refused=True))
            self._after_step()
            return result
        if call.name == RESPOND:
            return self._respond(arguments)
        try:
            result = self.world.call(ToolCall(call.name, arguments))
        except BaseException:  # Ctrl-C: what the tool has half done is taken back
            self.world = self.world.after(self.events)
            raise
        self._count(_acted(call.name, arguments, result))
        if call.name in self.world.domain.terminal:
            self._end("transfer")
        else:
            self._after_step()
        return result

    def _respond(self, arguments: dict[str, Any]) -> ToolResult | None:
        content: Any = arguments.get("content")
        if (text := self.rules.refusal(content)) is not None:
            result = ToolResult(RESPOND, text, error=True)
            # Whoever restores words that were too long may have other rules.
            self._count(_acted(RESPOND, arguments, result, refused=isinstance(content, str)))
            self._after_step()
            return result
        self._count({"event": "act", "name": RESPOND, "arguments": arguments})
        self.messages.append(Message("agent", content))
        self._phase = _USER if self._opened else _OPENING
        return None

    def say(self, content: str) -> None:
        """Words of the user side."""
        self._expect(_USER, _OPENING)
        self.events.append({"event": "say", "content": content})
        self.messages.append(Message("user", content))
        self._said = self.steps
        self._opened = True
        self._after_step()

    def stop(self, content: str = "", used_up: bool = False) -> None:
        """The user side ends the episode; words it adds are its last turn. A stop at the opening is a failure.

        ``used_up``: a recording had no more turns; ``ended_by="recording"``, and not scored.
        """
        self._expect(_USER, _OPENING)
        if self._phase == _OPENING:
            words = f" Its words: {content!r:.500}" if content.strip() else ""
            text = f"The user side stopped before it had said anything.{words}"
            self.fail(Failure("user", "stopped_at_open", text))
            return
        self.events.append({"event": "stop", "content": content} | ({"used_up": True} if used_up else {}))
        if content.strip():
            self.messages.append(Message("user", content))
        self._end("recording" if used_up else "user")

    def survey(self, survey: Survey | None) -> None:
        """The user side's answers, or ``None`` when none came."""
        self._expect(_SURVEY)
        if survey is not None and not isinstance(survey, Survey):
            text = f"The user side answered the survey with {type(survey).__name__}, not Survey or None."
            self.fail(Failure("user", "bad_reply", text))
            return
        self.events.append({"event": "survey", "answers": None if survey is None else dict(survey.answers)})
        self._survey = survey
        self._close()

    def fail(self, failure: Failure) -> None:
        """A seat could not go on: the episode is not scored. A failing survey spoils nothing: it is just missing."""
        self._expect(_AGENT, _OPENING, _USER, _SURVEY)
        failure = replace(failure, message=_unquoted(failure.message, self.task.instruction))
        event = {"event": "fail", "side": failure.side, "kind": failure.kind, "message": failure.message}
        self.events.append(event)
        if self._phase != _SURVEY:
            self._failure = failure
            self.ended_by = "failure"
        self._close()

    def hear(self, reply: object) -> None:
        """What a user side returned for its turn; anything but `Say` or `Stop` with words is a failure."""
        if isinstance(reply, Say | Stop) and isinstance(reply.content, str):
            if isinstance(reply, Say):
                self.say(reply.content)
            else:
                self.stop(reply.content, reply.used_up is True)
        else:
            # By type only: the value may hold what the agent must not see, and its repr may raise.
            got = type(reply).__name__
            if isinstance(reply, Say | Stop):
                got += f" with content of type {type(reply.content).__name__}"
            self.fail(Failure("user", "bad_reply", f"The user side answered {got}, not Say or Stop with a str."))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _expect(self, *phases: int) -> None:
        if self._phase not in phases:
            raise OutOfTurn(f"The episode waits for {_NAMES[self._phase]}, not for {_NAMES[phases[0]]}.")

    def _count(self, event: Event) -> None:
        """A step and its event come together: Ctrl-C inside a tool leaves neither, and `restore` agrees."""
        self.events.append(event)
        self.steps += 1

    def _after_step(self) -> None:
        if self.steps >= self.rules.max_steps:
            self._end("limit")
        else:
            self._phase = _AGENT

    def _end(self, by: str) -> None:
        self.ended_by = by
        self._phase = _SURVEY
        if not self.rules.survey:
            self._close()

    def _close(self) -> None:
        self._phase = _ENDED
        checks: Mapping[str, bool] = {}
        scored = self._failure is None and self.ended_by != "recording"
        if scored:
            texts = [m.content for m in self.messages if m.role == "agent"]
            checks = scoring.check(self.task, self.world, texts, finished=self.ended_by != "limit")
        self._feedback = Feedback(
            reward=scoring.reward(checks) if scored else None,
            checks=checks,
            survey=self._survey,
            effort=self.effort(),
            user_texts=tuple(m.content for m in self.messages if m.role == "user"),
            n_messages=len(self.messages),
            recording=self.recording,
        )

    def effort(self) -> Effort:
        """Counts so far."""
        user = [m.content for m in self.messages if m.role == "user"]
        agent = [m.content for m in self.messages if m.role == "agent"]
        tools = [e for e in self.events if "result" in e]
        return Effort(
            user_turns=len(user),
            user_words=sum(len(text.split()) for text in user),
            agent_turns=len(agent),
            agent_words=sum(len(text.split()) for text in agent),
            tool_calls=len(tools),
            tool_errors=sum(1 for e in tools if e.get("error")),
        )

    @classmethod
    def restore(
        cls, task: Task, world: World, events: Iterable[Mapping[str, Any]], rules: Rules | None = None, seed: int = 0
    ) -> Conversation:
        """The same machine from what it was told; ``world`` is fresh and is played forward."""
        conversation = cls(task, world, rules, seed)
        for event in events:
            conversation.apply(event)
        return conversation

    def apply(self, event: Mapping[str, Any]) -> None:
        """Tells the machine one recorded event."""
        kind = event["event"]
        if kind == "act" and event.get("refused"):
            self._expect(_AGENT)
            self._count(dict(event))
            self._after_step()
        elif kind == "act":
            self.act(ToolCall(event["name"], event["arguments"]))
        elif kind == "say":
            self.say(event["content"])
        elif kind == "stop":
            self.stop(event["content"], event.get("used_up") is True)
        elif kind == "survey":
            self.survey(None if event["answers"] is None else Survey(event["answers"]))
        elif kind == "fail":
            self.fail(Failure(event["side"], event["kind"], event["message"]))
        else:
            raise UsageError(f"Unknown event {kind!r}: expected act, say, stop, survey or fail.")


def _acted(name: str, arguments: Any, result: ToolResult, refused: bool = False) -> Event:
    event: Event = {"event": "act", "name": name, "arguments": arguments, "result": result.content}
    if result.error:
        event["error"] = True
    if refused:
        event["refused"] = True
    return event


def _unquoted(message: str, instruction: str) -> str:
    """A failure's message reaches the agent's ``info``; one that quotes the instruction is withheld."""
    pieces = (instruction[at : at + _QUOTE] for at in range(max(1, len(instruction) - _QUOTE + 1)))
    if any(piece and piece in message for piece in pieces):
        return "(withheld: it quotes the user side's instruction)"
    return message
