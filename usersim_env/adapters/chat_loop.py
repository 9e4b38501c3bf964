"""An OpenAI-style `messages` loop: whatever turns messages and tools into an assistant message plays an episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from usersim_env.adapters.episode import Chat, ChatEpisode, EpisodeSettings, Turn

Complete: TypeAlias = Callable[[list[Chat], list[dict[str, Any]]], Any]
"""Of messages and tools (OpenAI function schemas): the assistant message, as a dict or a client library's object."""


@dataclass(frozen=True)
class Played:
    """A finished episode.

    Attributes:
        messages: the conversation, ready for a file of training examples.
        tools: what the agent could call.
        last: how it ended; ``last.reward`` is ``None`` for an episode that is not scored.
    """

    messages: list[Chat]
    tools: list[dict[str, Any]]
    last: Turn


def play(complete: Complete, settings: EpisodeSettings, task_id: str | None = None, seed: int | None = None) -> Played:
    """One episode of an OpenAI-compatible model.

    Marks an episode that is not scored by ``reward is None``: a failure of the user side, and an exception of
    ``complete`` or an answer that is no assistant message, which are failures of the agent.

    Cannot express: tokens. Whoever trains on the messages renders them again and must mask what is not ``assistant``.

    Args:
        complete: the model, for example ``lambda messages, tools: client.chat.completions.create(model=…,
            messages=messages, tools=tools).choices[0].message``.
        settings: what is played; ``format`` is not used.
        task_id: the task; drawn if ``None``.
        seed: of the draw and of the user side.

    Raises:
        UnknownName: no such task.

    Example:
        >>> from usersim_env.adapters import EpisodeSettings
        >>> from usersim_env.adapters.chat_loop import play
        >>> def silent(messages, tools):
        ...     return {"role": "assistant", "content": "One moment, please."}
        >>> played = play(silent, EpisodeSettings("TauMock-agenda-v0"), "mock/test/0", seed=0)
        >>> played.last.reward, played.messages[2]["role"]
        (0.0, 'assistant')
    """
    episode = ChatEpisode(settings, "message")
    try:
        turn = episode.begin(task_id, seed)
        while not turn.done:
            # Only what the agent does is the agent's failure: an error of the env or the disk is not caught.
            try:
                message = complete(episode.messages, episode.tools)
            except Exception as error:
                turn = episode.fail(error)
                break
            turn = episode.act_or_fail(message)
        return Played(episode.messages, episode.tools, turn)
    finally:
        episode.close()
