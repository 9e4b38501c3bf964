"""`TauTextEnv`: a SkyRL-Gym `BaseTextEnv` (skyrl-gym 0.4.0).

Register it in the training script, under the name that the data set's ``env_class`` column has::

    skyrl_gym.register("tau", entry_point="usersim_env.adapters.skyrl:TauTextEnv")

``env_config`` (or the row's ``extra_info``) holds the fields of `EpisodeSettings`; the row also ``task_id`` and
``seed``. The env opens: the row's own prompt is replaced by policy, tools and the customer's first words.

Not scored: SkyRL has no mark for one trajectory and its rewards are numbers, so `step` and `init` raise `NotScored`,
which ends the batch instead of teaching an outage as 0.

Cannot express: the survey and the checks inside the loop (they are in ``metadata["feedback"]`` of the last step);
native tool calls, so the model writes them as text; a discount or a reward per turn (all of it falls on the last).
An episode that SkyRL itself cuts at its token limit is not told to the env and counts as the 0.0 of its steps so far:
set ``generator.apply_overlong_filtering``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from usersim_env.adapters.episode import Chat, ChatEpisode, EpisodeSettings, missing_library

OWN = ("task_id", "seed", "max_turns")
"""Names beside the settings that a row or SkyRL puts into ``extras``."""


def __getattr__(name: str) -> Any:
    if name == "TauTextEnv":
        return _text_env()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _text_env() -> type:
    try:
        from skyrl_gym.envs.base_text_env import BaseTextEnv
    except ImportError:
        raise missing_library("skyrl", "skyrl-gym==0.4.0") from None

    class TauTextEnv(BaseTextEnv):  # type: ignore[misc]  # untyped where it is not installed
        """One episode; SkyRL makes an env for each.

        Args:
            env_config: fields of `EpisodeSettings`.
            extras: the row: more fields, ``task_id``, ``seed``; ``max_turns`` is SkyRL's and becomes ``max_steps``.
        """

        def __init__(self, env_config: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
            super().__init__()
            row = dict(extras.get("extra_info") or {})
            settings = EpisodeSettings.read({**env_config, **row}, OWN)
            if "max_turns" in extras:
                self.max_turns = int(extras["max_turns"])
                settings = settings.with_keywords(max_steps=self.max_turns)
            self._task_id, self._seed = row.get("task_id"), row.get("seed")
            self._episode = ChatEpisode(settings)
            self._metrics: dict[str, Any] = {}

        def init(self, prompt: list[Chat]) -> tuple[list[Chat], dict[str, Any]]:
            """Policy with tools and opening; ``prompt`` is left out."""
            turn = self._episode.begin(self._task_id, self._seed)
            if turn.done:
                turn.score()
            return list(turn.messages), {}

        def step(self, action: str) -> dict[str, Any]:
            """The text of one model turn; the reward is 0.0 until the end."""
            self.turns += 1
            turn = self._episode.act(action)
            reward = turn.score() if turn.done else 0.0
            metadata = {"feedback": turn.feedback} if turn.done else {}
            self._metrics = {"turns": self.turns, "reward": reward}
            messages = list(turn.messages)
            return {"observations": messages, "reward": reward, "done": turn.done, "metadata": metadata}

        def get_metrics(self) -> dict[str, Any]:
            """Turns and reward of the episode."""
            return self._metrics

        def close(self) -> None:
            """Frees the env."""
            self._episode.close()

    return TauTextEnv
