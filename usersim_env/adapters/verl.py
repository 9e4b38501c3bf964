"""`TauInteraction`: a verl `BaseInteraction` (verl 0.7.1; 0.8 took the interface out).

In verl's interaction config: ``class_name: usersim_env.adapters.verl.TauInteraction`` and, under ``config``, the fields
of `EpisodeSettings`. `rows` makes the data set. verl takes the reward from a function of its own, so also set
``custom_reward_function.path`` to this file and ``.name`` to ``compute_score``.

Not scored: verl has no mark for one sequence, so `generate_response` raises `NotScored`, which ends the batch instead
of teaching an outage as 0.

Cannot express: who opens. verl's prompt is fixed before the episode begins, so the user side must open with the same
words again from its seed; one that does not (a model at a temperature, a person) is found out and raises. verl's own
parser takes ``<tool_call>`` away before an interaction sees it, so calls are written in the format ``react``. The
survey and the checks come only as the fourth value of `generate_response`, which verl drops. It never calls
`finalize_interaction` either: of the episodes that verl cut, the oldest are closed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import uuid4

from usersim_env.adapters.episode import Chat, ChatEpisode, EpisodeSettings, missing_library
from usersim_env.errors import NotScored, UsageError

OPEN_AT_MOST = 1024
"""Episodes of one interaction that are held open."""


def __getattr__(name: str) -> Any:
    if name == "TauInteraction":
        return _interaction()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def rows(config: Mapping[str, Any], task_ids: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of verl's data set: the prompt with policy, tools and opening, and what the interaction is started with.

    Args:
        config: the interaction's, with its ``name``.
        task_ids: one row per task and seed.
        seeds: of the user side.

    Raises:
        NotScored: the user side failed at an opening.
    """
    episode = ChatEpisode(_settings(config))
    found = []
    for task_id in task_ids:
        for seed in seeds:
            turn = episode.begin(task_id, seed)
            if turn.done:
                turn.score()
            started = {"name": config["name"], "task_id": task_id, "seed": seed}
            found.append({"prompt": list(turn.messages), "extra_info": {"interaction_kwargs": started}})
    episode.close()
    return found


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    unfinished: float | None = None,
) -> float:
    """The reward function for verl: the episode's reward, which the interaction left in ``turn_scores``.

    Args:
        data_source: not used, as ``solution_str`` and ``ground_truth``.
        solution_str: what the agent wrote.
        ground_truth: verl's column.
        extra_info: holds ``turn_scores``.
        unfinished: reward of a sequence that verl cut before the episode was over
            (``custom_reward_function.reward_kwargs``); there is none by default.

    Raises:
        NotScored: the sequence was cut and ``unfinished`` is not set.
    """
    scores = [float(score) for score in (extra_info or {}).get("turn_scores") or ()]
    if scores:
        return sum(scores)
    if unfinished is None:
        raise NotScored(
            "verl cut the sequence before the episode was over, so it has no reward. Allow longer responses, or set "
            "custom_reward_function.reward_kwargs.unfinished to the reward that such a sequence is to have."
        )
    return unfinished


@cache
def _interaction() -> type:
    try:
        from verl.interactions.base import BaseInteraction
    except ImportError:
        raise missing_library("verl", "verl==0.7.1") from None

    class TauInteraction(BaseInteraction):  # type: ignore[misc]  # untyped where it is not installed
        """The customer and the tools behind one interaction config.

        Args:
            config: ``name``, and fields of `EpisodeSettings`; ``format`` is ``react`` unless it is given.
        """

        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            self._settings = _settings(config)
            self._episodes: dict[str, ChatEpisode] = {}
            self._openings: dict[str, str] = {}

        async def start_interaction(
            self, instance_id: str | None = None, task_id: str | None = None, seed: int | None = None, **more: Any
        ) -> str:
            """Begins the episode of a row."""
            key = instance_id if instance_id is not None else str(uuid4())
            while len(self._episodes) >= OPEN_AT_MOST:
                await self.finalize_interaction(next(iter(self._episodes)))
            episode = ChatEpisode(self._settings)
            turn = await asyncio.to_thread(episode.begin, task_id, seed)
            if turn.done:
                turn.score()
            self._episodes[key], self._openings[key] = episode, turn.text
            return key

        async def generate_response(
            self, instance_id: str, messages: list[Chat], **more: Any
        ) -> tuple[bool, str, float | None, dict[str, Any]]:
            """The answer to the agent's last message: over, text, reward (``None`` before the end), feedback."""
            opening = self._openings.pop(instance_id, None)
            if opening is not None:
                _same_opening(opening, messages)
            turn = await asyncio.to_thread(self._episodes[instance_id].act, str(messages[-1]["content"]))
            if not turn.done:
                return False, turn.text, None, {}
            await self.finalize_interaction(instance_id)
            return True, turn.text, turn.score(), {"feedback": turn.feedback}

        async def finalize_interaction(self, instance_id: str, **more: Any) -> None:
            """Closes an episode; one that is closed already is left alone."""
            self._openings.pop(instance_id, None)
            if instance_id in self._episodes:
                self._episodes.pop(instance_id).close()

    return TauInteraction


def _settings(config: Mapping[str, Any]) -> EpisodeSettings:
    return EpisodeSettings.read({"format": "react", **config}, ("name",))


def _same_opening(opening: str, messages: list[Chat]) -> None:
    prompt = "\n".join(str(m["content"]) for m in messages[:-1])
    if prompt != opening:
        raise UsageError(
            f"The row's prompt ends with {prompt[-80:]!r}, but the episode opened with {opening[-80:]!r}. Make "
            "rows with usersim_env.adapters.verl.rows, the same config, and a user side that its seed repeats."
        )
