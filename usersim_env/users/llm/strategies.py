"""How the model comes to a turn: τ-bench's strategies by their names (tau_bench/envs/user.py, 59a200c).

Each is a generator that asks (`Ask`) and is told the answer, so that sync and async sessions run the same lines.
Upstream's two mistakes are not made: a thought never reaches the agent, and every loop ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from usersim_env.conversation.scene import Scene
from usersim_env.errors import BadReply, ModelError
from usersim_env.llm import Completion, Request
from usersim_env.messages import Say, Stop
from usersim_env.users.llm.prompts import (
    STOP,
    ChatMessages,
    chat_prompt,
    chat_text,
    copied,
    judge_prompt,
    transcript_prompt,
    transcript_text,
)
from usersim_env.users.llm.reading import read_turn, says_yes, without_thought
from usersim_env.users.llm.wording import Wording

TURN_ENDS = ("\nAgent:", "\nNotes:", "\n\n")
"""Where a continued transcript leaves the customer's turn."""


class Ask(NamedTuple):
    """Ask the model this."""

    request: Request


Asking: TypeAlias = Generator[Ask, Completion | ModelError, Say | Stop]


@dataclass
class Desk:
    """One turn in the making: the scene, the settings that shape the prompt, and what is counted.

    Attributes:
        character: persona and traits as text.
        attempts: answers that may be unusable before the turn fails; and drafts that are put to the supervisor.
        counts: what went on, for the trace.
        wording: instead of this package's own.
    """

    scene: Scene
    adapter: str
    character: str
    attempts: int
    counts: dict[str, int]
    wording: Wording | None = None
    react: bool = False
    _seeds: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._seeds = self.scene.rng()

    def ask(self, messages: ChatMessages, stop: tuple[str, ...] = (), schema: Mapping[str, Any] | None = None) -> Ask:
        """A question with the turn's next seed: another one for each attempt, the same for a repeated episode."""
        return Ask(Request(messages, schema=schema, seed=int(self._seeds.integers(1 << 31)), stop=stop))

    def draft(self) -> Asking:
        """The next words of the customer; an unusable answer is asked for again, with the reason.

        Raises:
            BadReply: no usable answer in ``attempts`` tries.
            ModelError: no answer at all.
        """
        reason, kind = None, None
        for attempt in range(self.attempts):
            if attempt:
                self._count("repairs")
            answer = yield self.ask(self.messages(reason), TURN_ENDS if self.adapter == "transcript" else ())
            try:
                return self._read(answer)
            except BadReply as error:
                reason, kind = str(error), error.kind
        raise BadReply(f"{self.attempts} answers of the model were no turn of a customer; the last: {reason}.", kind)

    def judge(self, draft: Say | Stop) -> Generator[Ask, Completion | ModelError, bool]:
        """Whether a supervisor finds the draft good."""
        self._count("verifications")
        answer = yield self.ask(judge_prompt("verify", self.scene, words(draft)))
        return says_yes(_answer(answer))

    def reflect(self, draft: Say | Stop) -> Generator[Ask, Completion | ModelError, Say | Stop | None]:
        """A better message than the draft; ``None`` when none can be read."""
        self._count("reflections")
        answer = yield self.ask(judge_prompt("reflect", self.scene, words(draft)))
        try:
            return read_turn(without_thought(_answer(answer), "Message"))
        except BadReply:
            return None

    def messages(self, reason: str | None = None) -> ChatMessages:
        """What the model is shown; a reason asks for a repair."""
        told = None if self.wording is None else self.wording.filled(self.scene, self.character, self.react)
        if self.adapter == "chat":
            told = told if told is not None else chat_text(self.scene, self.character, self.react)
            return chat_prompt(self.scene, told, reason)
        told = told if told is not None else transcript_text(self.scene, self.character, self.react)
        return transcript_prompt(told, reason)

    def _read(self, answer: Completion | ModelError) -> Say | Stop:
        if isinstance(answer, ModelError) and answer.kind == "bad_reply":
            raise BadReply(str(answer))
        answer = _answer(answer)
        continued = self.adapter == "transcript"
        label = "Customer" if continued else "Message" if self.wording is None else self.wording.label
        turn = read_turn(without_thought(answer, label) if self.react else answer, continued)
        ours = continued and self.wording is None
        if ours and (fact := copied(turn.content, self.scene, self.character)) is not None:
            raise BadReply(f"it speaks of {fact!r}, which only the example does")
        if answer.finish_reason == "length":
            self._count("cut_short")
        return turn

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def _answer(answer: Completion | ModelError) -> Completion:
    if isinstance(answer, ModelError):
        raise answer
    return answer


def words(turn: Say | Stop) -> str:
    """A turn as the model would write it."""
    return turn.content if isinstance(turn, Say) else f"{turn.content} {STOP}".strip()


def plain(desk: Desk) -> Asking:
    """Says what the model writes."""
    return (yield from desk.draft())


def react(desk: Desk) -> Asking:
    """Thinks first; the thought is dropped."""
    desk.react = True
    return (yield from desk.draft())


def verify(desk: Desk) -> Asking:
    """Drafts until a supervisor agrees; after ``attempts`` drafts the last is said (counted as ``unverified``)."""
    for _ in range(desk.attempts):
        draft = yield from desk.draft()
        if (yield from desk.judge(draft)):
            return draft
    desk.counts["unverified"] = desk.counts.get("unverified", 0) + 1
    return draft


def reflection(desk: Desk) -> Asking:
    """Drafts; what a supervisor rejects is rewritten by it, at most ``attempts - 1`` times; else the first draft."""
    first = draft = yield from desk.draft()
    for left in range(desk.attempts - 1, -1, -1):
        if (yield from desk.judge(draft)):
            return draft
        if left:
            draft = (yield from desk.reflect(draft)) or draft
    desk.counts["unverified"] = desk.counts.get("unverified", 0) + 1
    return first


STRATEGIES: Mapping[str, Callable[[Desk], Asking]] = {
    "plain": plain,
    "react": react,
    "verify": verify,
    "reflection": reflection,
}
"""By name."""
