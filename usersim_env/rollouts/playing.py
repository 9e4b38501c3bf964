"""One episode of an agent, blocking or awaited; what the agent does wrong is its failure, never a 0."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib

import numpy as np

from usersim_env.agent import Agent, AgentSession, notes_of
from usersim_env.env.episode import Episode
from usersim_env.env.raised import agent_failure
from usersim_env.env.tau_env import TauEnv
from usersim_env.env.threads import Threads
from usersim_env.errors import InvalidAction
from usersim_env.feedback.values import Failure
from usersim_env.messages import parse_action
from usersim_env.traces.trace import Seat, Trace


def play(agent: Agent, env: TauEnv, task_id: str, seed: int) -> Trace:
    """One episode of an agent in an env."""
    observation, info = env.reset(seed=seed, options={"task_id": task_id})
    if not info["valid"]:
        env.step({"name": "respond", "arguments": {"content": ""}})
        return env.trace()
    session: AgentSession | None = None
    over = False
    while not over:
        # Only what the agent does is the agent's failure: an error of the env or the disk is not caught.
        try:
            if session is None:
                session = agent.begin(info, agent_seed(task_id, seed))
            action = session.act(observation)
        except Exception as error:
            env.fail(agent_failure(error))
            break
        try:
            observation, _, terminated, truncated, _ = env.step(action)
        except InvalidAction as error:
            env.fail(_bad_action(error))
            break
        over = terminated or truncated
    env.agent_seat = dataclasses.replace(env.agent_seat, notes=notes_of(session, agent.name))
    return env.trace()


async def aplay(agent: Agent, episode: Episode, seat: Seat, threads: Threads) -> Trace:
    """Async twin of `play`: one episode (of `TauEnv.episode`) from its opening to its trace.

    An agent's session with ``aact`` is awaited. Without it, ``act`` runs in one of ``threads`` if the agent says that
    it is ``blocking``, and is called at once otherwise; then another episode has its turn.

    Args:
        agent: takes the agent's seat.
        episode: nothing was said in it yet; it is closed at the end, also when this is cancelled.
        seat: what traces call the agent, of `seat_of`.
        threads: where blocking seats wait.
    """
    conversation, session = episode.conversation, None
    blocking = getattr(agent, "blocking", False)
    try:
        await episode.asettle(threads)
        while not conversation.over:
            try:
                if session is None:
                    info = episode.brief | {"valid": True}
                    session = agent.begin(info, agent_seed(conversation.task.id, conversation.seed))
                if (aact := getattr(session, "aact", None)) is not None:
                    action = await aact(episode.observation)
                else:
                    act, received = session.act, episode.observation
                    action = await threads.run(act, received) if blocking else act(received)
            except Exception as error:
                conversation.fail(agent_failure(error))
                break
            try:
                episode.act(parse_action(action))
            except InvalidAction as error:
                conversation.fail(_bad_action(error))
                break
            await episode.asettle(threads)
            await asyncio.sleep(0)
        return episode.trace(dataclasses.replace(seat, notes=notes_of(session, agent.name)))
    finally:
        episode.close()


def _bad_action(error: InvalidAction) -> Failure:
    return Failure("agent", "invalid_action", str(error))


def agent_seed(task_id: str, seed: int) -> int:
    """The seed that an agent gets: another one for every task, the same whatever the user side."""
    return int(np.random.SeedSequence((seed, zlib.crc32(task_id.encode()))).generate_state(1)[0])
