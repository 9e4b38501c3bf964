"""`TauTaskset` and `TauEnv`: a `verifiers` environment (verifiers 0.4.0, the v1 stack; Python 3.11 or newer).

verifiers finds an environment as a top-level module, so write one of two lines, for example ``tau_agents.py``, and run
it with ``--env.taskset.id tau_agents``::

    from usersim_env.adapters.verifiers import TauEnv, TauTaskset
    __all__ = ["TauEnv", "TauTaskset"]

The taskset's config has the fields of `EpisodeSettings`, ``task_ids`` and ``seeds``; the env's one seat is ``agent``.

Not scored: `run` raises `NotScored`, so ``episode.ok`` is false, the error stands on the episode, and the trace's
reward named ``episode`` is ``None``, which is verifiers' word for *scoring did not run*. Its sum ``trace.reward`` is
0.0 then, as for every failed rollout there: read ``ok`` first, as its own trainer does. An agent that stops before the
episode is over is marked in the same way.

Cannot express: native tool calls, since verifiers runs tools as servers of its own beside the conversation; the model
writes them as text, and their results come as turns of the user. The feedback is in ``trace.metrics`` (the signals)
without its texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any

from usersim_env.adapters.episode import ChatEpisode, EpisodeSettings, Turn, missing_library
from usersim_env.errors import NotScored

REWARD = "episode"
"""Name of the reward in verifiers' traces."""


def __getattr__(name: str) -> Any:
    if name == "TauTaskset":
        return _taskset()
    if name == "TauEnv":
        return _env()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _library() -> Any:
    try:
        import verifiers.v1
    except ImportError:
        raise missing_library("verifiers", "verifiers==0.4.0") from None
    return verifiers.v1


@cache
def _taskset() -> type:
    vf = _library()

    class TauData(vf.TaskData):  # type: ignore[name-defined, misc]
        """One episode: the task, the seed, and what is played."""

        task_id: str
        seed: int
        settings: dict[str, Any]

    class TauTask(vf.Task[TauData]):  # type: ignore[name-defined, misc]
        """Scored by the env, not by functions over the text."""

    class TauTasksetConfig(vf.TasksetConfig):  # type: ignore[name-defined, misc]
        """What is played, and on which tasks and seeds."""

        env_id: str = EpisodeSettings.env_id
        keywords: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
        weights: dict[str, float] | None = None
        missing: str = EpisodeSettings.missing
        format: str = EpisodeSettings.format
        agent_failures: str = EpisodeSettings.agent_failures
        task_ids: list[str] | None = None
        seeds: list[int] = [0]  # noqa: RUF012

    class TauTaskset(vf.Taskset[TauTask, TauTasksetConfig]):  # type: ignore[name-defined, misc]
        """One task per id and seed; without ``task_ids``, all of the env's split."""

        def load(self) -> Iterator[Any]:
            """The tasks; policy and tools are the system prompt, and the user opens."""
            names = ("env_id", "keywords", "weights", "missing", "format", "agent_failures")
            settings = {name: getattr(self.config, name) for name in names}
            episode = ChatEpisode(EpisodeSettings.read(settings))
            for task_id in self.config.task_ids or episode.task_ids:
                for seed in self.config.seeds:
                    data = {"id": f"{task_id}#{seed}", "task_id": task_id, "seed": seed, "settings": settings}
                    yield TauTask(TauData(prompt=None, system_prompt=episode.system, **data), self.config.task)
            episode.close()

    return TauTaskset


@cache
def _env() -> type:
    vf = _library()

    class TauEnvConfig(vf.EnvConfig):  # type: ignore[name-defined, misc]
        """One seat."""

        agent: vf.AgentConfig = vf.AgentConfig()  # type: ignore[name-defined]

    class TauEnv(vf.Env[TauEnvConfig]):  # type: ignore[name-defined, misc]
        """The customer speaks through our env, the agent through its interaction."""

        async def run(self, task: Any, agents: Any) -> None:
            """One episode.

            Raises:
                NotScored: it failed, or the agent left before it was over.
            """
            episode = ChatEpisode(EpisodeSettings.read(task.data.settings))
            try:
                async with agents.agent.interaction(task) as interaction:
                    interaction.trace.rewards[REWARD] = None
                    turn = await _converse(episode, interaction, task.data)
                interaction.trace.record_reward(REWARD, turn.score())
                if turn.feedback is not None:
                    interaction.trace.record_metrics(turn.feedback.signals)
            finally:
                await asyncio.to_thread(episode.close)

    return TauEnv


async def _converse(episode: ChatEpisode, interaction: Any, data: Any) -> Turn:
    """Turns of the two until the episode is over; raises `NotScored` inside the interaction, which then knows it."""
    turn = await asyncio.to_thread(episode.begin, data.task_id, data.seed)
    text = "\n".join(str(m["content"]) for m in turn.messages if m["role"] != "system")
    while not turn.done:
        segment = await interaction.turn(text)
        if segment.terminated:
            raise NotScored("verifiers ended the agent's turns before the episode was over, so it has no reward.")
        turn = await asyncio.to_thread(episode.act, segment.last_reply)
        text = turn.text
    turn.score()
    return turn
