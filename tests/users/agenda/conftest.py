"""A driver over the conversation machine, and a text-only agent, for the agenda user's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from usersim_env.agent import Agent
from usersim_env.conversation.machine import Conversation, Ended, SurveyTurn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.conversation.scene import Scene
from usersim_env.domains import World, get_domain, get_task
from usersim_env.messages import Message, Say, Stop, ToolCall
from usersim_env.users.base import User, UserSession

ROOT = str(Path(__file__).parents[3])
if ROOT not in sys.path:  # the tests import the commands that stand beside them
    sys.path.append(ROOT)

Play: TypeAlias = Callable[..., Conversation]
Talk: TypeAlias = Callable[..., list[Say | Stop]]


def _play(task_id: str, user: User, agent: Agent, seed: int = 0) -> Conversation:
    task = get_task(task_id)
    world = World(get_domain(task.domain))
    conversation = Conversation(task, world, Rules(max_steps=200), seed)
    session = user.begin(conversation.scene())
    acting = agent.begin({"task_id": task_id}, seed)
    observation: dict[str, str] = {}
    while not isinstance(turn := conversation.turn, Ended):
        if isinstance(turn, UserTurn):
            said = session.open(turn.scene) if turn.opening else session.reply(turn.scene)
            conversation.stop(said.content) if isinstance(said, Stop) else conversation.say(said.content)
            observation = {"role": "user", "name": "user", "content": said.content}
        elif isinstance(turn, SurveyTurn):
            conversation.survey(session.fill_survey(turn.scene))
        else:
            action: dict[str, Any] = acting.act(observation)
            result = conversation.act(ToolCall(action["name"], action["arguments"]))
            if result is not None:
                observation = {"role": "tool", "name": result.name, "content": result.content}
    return conversation


def _talk(
    user: User, instruction: str, agent: Sequence[str], seed: int = 0, session: UserSession | None = None
) -> list[Say | Stop]:
    scene = Scene("x/test/0", instruction, seed=seed)
    session = session or user.begin(scene)
    said = [session.open(scene)]
    messages: list[Message] = []
    for text in agent:
        if isinstance(said[-1], Stop):
            break
        messages += [Message("user", said[-1].content), Message("agent", text)]
        said.append(session.reply(scene._replace(transcript=tuple(messages), waited=1)))
    return said


@pytest.fixture(scope="session")
def play() -> Play:
    """``play(task_id, user, agent, seed=0)``: one whole episode."""
    return _play


@pytest.fixture(scope="session")
def talk() -> Talk:
    """``talk(user, instruction, agent_texts, seed=0)``: what the user side says to fixed texts."""
    return _talk
