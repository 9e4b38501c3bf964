"""PettingZoo's agent-environment cycle over `Conversation`: ``agent_0`` serves, ``user_0`` is the customer."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo.utils.conversions import turn_based_aec_to_parallel
from pettingzoo.utils.env import AECEnv, ParallelEnv
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from usersim_env.conversation.machine import AgentTurn, Conversation, SurveyTurn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.conversation.screen import MODES, Screen
from usersim_env.domains import World, get_domain
from usersim_env.env.episode import received
from usersim_env.env.raised import user_failure
from usersim_env.env.settings import EnvSettings
from usersim_env.env.tau_env import end_info
from usersim_env.errors import UsageError, told, unknown
from usersim_env.feedback.values import Failure
from usersim_env.messages import parse_action
from usersim_env.multi_agent import observations
from usersim_env.multi_agent.actions import MISTAKES, TOO_MANY, Filled, Mistake, UserAction, read_user_action
from usersim_env.multi_agent.seats import AGENT, SEATS, USER, Rewards, UserSeat, checked_rewards, rule_rewards
from usersim_env.spaces import ToolAction
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.provenance import make_trace
from usersim_env.traces.trace import Trace

OPTIONS = ("task_id", "tools", "lazy_open")


def env(domain: str = "retail", **keywords: Any) -> AECEnv[str, dict[str, Any], Any]:
    """The env with PettingZoo's check of the order of calls; keywords are those of `raw_env`."""
    return OrderEnforcingWrapper(raw_env(domain, **keywords))


def parallel_env(domain: str = "retail", **keywords: Any) -> ParallelEnv[str, dict[str, Any], Any]:
    """All seats at once, where only the active seat's action counts (``info["active_agent"]``)."""
    return turn_based_aec_to_parallel(env(domain, **keywords))


class raw_env(AECEnv[str, dict[str, Any], Any]):
    """Two seats, one conversation.

    Description:
        ``user_0`` opens, answers every ``respond``, and fills in the survey; ``agent_0`` acts otherwise.

    Action spaces:
        ``agent_0``: `ToolAction`, as in `TauEnv` (`InvalidAction` before any state changes, for another shape).
        ``user_0``: `UserAction`; what is not a turn in its phase, of whatever shape, gives an observation with the
        error, and the seat acts again. ``MISTAKES`` of them in a row are a failure of kind ``bad_reply``.
        A seat that cannot go on steps with a `Failure` instead of an action, and the episode is not scored.

    Observation spaces:
        ``agent_0``: what it has just received, its policy, its tools as JSON. ``user_0``: see `user_observation`.
        Each seat sees only what is its own, in infos too.

    Rewards:
        ``rewards(outcome)`` on the step on which both seats end, by default the rule reward for ``agent_0`` and 0 for
        ``user_0``; 0.0 before. Not scored: ``infos["agent_0"]["valid"]`` is false, and the rewards mean nothing.

    Info:
        ``valid`` and ``active_agent`` always. ``agent_0``: ``task_id``, ``policy``, ``tools`` until it has acted;
        ``feedback`` and ``failure`` at the end. ``user_0``: ``scene`` (`Scene`) when it is asked;
        ``failure`` when it is its own.

    Args:
        domain: ``retail``, ``airline``, ``mock`` or one of your own.
        rewards: reward by seat, of the `Outcome` of a scored episode.
        render_mode: ``ansi`` (`render` returns the transcript), ``human`` (it is printed as it comes) or ``rgb_array``
            (it is drawn; extra ``plot``).
        settings: the fields of `EnvSettings`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "name": "tau_v0",
        "render_modes": list(MODES),
        "render_fps": 1,
        "is_parallelizable": False,
    }

    def __init__(
        self, domain: str = "retail", rewards: Rewards = rule_rewards, render_mode: str | None = None, **settings: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        known = [field.name for field in dataclasses.fields(EnvSettings)]
        for name in settings.keys() - set(known):
            raise unknown("keyword", name, ["rewards", "render_mode", *known])
        self._screen = Screen(render_mode)
        if not callable(rewards):
            raise UsageError(f"rewards is a function of an Outcome to a reward by seat, got {rewards!r:.80}.")
        self._settings = EnvSettings(**settings)
        self._domain = get_domain(domain)
        self._tasks = self._settings.chosen(domain)
        self._rewards = rewards
        self.render_mode = render_mode
        self.agent_seat = self._settings.agent_seat
        self.possible_agents = list(SEATS)
        self.agents = []
        self._observation_spaces = {AGENT: observations.agent_space(), USER: observations.user_space()}
        tools = self._domain.schemas()
        self._action_spaces: dict[str, spaces.Space[Any]] = {AGENT: ToolAction(tools), USER: UserAction()}
        self._shown = self._texts = (self._domain.policy, json.dumps(tools, ensure_ascii=False))
        self._user = self._next_user = UserSeat()
        self._conversation: Conversation | None = None
        self._rng: np.random.Generator | None = None
        self._done = True
        self._writer = TraceWriter(self._settings.record) if self._settings.record is not None else None

    def observation_space(self, agent: str) -> spaces.Space[dict[str, Any]]:
        """The same object at each call."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object at each call."""
        return self._action_spaces[agent]

    def sit(self, user: UserSeat) -> None:
        """Says who plays the user from the next `reset` on; `UserPolicy` calls it. For the agent: ``agent_seat``."""
        self._next_user = user

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Starts an episode; the same seed draws the same task and the same user side as in `TauEnv`.

        Args:
            seed: fixes the task that is drawn, and what a user side draws.
            options: ``task_id``; ``tools=False`` leaves policy and tools out; ``lazy_open=True``: the agent begins.

        Raises:
            UnknownName: no such task, or none that the user side can play; the running episode goes on.
        """
        if seed is not None or self._rng is None:
            self._rng, _ = seeding.np_random(seed)
        options = options or {}
        for name in options.keys() - set(OPTIONS):
            warnings.warn(f"reset ignores the unknown option {name!r}; it knows {', '.join(OPTIONS)}.", stacklevel=2)
        drawn = self._tasks[int(self._rng.integers(len(self._tasks)))]
        task = drawn if options.get("task_id") is None else self._domain.task(options["task_id"])
        episode_seed = seed if seed is not None else int(self._rng.integers(1 << 31))
        task = self._next_user.own_task(task, episode_seed)
        self._leave()
        settings, lazy = self._settings, bool(options.get("lazy_open"))
        rules = Rules(settings.max_steps, settings.survey, lazy, settings.max_chars)
        self._conversation = conversation = Conversation(task, World(self._domain), rules, episode_seed)
        shown = bool(options.get("tools", True))
        self._shown = self._texts if shown else ("", "")
        self._brief: dict[str, Any] = {"task_id": task.id}
        if shown:
            self._brief |= {"policy": self._domain.policy, "tools": self._domain.schemas()}
        self._begin(conversation)

    def _begin(self, conversation: Conversation) -> None:
        self._user = self._next_user
        self._started, self._clock = time.time(), time.monotonic()
        self._done = False
        self._screen.clear()
        self._mistakes = 0
        self._error = ""
        self._received = received("user", "user", "")
        self.agents = list(SEATS)
        self.rewards = dict.fromkeys(SEATS, 0.0)
        self._cumulative_rewards = dict.fromkeys(SEATS, 0.0)
        self.terminations = dict.fromkeys(SEATS, False)
        self.truncations = dict.fromkeys(SEATS, False)
        try:
            conversation.watcher = self._user.begin(conversation.scene())
        except Exception as error:  # the next step ends the episode
            conversation.fail(user_failure(error))
        self._select(conversation)

    def step(self, action: Any) -> None:
        """The action of the active seat (``None`` for a seat that has ended).

        Raises:
            InvalidAction: ``agent_0`` gave no dict with a str ``name`` and a dict ``arguments``; it can act again.
        """
        if self._conversation is None or not self.agents:
            raise gym.error.ResetNeeded("The episode is over (or has not begun): call reset() before step().")
        name, conversation = self.agent_selection, self._conversation
        if self.terminations[name] or self.truncations[name]:
            self._was_dead_step(action)
            return
        if not conversation.over:  # else the beginning had failed
            self._take(conversation, name, action)
        self.rewards = dict.fromkeys(SEATS, 0.0)
        self._cumulative_rewards[name] = 0.0
        self._select(conversation)
        if self.render_mode == "human":
            self.render()
        if conversation.over:
            self._finish(conversation)
        self._accumulate_rewards()

    def observe(self, agent: str) -> dict[str, Any]:
        """What a seat sees now; an unknown seat is an `UnknownName`."""
        if agent not in SEATS:
            raise unknown("seat", agent, SEATS)
        if self._conversation is None:
            raise gym.error.ResetNeeded("There is no episode yet: call reset() first.")
        if agent == AGENT:
            return observations.agent_observation(self._received, *self._shown)
        return observations.user_observation(self._conversation.scene(), _phase(self._conversation), self._error)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The transcript so far: returned (``ansi``), printed as far as it is new (``human``), or drawn."""
        return self._screen.show(self._conversation.events if self._conversation is not None else [])

    def trace(self) -> Trace:
        """The current or last episode; one that is not over is ``ended_by="cut"`` and not scored."""
        if self._conversation is None:
            raise UsageError("There is no episode yet: call reset() first.")
        user = self._user
        seconds = time.monotonic() - self._clock
        return make_trace(self._conversation, self.agent_seat, user.seat, self._started, user.terms, seconds)

    def close(self) -> None:
        """Ends the episode, if one is running (its trace says ``cut``), and frees file and user side."""
        self._leave()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._user.release()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _take(self, conversation: Conversation, name: str, action: Any) -> None:
        if isinstance(action, Failure):
            side = "file" if action.side == "file" else name.partition("_")[0]
            conversation.fail(dataclasses.replace(action, side=side))
        elif name == AGENT:
            result = conversation.act(parse_action(action))
            self._brief = {}
            self._received = received("user", "user", "")
            if result is not None:
                self._received = received("tool", result.name, result.content)
            return
        else:
            self._user_acts(conversation, action)
        last = conversation.events[-1] if conversation.events else {}
        if last.get("event") in ("say", "stop"):
            self._received = received("user", "user", last["content"])

    def _user_acts(self, conversation: Conversation, action: Any) -> None:
        move = read_user_action(action, isinstance(conversation.turn, SurveyTurn))
        self._mistakes = self._mistakes + 1 if isinstance(move, Mistake) else 0
        self._error = move.text if isinstance(move, Mistake) else ""
        if isinstance(move, Filled):
            conversation.survey(move.survey)
        elif not isinstance(move, Mistake):
            conversation.hear(move)
        elif self._mistakes >= MISTAKES:
            conversation.fail(Failure("user", "bad_reply", TOO_MANY))

    def _select(self, conversation: Conversation) -> None:
        self.agent_selection = USER if isinstance(conversation.turn, UserTurn | SurveyTurn) else AGENT
        # Always there, so that the parallel env says it at reset too.
        active = {"active_agent": self.agent_selection}
        self.infos = {name: info | active for name, info in self._infos(conversation).items()}

    def _infos(self, conversation: Conversation) -> dict[str, dict[str, Any]]:
        if not conversation.over:
            turn = conversation.turn
            asked = {"scene": turn.scene} if isinstance(turn, UserTurn | SurveyTurn) else {}
            return {AGENT: {"valid": True} | self._brief, USER: {"valid": True} | asked}
        outcome = conversation.outcome
        agent = end_info(outcome)
        user: dict[str, Any] = {"valid": agent["valid"]}
        if outcome.failure is not None and outcome.failure.side == "user":
            user["failure"] = outcome.failure
        return {AGENT: agent, USER: user}

    def _finish(self, conversation: Conversation) -> None:
        outcome = conversation.outcome
        self.terminations = dict.fromkeys(SEATS, outcome.terminated)
        self.truncations = dict.fromkeys(SEATS, not outcome.terminated)
        self._leave()
        self.rewards = checked_rewards(self._rewards, outcome)

    def _leave(self) -> None:
        """Writes and frees a running episode; one that is not over is cut."""
        if self._done:
            return
        self._done = True
        try:
            if self._writer is not None:
                self._writer.write(self.trace())
        finally:
            try:
                self._user.close()
            except Exception as error:  # the episode is over and on disk: nothing to fail any more
                warnings.warn(f"The user side could not be closed. {told(error)}", stacklevel=2)


def _phase(conversation: Conversation) -> str:
    turn = conversation.turn
    if isinstance(turn, UserTurn):
        return observations.OPEN if turn.opening else observations.REPLY
    if isinstance(turn, SurveyTurn):
        return observations.SURVEY
    return observations.WAIT if isinstance(turn, AgentTurn) else observations.OVER
