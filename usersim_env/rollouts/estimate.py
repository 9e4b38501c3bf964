"""What a rollout will cost, before it is run: calls, tokens and dollars of every seat that asks a model.

Prompts are measured as they will be sent; how an episode goes on is assumed, from the 50 runs of gpt-4o on airline
test that the authors of τ-bench published (historical_trajectories/, 59a200c, first of four trials), as
``tests/test_estimate.py`` measures them again. A run has 8.2 turns of the user side and 12.8 agent steps, 7.2 of them
spoken; a turn of the user side has 25 tokens, a spoken one of the agent 79, a tool call 30, its result 163. A token is
taken as four characters throughout. Other domains, agents and user sides differ: take it for the order of magnitude.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from usersim_env.agent import Agent
from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_task
from usersim_env.env.settings import EnvSettings
from usersim_env.env.tau_env import TauEnv
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.llm import Model, as_model, prices
from usersim_env.registration import OWN, env_parts
from usersim_env.rollouts import RolloutSettings, opened
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.prompts import judge_prompt, survey_prompt
from usersim_env.users.llm.strategies import Desk
from usersim_env.users.llm.survey_form import schema

CHARACTERS = 4
"""Characters in a token: the usual rule for English text."""

USER_TURNS, AGENT_STEPS = 8.2, 12.8
"""Calls of either seat in an episode."""

TURN_GROWTH, STEP_GROWTH = 96.0, 147.0
"""Tokens by which a prompt is longer at each further call of the seat."""

TURN_PAIRS, STEP_PAIRS = 37.8, 95.8
"""How often a growth is sent in an episode: the mean of n(n-1)/2 calls, more than that of the mean n."""

TURN_TOKENS, STEP_TOKENS = 25.0, 57.0
"""Tokens that the model writes in one call: a turn of the user side; an agent's words or its tool call, mixed."""

THOUGHT_TOKENS = 50.0
"""Of a thought before a turn: two sentences. The runs hold none, so this is a guess."""

JUDGED = ("verify", "reflection")
"""Strategies that put every draft to a supervisor; rejected drafts are not foreseen."""


@dataclass(frozen=True)
class SeatEstimate:
    """What one seat is expected to use; cost in US dollars, ``None`` where the price is unknown."""

    seat: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None

    def as_text(self) -> str:
        """One line."""
        tokens = f"about {self.prompt_tokens:,} prompt and {self.completion_tokens:,} completion tokens"
        return f"{self.seat}, {self.model}: about {self.calls:,} calls, {tokens}, {money(self.cost)}"


@dataclass(frozen=True)
class Estimate:
    """What a rollout is expected to use.

    Attributes:
        episodes: to be run.
        resumed: on disk already.
        seats: those that ask a model; empty where none does.
    """

    episodes: int
    resumed: int
    seats: tuple[SeatEstimate, ...]

    @property
    def cost(self) -> float | None:
        """US dollars of all seats; ``None`` where the price of one is unknown."""
        known = [seat.cost for seat in self.seats if seat.cost is not None]
        return sum(known) if len(known) == len(self.seats) else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"cost": self.cost}

    def as_text(self) -> str:
        """Lines to read."""
        lines = [f"{self.episodes} episodes to run, {self.resumed} are on disk; nothing was run"]
        if self.episodes:
            lines += [seat.as_text() for seat in self.seats] or ["no seat asks a model"]
        return "\n".join(lines + ([f"together: {money(self.cost)}"] if len(self.seats) > 1 else []))


@dataclass(frozen=True)
class Use:
    """Calls and tokens, as yet without a price."""

    calls: float = 0.0
    prompt: float = 0.0
    completion: float = 0.0

    def __add__(self, other: Use) -> Use:
        return Use(self.calls + other.calls, self.prompt + other.prompt, self.completion + other.completion)

    def seat(self, name: str, model: Model) -> SeatEstimate:
        """With the price of a model, in whole tokens."""
        calls, prompt, completion = (round(value) for value in (self.calls, self.prompt, self.completion))
        price = prices(model)
        cost = None if price is None else prompt * price[0] + completion * price[1]
        return SeatEstimate(name, model.name, calls, prompt, completion, cost)


def money(cost: float | None) -> str:
    """``about $0.012``, to two digits, or ``price unknown``."""
    if cost is None:
        return "price unknown"
    shown = f"{cost:,.2f}" if cost >= 1 else np.format_float_positional(cost, 2, fractional=False, trim="-")
    return f"about ${shown}"


def tokens(value: object) -> float:
    """Tokens of a text, of chat messages or of any JSON value."""
    if isinstance(value, str):
        return len(value) / CHARACTERS
    if isinstance(value, Sequence) and all(isinstance(m, Mapping) and "content" in m for m in value):
        return sum(tokens(m["content"]) for m in value)
    return len(json.dumps(value)) / CHARACTERS


def form_use(scene: Scene) -> Use:
    """One survey: the prompt with everything in the scene, the schema, and answers of middling length."""
    answers = {q.field: sorted(q.answers, key=len)[len(q.answers) // 2] for q in QUESTIONS}
    return Use(1, tokens(survey_prompt(scene, QUESTIONS)) + tokens(schema(QUESTIONS)), tokens(answers))


def estimate_rollout(agent: Agent, env_id: str, settings: RolloutSettings) -> Estimate:
    """What `rollout` with the same arguments is expected to use; runs nothing, writes nothing.

    An agent is taken to ask a model if it has a `Model` as ``setting``, as ``tool_calling`` does. Models that others
    call on their own are not seen.

    Raises:
        UnknownName, UsageError: as `rollout`.
    """
    with opened(agent, env_id, settings) as (env, plan):
        seats = [*_user_seats(env_id, settings, plan.todo), *_agent_seats(agent, env, settings, len(plan.todo))]
        return Estimate(len(plan.todo), len(plan.found), tuple(seats) if plan.todo else ())


def _share(settings: RolloutSettings) -> float:
    """How much of an episode the step limit leaves."""
    limit: int = settings.keywords.get("max_steps", EnvSettings.max_steps)
    return min(1.0, limit / AGENT_STEPS)


def _agent_seats(agent: Agent, env: TauEnv, settings: RolloutSettings, episodes: int) -> Iterator[SeatEstimate]:
    model = getattr(agent, "setting", None)
    if not isinstance(model, Model):
        return
    share = _share(settings)
    steps, history = AGENT_STEPS * share, STEP_PAIRS * share**2 * STEP_GROWTH
    start = tokens(env.policy) + tokens(env.tools)
    use = Use(steps * episodes, (steps * start + history) * episodes, steps * STEP_TOKENS * episodes)
    yield use.seat("agent", model)


def _user_seats(env_id: str, settings: RolloutSettings, todo: Sequence[tuple[str, int]]) -> Iterator[SeatEstimate]:
    user = _llm_user(env_id, settings.keywords)
    if user is None:
        return
    scenes = [Scene(task_id, get_task(task_id).instruction) for task_id, _ in todo]
    share = _share(settings)
    talk = sum((_talk(user, scene, share) for scene in scenes), Use())
    told = Use(prompt=USER_TURNS * share * TURN_GROWTH)  # the whole chat, which the survey's prompt shows
    asked = settings.keywords.get("survey", EnvSettings.survey)
    forms = sum((form_use(scene) + told for scene in scenes), Use()) if asked else Use()
    if user.survey_model is None:
        yield (talk + forms).seat("user", as_model(user.model))
        return
    yield talk.seat("user", as_model(user.model))
    if asked:
        yield forms.seat("user's survey", as_model(user.survey_model))


def _talk(user: LLMUser, scene: Scene, share: float) -> Use:
    """The turns of one episode by one strategy."""
    react = user.strategy == "react"
    shown = Desk(scene, user.adapter, user.character(), user.attempts, {}, user.wording, react).messages()
    turns, history = USER_TURNS * share, TURN_PAIRS * share**2 * TURN_GROWTH
    written = TURN_TOKENS + (THOUGHT_TOKENS if react else 0.0)
    use = Use(turns, turns * tokens(shown) + history, turns * written)
    if user.strategy in JUDGED:
        judged = tokens(judge_prompt("verify", scene, "")) + TURN_TOKENS
        use += Use(turns, turns * judged + history, turns)
    return use


def _llm_user(env_id: str, keywords: Mapping[str, Any]) -> LLMUser | None:
    """The user side of an env, where it is a model."""
    user = keywords.get("user")
    if user is None and env_parts(env_id)[1] == "llm":
        return LLMUser(**{name: keywords[name] for name in OWN if keywords.get(name) is not None})
    return user if isinstance(user, LLMUser) else None
