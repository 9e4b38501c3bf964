"""`ChatEpisode`: one episode, driven with what a foreign loop has in its hand: text, a message or a call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym

from usersim_env.adapters.tally import Tally
from usersim_env.env.raised import agent_failure
from usersim_env.errors import InstallError, InvalidAction, NotScored, unknown
from usersim_env.feedback.values import Failure, Feedback
from usersim_env.messages import parse_action
from usersim_env.wrappers.base import AnyEnv, tau_env, tools_of
from usersim_env.wrappers.call_formats import Malformed, spoken_call
from usersim_env.wrappers.chat_action import ChatAction
from usersim_env.wrappers.chat_history import ChatHistory
from usersim_env.wrappers.feedback_reward import FeedbackReward
from usersim_env.wrappers.parse_tool_calls import ParseToolCalls
from usersim_env.wrappers.text_observation import with_tools

Chat = dict[str, Any]
Reads = Literal["text", "message", "call"]


@dataclass(frozen=True)
class EpisodeSettings:
    """What is played, the same for every adapter; plain values, so that it may come from a trainer's config file.

    Attributes:
        env_id: an id of this package; its user side is the one that is talked to.
        keywords: further keywords of `gym.make`: ``split``, ``persona``, ``max_steps``, ``record``, ``agent`` …
        weights: signal → weight of the reward (see `FeedbackReward`); ``None`` is the rule reward.
        missing: what a missing signal does, as in `FeedbackReward`.
        format: how a text is read, as in `ParseToolCalls`.
        agent_failures: ``unscored``, or ``zero``: an episode that failed on the agent's side has the reward 0 (with
            negative weights the lowest reward there is), so that a model cannot learn to fail where it would lose. An
            outage of its server then counts as well.
    """

    env_id: str = "TauRetail-agenda-v0"
    keywords: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None
    missing: Literal["invalid", "renormalise"] = "invalid"
    format: Literal["hermes", "openai", "react"] = "hermes"
    agent_failures: Literal["unscored", "zero"] = "unscored"

    def __post_init__(self) -> None:
        if self.agent_failures not in ("unscored", "zero"):
            raise unknown("agent_failures", self.agent_failures, ("unscored", "zero"))

    @classmethod
    def read(cls, config: Mapping[str, Any], own: tuple[str, ...] = ()) -> EpisodeSettings:
        """The settings in a trainer's mapping.

        Args:
            config: name → value.
            own: further names that the trainer itself puts there.

        Raises:
            UnknownName: a name that is neither.
        """
        names = [one.name for one in dataclasses.fields(cls)]
        for name in config:
            if name not in names and name not in own:
                raise unknown("setting of an episode", name, names)
        return cls(**{name: config[name] for name in names if name in config})

    def with_keywords(self, **keywords: Any) -> EpisodeSettings:
        """The same with some keywords of `gym.make` set."""
        return dataclasses.replace(self, keywords={**self.keywords, **keywords})

    def make(self, reads: Reads) -> AnyEnv:
        """The env with the wrappers that the settings ask for; its observation is a message list.

        Raises:
            UnknownName: a signal, format or task that does not exist.
        """
        env: AnyEnv = gym.make(self.env_id, **self.keywords)
        if self.weights is not None:
            env = FeedbackReward(env, self.weights, self.missing)
        if reads == "text":  # the model finds the tools behind the policy; the other two are given them apart
            text = ParseToolCalls(env, self.format)
            return ChatHistory(text, with_tools(tau_env(env, "An adapter").policy, tools_of(env), text.hint))
        return ChatHistory(ChatAction(env) if reads == "message" else env)


_TALLIES: dict[str, Tally] = {}


def _range(settings: EpisodeSettings) -> tuple[float, float]:
    """The lowest and the highest reward that an episode can have."""
    weights = (settings.weights or {"rule": 1.0}).values()
    if settings.missing == "renormalise":  # what is missing makes the others heavier, up to the whole
        whole = sum(map(abs, weights))
        return (-whole if min(weights) < 0 else 0.0), (whole if max(weights) > 0 else 0.0)
    return sum(min(weight, 0.0) for weight in weights), sum(max(weight, 0.0) for weight in weights)


def tally_of(settings: EpisodeSettings) -> Tally:
    """What became of the episodes that this process has played with these settings, whatever adapter played them."""
    fresh = Tally(*_range(settings))
    return _TALLIES.setdefault(repr(settings), fresh)


@dataclass(frozen=True)
class Turn:
    """What comes back for one action.

    Attributes:
        messages: what is new for the agent since its own words.
        done: whether the episode is over.
        reward: the sum of all rewards, at the end; ``None`` before, and for an episode that is **not scored**. 0 for a
            failure of the agent's where `EpisodeSettings.agent_failures` says so.
        failure: why a finished episode is not scored.
        feedback: everything else that a finished episode says.
    """

    messages: tuple[Chat, ...]
    done: bool = False
    reward: float | None = None
    failure: Failure | None = None
    feedback: Feedback | None = None

    @property
    def text(self) -> str:
        """The new messages as one text, for loops in which all that is not the agent's is one turn of a user."""
        return "\n".join(_told(message) for message in self.messages)

    def score(self) -> float:
        """The reward of a finished episode, for loops that know numbers only.

        Raises:
            NotScored: there is none; the message says why.
        """
        if self.reward is None:
            raise NotScored(_why(self.failure))
        return self.reward


class ChatEpisode:
    """One env and one episode at a time in it.

    Args:
        settings: what is played.
        reads: what `act` is given: the ``text`` that a model wrote, an assistant ``message``, or a ``call``
            ``{"name", "arguments"}``.

    Example:
        >>> from usersim_env.adapters import ChatEpisode, EpisodeSettings
        >>> episode = ChatEpisode(EpisodeSettings("TauMock-agenda-v0"))
        >>> [message["role"] for message in episode.begin("mock/test/0", seed=0).messages]
        ['system', 'user']
        >>> call = '{"name": "find_ticket", "arguments": {"email": "bo@mock.example"}}'
        >>> turn = episode.act(f"<tool_call>{call}</tool_call>")
        >>> [message["role"] for message in turn.messages], turn.done, turn.reward
        (['tool'], False, None)
        >>> episode.close()
    """

    def __init__(self, settings: EpisodeSettings, reads: Reads = "text") -> None:
        self._env = settings.make(reads)
        self._failed_as_zero = settings.agent_failures == "zero"
        self._least = _range(settings)[0]  # 0, unless a weight is negative: failing must not be better than losing
        self._tally = tally_of(settings)
        self._reads = reads
        self._below = tau_env(self._env, "ChatEpisode")
        self._messages: list[Chat] = []
        self._total = 0.0

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Ids of the tasks that there are."""
        return self._below.task_ids

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as OpenAI function schemas."""
        return tools_of(self._env)

    @property
    def system(self) -> str:
        """The system message of every episode: the policy, with the tools where calls are written as text."""
        return str(self._env.get_wrapper_attr("system"))

    @property
    def messages(self) -> list[Chat]:
        """The whole conversation so far."""
        return list(self._messages)

    def begin(self, task_id: str | None = None, seed: int | None = None) -> Turn:
        """Starts an episode; the turn holds the system message and the opening, and is done if the opening failed.

        Raises:
            UnknownName: no such task.
        """
        messages, info = self._env.reset(seed=seed, options={"task_id": task_id})
        self._total = 0.0
        self._messages = messages
        if info["valid"]:
            return Turn(tuple(self._messages))
        return self._ended(tuple(self._messages), self._below.fail(info["failure"]))

    def act(self, action: Any) -> Turn:
        """One action of the agent.

        Raises:
            InvalidAction: the action is not what ``reads`` says; the episode can go on.
        """
        known = len(self._messages)
        if self._reads == "call":  # the other two are read by their wrappers
            action = self._spoken(action)
        messages, reward, terminated, truncated, info = self._env.step(action)
        self._total += float(reward)
        self._messages = messages
        new = tuple(messages[known + 1 :])
        return self._ended(new, info) if terminated or truncated else Turn(new)

    def _spoken(self, action: Any) -> Any:
        """A call of the model's without its thoughts."""
        call = parse_action(action)
        found = spoken_call({"name": call.name, "arguments": dict(call.arguments)})
        if isinstance(found, Malformed):
            raise InvalidAction(found.problem)
        return found

    def act_or_fail(self, action: Any) -> Turn:
        """Like `act`, but an action that is not what ``reads`` says ends the episode as the agent's failure."""
        try:
            return self.act(action)
        except InvalidAction as error:
            return self._ended((), self._below.fail(Failure("agent", "invalid_action", str(error))))

    def fail(self, error: Exception | str, kind: str = "error", reward: float | None = None) -> Turn:
        """Ends the episode as not scored, for an outage of the agent's model or of the loop.

        Args:
            error: what happened.
            kind: what summaries group by, where ``error`` has no ``kind`` of its own.
            reward: what such an episode is worth to the trainer; ``None``: it is not scored.
        """
        failure = Failure("agent", kind, error) if isinstance(error, str) else agent_failure(error, kind)
        return self._ended((), self._below.fail(failure), reward)

    def close(self) -> None:
        """Breaks off what is running and frees the env."""
        self._env.close()

    def _ended(self, new: tuple[Chat, ...], info: Mapping[str, Any], worth: float | None = None) -> Turn:
        failure: Failure | None = info.get("failure")
        reward = self._total if info["valid"] else worth
        if reward is None and self._failed_as_zero and failure is not None and failure.side == "agent":
            reward = self._least
        self._tally.add(reward, failure)
        return Turn(new, True, reward, failure, info["feedback"])


def missing_library(adapter: str, requirement: str) -> InstallError:
    """The error of an adapter whose library is not there."""
    return InstallError(f"The adapter {adapter} needs its library. Type: pip install {requirement!r}")


def _told(message: Chat) -> str:
    content = str(message.get("content") or "")
    return f"<tool_response>\n{content}\n</tool_response>" if message["role"] == "tool" else content


def _why(failure: Failure | None) -> str:
    if failure is None:
        return "The episode is not over, so it has no reward."
    return f"The episode is not scored ({failure.side}:{failure.kind}): {failure.message} It is no reward of 0."
