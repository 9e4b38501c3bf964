"""A real model that is made to think a secret, in the format of each reasoning model: what is left is never the secret.

SmolLM2 does not reason by itself. As servers do that force a thought, the prompt ends in the opening mark and the first
words of the thought; the model goes on; then comes the closing mark, and the model goes on again with its answer. What
the reader is given is what such a server hands on: with the opening mark, or, as it stood in the prompt, without it.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
import warnings
from typing import Any

import pytest

from tests.llm.reasoning_formats import READABLE, SECRET
from tests.llm.test_thoughts import READERS, REFUSED
from usersim_env.conversation.scene import Scene
from usersim_env.messages import Say
from usersim_env.users.llm import LLMUser

MARK = "\x02"
INSTRUCTION = f"You want your repair moved to Wednesday. {SECRET} Never say so."
NAMES = (
    "<think> … </think>",
    "<seed:think> … </seed:think>",
    "<|START_THINKING|> … <|END_THINKING|>",
    "[THINK] … [/THINK]",
    "◁think▷ … ◁/think▷",
    "Harmony",
    "Gemma",
    "Kimi K3",
    "Granite",
)
"""One format of each family; all of them with words of our own: test_thoughts.py."""


def go_on(address: str, prompt: str, seed: int) -> str:
    """A few tokens of the model's own, without what would end its turn."""
    body = {"prompt": prompt, "max_tokens": 12, "temperature": 0.8, "seed": seed, "cache_prompt": False}
    request = urllib.request.Request(
        f"{address}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.loads(answer.read())["choices"][0]["text"]).split("<|im_")[0]


def streamed(address: str, name: str, seed: int) -> list[tuple[str, str, str]]:
    """What the server hands on, the thought that the model went on with, and its answer; with opening and without."""
    before, after = READABLE[name](MARK).split(MARK)
    opening, closing = before.split(SECRET)
    chat = f"<|im_start|>user\nHow can I help you?<|im_end|>\n<|im_start|>assistant\n{opening}{SECRET}"
    thought = go_on(address, chat, seed)
    words = go_on(address, chat + thought + closing, seed + 1)
    text = f"{SECRET}{thought}{closing}{words}{after}"
    return [(opening + text, thought.strip(), words.strip()), (text, thought.strip(), words.strip())]


@pytest.fixture(scope="module")
def streams(llama: str) -> list[tuple[str, str, str]]:
    return [stream for seed, name in enumerate(NAMES) for stream in streamed(llama, name, seed)]


@pytest.mark.parametrize("reader", READERS)
def test_no_thought_of_a_real_model_is_heard(
    reader: str, streams: list[tuple[str, str, str]], record_property: Any
) -> None:
    _, read = READERS[reader]
    said = leaks = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text, thought, _ in streams:
            with contextlib.suppress(*REFUSED):
                heard = read(text)
                said += 1
                leaks += SECRET in heard or (len(thought) > 20 and thought in heard)
    record_property("thoughts", (f"{reader}, SmolLM2", len(streams), said, leaks))
    assert leaks == 0 and len(streams) == 2 * len(NAMES)


def test_a_customer_whose_model_thinks_says_its_words_alone(streams: list[tuple[str, str, str]], fake: Any) -> None:
    scene = Scene("mock/test/0", INSTRUCTION)
    heard = 0
    for text, _, words in streams:
        fake(*[text] * 3)
        with contextlib.suppress(*REFUSED):
            turn = LLMUser("m").begin(scene).open(scene)
            assert SECRET not in turn.content
            heard += isinstance(turn, Say) and turn.content in words
    assert heard > len(streams) / 3, "most of the model's own words are a customer's"
