"""`TauEnv`: one agent, one user side, one task at a time, behind `gymnasium.Env`."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from usersim_env.conversation.machine import Conversation, Outcome
from usersim_env.conversation.rules import Rules
from usersim_env.conversation.screen import MODES, Screen
from usersim_env.domains import Task, World, get_domain
from usersim_env.env.episode import Episode, received
from usersim_env.env.settings import EnvSettings
from usersim_env.errors import UsageError
from usersim_env.feedback.values import Failure
from usersim_env.messages import parse_action
from usersim_env.spaces import ToolAction, UnicodeText
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace, episode_id
from usersim_env.users.base import User
from usersim_env.users.seating import checked_user, released, user_seat

OPTIONS = ("task_id", "user", "tools", "lazy_open")


class TauEnv(gym.Env[dict[str, str], dict[str, Any]]):
    """A τ-bench domain with a user side that can be swapped.

    Description:
        The agent serves one customer: it talks to the user side and calls the domain's tools.

    Action space:
        ``{"name": str, "arguments": dict}``: a tool, or ``respond`` with ``{"content": str}``. Anything of another
        shape raises `InvalidAction` before any state changes; anything wrong inside becomes a readable error text.

    Observation space:
        ``{"role": "user" | "tool", "name": str, "content": str}``: what the agent has just received.

    Rewards:
        τ-bench's rule reward, 0.0 or 1.0, at the end; 0.0 on every other step. An episode that failed is *not scored*:
        ``info["valid"]`` is false, ``info["feedback"].reward`` is ``None``; the 0.0 that `step` returns means nothing.

    Termination:
        The user side stops, or the agent transfers to a human. Truncation: ``max_steps``, or a failure.

    Info:
        ``valid`` always; ``task_id``, ``policy``, ``tools`` at reset; ``feedback`` (`Feedback`) at the end;
        ``failure`` (`Failure`) when there is one.

    Args:
        domain: ``retail``, ``airline``, ``mock`` or one of your own.
        user: the user side.
        settings: tasks, limits, survey, recording.
        render_mode: ``ansi`` (`render` returns the transcript), ``human`` (it is printed as it comes) or ``rgb_array``
            (it is drawn; extra ``plot``).
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 1}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        domain: str,
        user: User,
        settings: EnvSettings | None = None,
        render_mode: str | None = None,
    ) -> None:
        self._settings = settings if settings is not None else EnvSettings()
        self._domain = get_domain(domain)
        self._tasks = self._settings.chosen(domain)
        self._user = checked_user(user)
        self._rules = Rules(self._settings.max_steps, self._settings.survey, max_chars=self._settings.max_chars)
        self._screen = Screen(render_mode)
        self.render_mode = render_mode
        self.agent_seat = self._settings.agent_seat
        text = UnicodeText()
        self.observation_space = cast(
            "spaces.Space[dict[str, str]]", spaces.Dict({"role": text, "name": text, "content": text})
        )
        self.action_space = ToolAction(self.tools)
        self._episode: Episode | None = None
        self._done = True
        self._writer = TraceWriter(self._settings.record) if self._settings.record is not None else None

    @property
    def settings(self) -> EnvSettings:
        """Tasks, limits, survey, recording."""
        return self._settings

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as OpenAI function schemas; a fresh copy each time."""
        return self._domain.schemas()

    @property
    def policy(self) -> str:
        """The domain's policy for the agent, in Markdown."""
        return self._domain.policy

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Ids of the tasks that `reset` draws from."""
        return tuple(task.id for task in self._tasks)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Starts an episode and returns the user side's opening.

        Args:
            seed: fixes the task that is drawn and everything the user side draws.
            options: ``task_id``; ``user`` (another user side for this episode); ``tools=False`` leaves policy and tools
                out of ``info``; ``lazy_open=True`` lets the agent speak first.

        Raises:
            UnknownName: no such task, or none that the user side can play.
            UsageError: ``user`` is no `User`. Either way the running episode goes on.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in options.keys() - set(OPTIONS):
            warnings.warn(f"reset ignores the unknown option {name!r}; it knows {', '.join(OPTIONS)}.", stacklevel=2)
        user = checked_user(self._user if options.get("user") is None else options["user"])
        task = self._draw(options.get("task_id"))
        episode_seed = seed if seed is not None else int(self.np_random.integers(1 << 31))
        task = user.own_task(task, episode_seed)
        self._leave()
        rules = dataclasses.replace(self._rules, lazy_open=True) if options.get("lazy_open") else self._rules
        episode = self._episode = Episode(Conversation(task, World(self._domain), rules, episode_seed), user)
        self._done = False
        self._screen.clear()
        episode.settle()
        info: dict[str, Any] = {"task_id": task.id, "valid": True}
        if options.get("tools", True):
            info |= {"policy": self.policy, "tools": self.tools}
        if episode.conversation.over:
            info |= {"valid": False, "failure": episode.conversation.outcome.failure}
        if self.render_mode == "human":
            self.render()
        return episode.observation, info

    def step(self, action: dict[str, Any]) -> tuple[dict[str, str], float, bool, bool, dict[str, Any]]:
        """One action of the agent.

        Raises:
            InvalidAction: not a dict with a str ``name`` and a dict ``arguments``; the episode can go on.
        """
        call = parse_action(action)
        episode = self._episode
        if episode is None or self._done:
            raise gym.error.ResetNeeded("The episode is over (or has not begun): call reset() before step().")
        if episode.conversation.over:  # the opening had failed
            return self._last(episode, received("user", "user", ""))
        episode.act(call)
        episode.settle()
        if self.render_mode == "human":
            self.render()
        if episode.conversation.over:
            return self._last(episode, episode.observation)
        return episode.observation, 0.0, False, False, {"valid": True}

    def fail(self, failure: Failure) -> dict[str, Any]:
        """Ends the episode as not scored, for an outage on the agent's side; returns the last ``info``."""
        if self._episode is None or self._done:
            raise UsageError("There is no episode to fail: call reset() first.")
        if not self._episode.conversation.over:
            self._episode.conversation.fail(failure)
        return self._last(self._episode, received("user", "user", ""))[4]

    def render(self) -> str | NDArray[np.uint8] | None:
        """The transcript so far: returned (``ansi``) or printed as far as it is new (``human``), or drawn."""
        return self._screen.show(self._conversation.events if self._conversation is not None else [])

    def trace(self) -> Trace:
        """The current or last episode as a `Trace`; one that is not over is ``ended_by="cut"`` and not scored."""
        if self._episode is None:
            raise UsageError("There is no episode yet: call reset() first.")
        return self._episode.trace(self.agent_seat)

    def episode(self, task_id: str, seed: int) -> Episode:
        """The episode of ``reset(seed=seed, options={"task_id": task_id})``, apart from the env's own.

        For drivers with many episodes at once. Nothing is said yet, and ``record`` does not write it.

        Raises:
            UnknownName: no such task, or none that the user side can play.
        """
        task = self._user.own_task(self._domain.task(task_id), seed)
        return Episode(Conversation(task, World(self._domain), self._rules, seed), self._user)

    def episode_id(self, task_id: str, seed: int) -> str:
        """The id that the trace of ``reset(seed=seed, options={"task_id": task_id})`` will have."""
        task = self._user.own_task(self._domain.task(task_id), seed)
        return episode_id(task, self.agent_seat, user_seat(self._user), seed, self._rules)

    def close(self) -> None:
        """Ends the episode, if one is running (its trace says ``cut``), and frees file and session."""
        self._leave()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        released(self._user)
        super().close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _draw(self, task_id: str | None) -> Task:
        index = int(self.np_random.integers(len(self._tasks)))
        return self._tasks[index] if task_id is None else self._domain.task(task_id)

    @property
    def _conversation(self) -> Conversation | None:
        return self._episode.conversation if self._episode is not None else None

    def _last(
        self, episode: Episode, observation: dict[str, str]
    ) -> tuple[dict[str, str], float, bool, bool, dict[str, Any]]:
        outcome = episode.conversation.outcome
        self._done = True
        self._record_and_free(episode)
        reward = outcome.feedback.reward
        return observation, reward or 0.0, outcome.terminated, not outcome.terminated, end_info(outcome)

    def _record_and_free(self, episode: Episode) -> None:
        try:
            if self._writer is not None:
                self._writer.write(self.trace())
        finally:
            episode.close()

    def _leave(self) -> None:
        """Breaks a running episode off; its trace says so."""
        if not self._done and self._episode is not None:
            self._done = True
            self._record_and_free(self._episode)


def end_info(outcome: Outcome) -> dict[str, Any]:
    """``info`` of the last step."""
    info: dict[str, Any] = {"valid": outcome.feedback.reward is not None, "feedback": outcome.feedback}
    return info if outcome.failure is None else info | {"failure": outcome.failure}
