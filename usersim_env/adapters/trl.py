"""TRL's `GRPOTrainer` (trl 1.16): `rollout_func`, `environment_factory` and the reward functions that go with them.

- `rollout_func`, our loop: the model writes calls and words as text, and every token that it did not write has 0 in
  ``env_mask``.
- `environment_factory`, TRL's loop: every tool is a typed method, and so is talking to the customer.

Not scored: the reward is ``None``, which TRL keeps out of the group's baseline and gives no advantage. In our loop the
row's mask is all 0 as well. A group with a single scored episode is left out like that, since it has no baseline.

Cannot express: in TRL's loop, the tokens of a left-out row still count in the loss's denominator, and words without a
call end the episode instead of reaching the customer. Our loop writes ChatML, generates with transformers (not vLLM)
and needs the episodes of a group in one process. Both are marked experimental by TRL.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from usersim_env.adapters.episode import ChatEpisode, EpisodeSettings, Turn, tally_of
from usersim_env.adapters.typed_tools import typed_method
from usersim_env.errors import UsageError
from usersim_env.feedback.groups import drop_invalid
from usersim_env.messages import RESPOND
from usersim_env.wrappers.text_observation import chatml

Rollout: TypeAlias = Callable[[list[str], Any], dict[str, Any]]

OVER = "The conversation is over. Write one last sentence without a tool call."
UNFINISHED = "unfinished"
LEFT = "The agent ended its turns, or ran out of tokens, before the episode was over."


@dataclass(frozen=True)
class Training:
    """What is trained on.

    Attributes:
        episode: what is played, and which signals are the reward (`EpisodeSettings.weights`).
        tasks: ids; ``None`` is the whole split.
        seeds: of the user side; one row of the data set per task and seed.
        turn_tokens: tokens that one turn of the agent may have (``rollout``).
        unfinished: reward of an episode that the agent itself left, or ran out of tokens in. ``None``: not scored, as
            everywhere in this package; a number also teaches a model that only ever leaves.
    """

    episode: EpisodeSettings = field(default_factory=EpisodeSettings)
    tasks: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    turn_tokens: int = 256
    unfinished: float | None = None


# -- the reward, and what is left out of it ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scored:
    index: int
    reward: float | None


def kept_rewards(keys: Sequence[Hashable], rewards: Sequence[float | None]) -> list[float | None]:
    """The rewards with ``None`` for every episode that is left out of the group baseline (see `drop_invalid`).

    Args:
        keys: what the episodes of a group share; a group's episodes stand side by side, as TRL lays them.
        rewards: ``None`` is an episode that is not scored.
    """
    rows = [_Scored(index, reward) for index, reward in enumerate(rewards)]
    groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: keys[row.index])]
    left = {row.index for group in drop_invalid(groups) for row in group}
    return [reward if index in left else None for index, reward in enumerate(rewards)]


# -- our loop: `rollout_func` ------------------------------------------------------------------------------------------


class _Row:
    """One episode as tokens: what the model wrote has mask 1, what came back has mask 0."""

    def __init__(self, episode: ChatEpisode, turn: Turn, tokenizer: Any, unfinished: float | None) -> None:
        self.episode, self.turn, self._tokenizer, self._unfinished = episode, turn, tokenizer, unfinished
        self.prompt_ids = self._ids(chatml(turn.messages, ()))
        self.completion_ids: list[int] = []
        self.mask: list[int] = []
        self.texts: list[str] = []

    def hear(self, ids: list[int], room: int) -> None:
        """The model's tokens of one turn become an action; the answer and one more turn must fit into ``room``."""
        self._add(ids, 1)
        # Special tokens stay, but for the last: those around a thought must be seen by whoever reads the words.
        written = ids[:-1] if ids[-1] == self._tokenizer.eos_token_id else ids
        self.texts.append(self._tokenizer.decode(written, skip_special_tokens=False))
        self.turn = self.episode.act(self.texts[-1])
        if self.turn.done:
            return
        end = "" if ids[-1] == self._tokenizer.eos_token_id else "<|im_end|>"
        back = self._ids(f"{end}\n{chatml(self.turn.messages, ())}")
        if len(self.completion_ids) + len(back) > room:
            self.turn = self.episode.fail(LEFT, UNFINISHED, self._unfinished)
        else:
            self._add(back, 0)

    def leave_out(self) -> None:
        """No token of this row counts; TRL wants at least one."""
        if not self.completion_ids:
            self._add([self._tokenizer.eos_token_id], 0)
        self.mask = [0] * len(self.mask)

    def _add(self, ids: list[int], mask: int) -> None:
        self.completion_ids += ids
        self.mask += [mask] * len(ids)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def rollout_func(training: Training) -> Rollout:
    """TRL's ``rollout_func``: plays one episode for each prompt ``task#seed``, all of a batch in step.

    Beside what TRL wants it returns ``env_mask``, ``episode_reward`` (``None``: left out), ``failure``, ``texts`` (what
    the model wrote, turn by turn) and ``messages``.
    """
    episodes: list[ChatEpisode] = []

    def play(prompts: list[str], trainer: Any) -> dict[str, Any]:
        tokenizer = trainer.processing_class
        room = trainer.args.max_completion_length - training.turn_tokens
        _speaks_chatml(tokenizer)
        if room < 1:
            raise UsageError(
                f"max_completion_length is of a whole episode and must hold more than "
                f"one turn of {training.turn_tokens} tokens, got {trainer.args.max_completion_length}."
            )
        while len(episodes) < len(prompts):
            episodes.append(ChatEpisode(training.episode))
        rows = [
            _Row(episode, episode.begin(*_parse(prompt)), tokenizer, training.unfinished)
            for prompt, episode in zip(prompts, episodes, strict=False)
        ]
        while running := [row for row in rows if not row.turn.done]:
            answers = _generate(trainer, [row.prompt_ids + row.completion_ids for row in running], training.turn_tokens)
            for row, ids in zip(running, answers, strict=True):
                row.hear(ids, room)
        rewards = kept_rewards(prompts, [row.turn.reward for row in rows])
        for row, reward in zip(rows, rewards, strict=True):
            if reward is None:
                row.leave_out()
        return _columns(rows, rewards)

    return play


def tally_callback(training: Training) -> Any:
    """A callback for TRL's trainer that adds to each log how many episodes have failed, and what they could hide.

    The numbers are those of `Tally.numbers`, as ``tau/failed``, ``tau/reward_low`` and so on.
    """
    from transformers import TrainerCallback

    class TallyCallback(TrainerCallback):  # type: ignore[misc]  # untyped where it is not installed
        """Writes into the log on its way."""

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **more: Any
        ) -> None:
            """Called with what is about to be logged."""
            if logs is not None:
                logs.update({f"tau/{name}": value for name, value in tally_of(training.episode).numbers().items()})

    return TallyCallback()


def episode_rewards(episode_reward: list[float | None], **more: Any) -> list[float | None]:
    """TRL's reward function for `rollout_func`."""
    return episode_reward


def _columns(rows: list[_Row], rewards: list[float | None]) -> dict[str, Any]:
    failures = [row.turn.failure for row in rows]
    return {
        "prompt_ids": [row.prompt_ids for row in rows],
        "completion_ids": [row.completion_ids for row in rows],
        "logprobs": None,
        "env_mask": [row.mask for row in rows],
        "episode_reward": rewards,
        "failure": [None if failure is None else f"{failure.side}:{failure.kind}" for failure in failures],
        "texts": [row.texts for row in rows],
        "messages": [row.episode.messages for row in rows],
    }


def _generate(trainer: Any, prompts: list[list[int]], limit: int) -> list[list[int]]:
    """One turn for each prompt with the trainer's own sampling; ends with the end-of-turn token, or without one."""
    import torch
    from trl.models.utils import unwrap_model_for_generation

    tokenizer, width = trainer.processing_class, max(map(len, prompts))
    padded = [[tokenizer.pad_token_id] * (width - len(ids)) + ids for ids in prompts]
    seen = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
    device, sampling = trainer.accelerator.device, copy.copy(trainer.generation_config)
    sampling.max_new_tokens = limit
    with torch.no_grad(), unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
        out = model.generate(
            input_ids=torch.tensor(padded, device=device),
            attention_mask=torch.tensor(seen, device=device),
            generation_config=sampling,
        )
    eos = tokenizer.eos_token_id
    answers: list[list[int]] = out[:, width:].tolist()
    return [ids[: ids.index(eos) + 1] if eos in ids else ids for ids in answers]


def _speaks_chatml(tokenizer: Any) -> None:
    ends = tokenizer.convert_tokens_to_ids("<|im_end|>")
    if ends != tokenizer.eos_token_id:
        raise UsageError(
            f"The model ends its turns with {tokenizer.eos_token!r}; rollout_func writes ChatML, which ends them with "
            "'<|im_end|>', as Qwen and SmolLM do. Take such a model, or environment_factory."
        )


def _parse(prompt: str) -> tuple[str, int]:
    task_id, _, seed = str(prompt).rpartition("#")
    if not task_id or not seed.isdecimal():
        raise UsageError(f"A prompt of rollout_func is task#seed, such as 'retail/train/3#0', got {prompt!r:.80}.")
    return task_id, int(seed)


# -- TRL's loop: `environment_factory` ---------------------------------------------------------------------------------


def environment_factory(training: Training) -> type:
    """TRL's ``environment_factory``: a class with ``reset``, a typed method for each tool, and ``respond``."""
    tools = ChatEpisode(training.episode, "call").tools
    methods = {tool["function"]["name"]: typed_method(tool["function"], _Environment._act) for tool in tools}
    methods[RESPOND] = typed_method(_TALK, _Environment._act)

    class TauEnvironment(_Environment):
        """One episode at a time."""

        def __init__(self) -> None:
            self._episode = ChatEpisode(training.episode, "call")
            self._turn, self._unfinished = Turn(()), training.unfinished

    for name, method in methods.items():
        setattr(TauEnvironment, name, method)
    return TauEnvironment


class _Environment:
    """What TRL resets, and what its tool methods end in. Only public functions of the class are tools."""

    _episode: ChatEpisode
    _turn: Turn
    _unfinished: float | None

    def reset(self, task_id: str, seed: int, **row: Any) -> str:
        """Starts the row's episode and returns the customer's first words."""
        self._turn = self._episode.begin(task_id, seed)
        return "\n".join(m["content"] for m in self._turn.messages if m["role"] == "user")

    def _act(self, name: str, arguments: dict[str, Any]) -> str:
        if self._turn.done:
            return OVER
        self._turn = self._episode.act({"name": name, "arguments": arguments})
        text = "\n".join(str(message["content"]) for message in self._turn.messages)
        return f"{text}\n{OVER}" if self._turn.done else text

    def _leave(self) -> Turn:
        if not self._turn.done:
            self._turn = self._episode.fail(LEFT, UNFINISHED, self._unfinished)
        return self._turn


def environment_rewards(training: Training) -> Callable[..., list[float | None]]:
    """TRL's reward function for `environment_factory`; an episode that is still open was left by the agent."""

    def environment_reward(
        environments: list[Any], task_id: list[str], seed: list[int], **more: Any
    ) -> list[float | None]:
        rewards = [environment._leave().reward for environment in environments]
        return kept_rewards(list(zip(task_id, seed, strict=True)), rewards)

    return environment_reward


_TALK = {
    "name": RESPOND,
    "description": "Says something to the customer and returns the customer's answer. The only way to be heard.",
    "parameters": {
        "properties": {"content": {"type": "string", "description": "The words."}},
        "required": ["content"],
    },
}
