"""`TurnBudget`: so many turns for each seat, then the episode is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from usersim_env.domains.canonical import checked
from usersim_env.errors import UsageError
from usersim_env.messages import RESPOND, ToolCall, parse_action
from usersim_env.wrappers.base import AnyEnv, Step, TauWrapper, takes_calls, tau_env


class TurnBudget(TauWrapper):
    """Ends the episode when a seat has had its turns; tool calls are no turns.

    Description:
        The turn that uses a budget up is answered, then the episode ends by the same rule as at ``max_steps``:
        truncated, the survey is asked, scored 0.0 as in τ-bench, ``ended_by="limit"``. An agent that dawdles gets its
        0, rather than an episode that is left out. The trace's ``max_steps`` is then the step at which the limit fell.
        If the user side stops or the agent transfers in time, the episode ends by that.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        Unchanged.

    Info:
        Unchanged.

    Args:
        env: an env of this package whose actions are tool calls; belongs inside `ParseToolCalls` and `ChatAction`.
        agent: turns of the agent, at least 1; ``None`` for no limit.
        user: turns of the user side with its opening, at least 2; ``None`` for no limit.

    Raises:
        UsageError: no budget, one that is too small, or an env that takes no tool calls.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import TurnBudget
        >>> env = TurnBudget(gym.make("TauMock-agenda-v0"), agent=2)
        >>> _ = env.reset(seed=0)
        >>> hello = {"name": "respond", "arguments": {"content": "Hello!"}}
        >>> env.step(hello)[3], env.step(hello)[3], env.unwrapped.trace().ended_by
        (False, True, 'limit')
    """

    def __init__(self, env: AnyEnv, agent: int | None = None, user: int | None = None) -> None:
        for name, turns, least in (("agent", agent, 1), ("user", user, 2)):
            if turns is not None and (type(turns) is not int or turns < least):
                raise UsageError(f"TurnBudget: {name} is a whole number of at least {least}, got {turns!r}.")
        if agent is None and user is None:
            raise UsageError("TurnBudget needs agent=… or user=….")
        takes_calls(env, "TurnBudget")
        super().__init__(env, agent=agent, user=user)
        self._env = tau_env(env, "TurnBudget")
        self._agent, self._user = agent, user

    def step(self, action: Any) -> Step:
        """One action; if it uses a budget up, it is the last."""
        call = parse_action(action)  # raises before anything is changed
        conversation = self._env._conversation
        if conversation is not None and not conversation.over and _speaks(call):
            taken = conversation.effort()
            if (self._agent is not None and taken.agent_turns + 1 >= self._agent) or (
                self._user is not None and taken.user_turns + 1 >= self._user
            ):
                conversation.rules = replace(conversation.rules, max_steps=conversation.steps + 1)
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, info


def _speaks(call: ToolCall) -> bool:
    """Whether a call is a turn: the conversation answers a respond without words with an error."""
    if call.name != RESPOND:
        return False
    try:
        return isinstance(checked(call.arguments).get("content"), str)
    except Exception:  # a foreign object may raise anything when it is looked at
        return False
