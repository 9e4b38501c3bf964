"""`ChatHistory`: the observation is the conversation so far, as chat messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from usersim_env.domains.canonical import copied, evidence
from usersim_env.errors import UsageError
from usersim_env.llm.message import text_of
from usersim_env.llm.thoughts import Unreadable
from usersim_env.messages import RESPOND, ToolCall, call_to_chat
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper, tau_env
from usersim_env.wrappers.message_spaces import MessageList

Chat = dict[str, Any]


class ChatHistory(TauWrapper):
    """Message list as observation, ready for a chat-completion API or a chat template.

    Description:
        Holds the policy as the system message, what the user side said, what the agent did, and what the tools
        answered. An action that is a call becomes an assistant message with one ``tool_calls`` entry; text and
        assistant messages (with `ParseToolCalls` or `ChatAction` below) are kept as the model wrote them.

    Action space:
        Unchanged.

    Observation space:
        `MessageList`: ``[{"role": "system" | "user" | "assistant" | "tool", "content", …}, …]``, a fresh copy each
        time. Tool messages answer the ``tool_call_id`` of their call; a call that was not made, because the episode
        ended or its message could not be read, is answered with ``Not executed.``

    Rewards:
        Unchanged.

    Info:
        Unchanged.

    Args:
        env: an env of this package whose observation is ``{"role", "name", "content"}``.
        system: true for the domain's policy as system message, a str for words of your own, false for none.

    Attributes:
        system: the system message, or false.

    Raises:
        UsageError: the env's observation is another one.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import ChatHistory
        >>> env = ChatHistory(gym.make("TauMock-agenda-v0"))
        >>> _ = env.reset(seed=0)
        >>> messages, *_ = env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})
        >>> [message["role"] for message in messages]
        ['system', 'user', 'assistant', 'tool']
    """

    def __init__(self, env: AnyEnv, system: bool | str = True) -> None:
        space = env.observation_space
        if not isinstance(space, spaces.Dict) or set(space.spaces) != {"role", "name", "content"}:
            raise UsageError(f"ChatHistory wraps an env that gives role, name and content, got {space!r}.")
        policy = tau_env(env, "ChatHistory").policy
        super().__init__(env, system=system)
        self.system = policy if system is True else system
        self._messages: list[Chat] = []
        self._made = 0
        self.observation_space = MessageList()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode and returns the system message and the opening."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._made = 0
        self._messages = [{"role": "system", "content": self.system}] if self.system else []
        self._hear([observation], [])
        return copied(self._messages), info

    def step(self, action: Any) -> Step:
        """One action; returns the whole conversation."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        message = self._said(action)
        self._messages.append(message)
        self._hear(list(info.get("observations", (observation,))), _ids(message))
        return copied(self._messages), float(reward), terminated, truncated, info

    def _said(self, action: Any) -> Chat:
        if isinstance(action, str):
            return {"role": "assistant", "content": str.__str__(action)}
        message = action.model_dump() if hasattr(action, "model_dump") else action
        if message.get("role") == "assistant":
            kept: Chat = evidence(dict(message))
            if isinstance(kept.get("tool_calls"), list):
                kept["tool_calls"] = self._named(kept["tool_calls"])
            content = kept.get("content")
            return kept | {"content": content if isinstance(content, str | None) else _text(content)}
        name, arguments = str(message["name"]), evidence(message["arguments"])
        if name == RESPOND and isinstance(arguments.get("content"), str):
            return {"role": "assistant", "content": arguments["content"]}
        self._made += 1
        return call_to_chat(ToolCall(name, arguments), f"call_{self._made}")

    def _named(self, calls: list[Any]) -> list[Any]:
        """The calls with ids that tell them apart: servers send none, ``null``, numbers and the same one twice."""
        named: list[Any] = []
        used: set[str] = set()
        for call in calls:
            self._made += 1
            own = call.get("id") if isinstance(call, dict) else None
            one = own if isinstance(own, str) and own and own not in used else f"call_{self._made}"
            used.add(one)
            named.append(call | {"id": one} if isinstance(call, dict) else call)
        return named

    def _hear(self, observations: list[dict[str, str]], ids: list[str]) -> None:
        left = list(ids)
        for observation in observations:
            content = observation["content"]
            if observation["role"] == "tool":
                answered = {"tool_call_id": left.pop(0)} if left else {}
                self._messages.append({"role": "tool", "name": observation["name"], "content": content} | answered)
            elif left:  # words said by a call of respond
                self._messages.append({"role": "tool", "tool_call_id": left.pop(0), "content": "Said."})
        self._messages += [{"role": "tool", "tool_call_id": one, "content": "Not executed."} for one in left]
        words = [o["content"] for o in observations if o["role"] == "user" and o["content"]]
        self._messages += [{"role": "user", "content": text} for text in words]


def _ids(message: Mapping[str, Any]) -> list[str]:
    """Ids of the calls in a message, in their order; entries that are no calls have none."""
    calls = message.get("tool_calls")
    return [call["id"] for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _text(parts: Any) -> str:
    try:
        return text_of(parts)
    except Unreadable:
        return str(parts)
