"""`LLMUser`: a language model in the user's seat."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from usersim_env.conversation.scene import Scene
from usersim_env.errors import ModelError, UsageError, UserSideError, unknown
from usersim_env.feedback.survey import Survey
from usersim_env.llm import Completion, Model, ModelSession, Usage, as_model
from usersim_env.messages import Say, Stop
from usersim_env.users.base import User, UserSession
from usersim_env.users.llm.prompts import trait_lines, version
from usersim_env.users.llm.strategies import STRATEGIES, Ask, Desk
from usersim_env.users.llm.survey_form import fill_in
from usersim_env.users.llm.wording import Wording, wording_of

ADAPTERS = ("chat", "transcript")
T = TypeVar("T")


@dataclass(frozen=True)
class LLMUser(User):
    """A model plays the customer.

    It is shown its instruction and the visible turns, never a tool call or a thought. Its seeds come from the
    episode's, so a repeated episode asks the same questions in the same way.

    Args:
        model: a name such as ``openai/gpt-4o-mini``, or a `Model`.
        strategy: ``plain``; ``react`` (thinks first, unheard); ``verify`` (a supervisor, the same model, agrees to each
            message); ``reflection`` (and rewrites what it rejects).
        adapter: ``chat``, or ``transcript`` for small and base models.
        persona: text that is added to the instruction, such as ``You are seventy and new to this.``.
        traits: settings with a fixed wording, such as ``{"patience": "low", "length": "short"}``.
        attempts: unusable answers in a row (empty, agent-like, a tool call …) before the turn fails as ``bad_reply``,
            and drafts that ``verify`` and ``reflection`` put to the supervisor.
        survey_model: fills in the survey instead of ``model`` (a base model cannot).
        prompt: instead of this package's wording: ``tau-bench`` (what τ-bench's own user simulator is told, from the
            installed package, so that results compare with published ones), or a file with a template of the system
            message with the blanks ``$instruction``, ``$persona`` and ``$stop`` (see docs/models.md).

    Raises:
        UnknownName: an unknown strategy, adapter or trait.
        UsageError: a setting that cannot be, or a template that cannot be filled.
    """

    kind: ClassVar[str] = "llm"

    model: str | Model
    strategy: str = "plain"
    adapter: str = "chat"
    persona: str = ""
    traits: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 3
    survey_model: str | Model | None = None
    prompt: str | os.PathLike[str] | None = None
    _wording: Wording | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        as_model(self.model)
        if self.survey_model is not None:
            as_model(self.survey_model)
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        if self.adapter not in ADAPTERS:
            raise unknown("adapter", self.adapter, ADAPTERS)
        if self.attempts < 1:
            raise UsageError(f"attempts is at least 1, got {self.attempts}.")
        character = self.character()
        if self.prompt is not None:
            if self.strategy == "react" and self.adapter == "transcript":
                raise UsageError(
                    "A prompt with adapter='transcript' goes with every strategy but 'react'. Choose another one."
                )
            # Read once: a file that changes later changes no user side that exists.
            object.__setattr__(self, "_wording", wording_of(self.prompt, self.adapter, character))

    @property
    def wording(self) -> Wording | None:
        """What ``prompt`` says; ``None``: this package's own."""
        return self._wording

    def character(self) -> str:
        """Persona and traits as the text that is added to the instruction."""
        return "\n".join(filter(None, [self.persona.strip(), *trait_lines(self.traits)]))

    @property
    def name(self) -> str:
        """The model, and the strategy where it is not plain."""
        name = as_model(self.model).name
        return name if self.strategy == "plain" else f"{name} ({self.strategy})"

    def begin(self, scene: Scene) -> UserSession:
        """Opens the session; the model is not called yet."""
        return _LLMSession(self)

    def describe(self) -> dict[str, Any]:
        """Model, strategy, wording; no keys."""
        described = as_model(self.model).describe() | {"strategy": self.strategy, "adapter": self.adapter}
        described |= {"persona": self.persona, "traits": dict(self.traits), "attempts": self.attempts}
        if self.survey_model is not None:
            described["survey_model"] = as_model(self.survey_model).describe()
        if self._wording is not None:
            described["prompt"] = {"name": self._wording.name, "sha256": self._wording.sha256}
        return described | {"prompts": version()}


class _LLMSession(UserSession):
    """Keeps nothing but the bill: each turn is a function of its scene."""

    def __init__(self, user: LLMUser) -> None:
        self._user = user
        self._character = user.character()
        self._model = ModelSession(as_model(user.model))
        self._form = self._model if user.survey_model is None else ModelSession(as_model(user.survey_model))
        self._counts: dict[str, int] = {}

    def open(self, scene: Scene) -> Say | Stop:
        return self.reply(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        with _caused(scene, self._character):
            return _ask(STRATEGIES[self._user.strategy](self._desk(scene)), self._model)

    def fill_survey(self, scene: Scene) -> Survey | None:
        return _ask(fill_in(self._desk(scene)), self._form)

    async def aopen(self, scene: Scene) -> Say | Stop:
        return await self.areply(scene)

    async def areply(self, scene: Scene) -> Say | Stop:
        with _caused(scene, self._character):
            return await _aask(STRATEGIES[self._user.strategy](self._desk(scene)), self._model)

    async def afill_survey(self, scene: Scene) -> Survey | None:
        return await _aask(fill_in(self._desk(scene)), self._form)

    def notes(self) -> Mapping[str, Any]:
        """Calls, tokens and cost of the seat (``None``: unknown), and how often an answer had to be repaired."""
        used = Usage.total({id(s): s.usage for s in (self._model, self._form)}.values())
        return used.to_dict() | self._counts

    def _desk(self, scene: Scene) -> Desk:
        user = self._user
        return Desk(scene, user.adapter, self._character, user.attempts, self._counts, user.wording)


@contextmanager
def _caused(scene: Scene, character: str) -> Iterator[None]:
    """A failure that the agent's words brought about is the agent's, or it could leave out what it would lose.

    That is a provider that refuses a chat whose newest words are the agent's (it has let the user side's own words
    through when it wrote them), and a chat that is too long because of them. An answer of the user side that was held
    back is not.
    """
    try:
        yield
    except UserSideError as error:
        if isinstance(error.__cause__, ModelError):
            said = {"agent": 0, "user": len(scene.instruction) + len(character)}
            for turn in scene.transcript:
                said[turn.role] += len(turn.content)
            refused = error.kind == "content_policy" and scene.transcript[-1:] and scene.transcript[-1].role == "agent"
            if refused or (error.kind == "context_length" and said["agent"] > said["user"]):
                error.side = "agent"
        raise


def _ask(asking: Generator[Ask, Completion | ModelError, T], model: ModelSession) -> T:
    """Runs a strategy; a failure of the model is put to it first, and leaves as the user side's."""
    answer: Completion | ModelError | None = None
    while True:
        step = _next(asking, answer)
        if not isinstance(step, Ask):
            return step
        try:
            answer = model.complete(step.request)
        except ModelError as error:
            answer = error


async def _aask(asking: Generator[Ask, Completion | ModelError, T], model: ModelSession) -> T:
    answer: Completion | ModelError | None = None
    while True:
        step = _next(asking, answer)
        if not isinstance(step, Ask):
            return step
        try:
            answer = await model.acomplete(step.request)
        except ModelError as error:
            answer = error


def _next(asking: Generator[Ask, Completion | ModelError, T], answer: Completion | ModelError | None) -> Ask | T:
    try:
        return next(asking) if answer is None else asking.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    except ModelError as error:
        raise UserSideError(str(error), error.kind) from error
