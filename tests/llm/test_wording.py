"""The user side's prompt as τ-bench has it, and as a file of one's own."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest

from usersim_env.conversation.scene import Scene
from usersim_env.domains.user_prompt import HASHES, user_prompt
from usersim_env.errors import InstallError, UsageError
from usersim_env.messages import Message
from usersim_env.users.llm.spec import make_llm_user
from usersim_env.users.llm.user import LLMUser

SCENE = Scene("retail/test/0", "Return the $5 lamp.", (Message("user", "Hi."), Message("agent", "Which one?")))
MINE = "You are ${instruction}\n$persona\nEnd with $stop. It costs $$1."


def file(tmp_path: Path, text: str = MINE) -> Path:
    path = tmp_path / "mine.md"
    path.write_text(text, encoding="utf-8")
    return path


def shown(fake: Any, user: LLMUser, answer: str = "The red one.", said: str = "The red one.") -> list[dict[str, Any]]:
    asked = fake(answer)
    assert user.begin(SCENE).reply(SCENE).content == said
    messages: list[dict[str, Any]] = asked[-1]["messages"]
    return messages


def test_tau_benchs_own_prompt_is_shown_to_the_letter(fake: Any) -> None:
    messages = shown(fake, LLMUser("m", prompt="tau-bench"))
    assert messages[0] == {"role": "system", "content": user_prompt("Return the $5 lamp.")}
    assert [message["role"] for message in messages[1:]] == ["user", "assistant", "user"]
    assert "Instruction: Return the $5 lamp.\n" in messages[0]["content"]


@pytest.mark.parametrize(("react", "name"), [(False, "LLMUserSimulationEnv"), (True, "ReactUserSimulationEnv")])
def test_the_prompt_is_the_one_that_was_verified(react: bool, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashlib.sha256(user_prompt("$PROBE", react).encode()).hexdigest() == HASHES[name]
    monkeypatch.setitem(HASHES, name, "another")
    with pytest.raises(InstallError, match="is not τ-bench's"):
        user_prompt("x", react)


def test_of_a_thought_in_tau_benchs_form_nothing_is_said(fake: Any) -> None:
    user = LLMUser("m", strategy="react", prompt="tau-bench")
    messages = shown(fake, user, "Thought:\nI want the secret.\n\nUser Response:\nThe red one.")
    assert messages[0]["content"] == user_prompt("Return the $5 lamp.", react=True)


def test_a_template_of_ones_own(fake: Any, tmp_path: Path) -> None:
    path = file(tmp_path)
    user = LLMUser("m", persona="Be old.", prompt=path)
    assert shown(fake, user)[0]["content"] == "You are Return the $5 lamp.\nBe old.\nEnd with ###STOP###. It costs $1."
    described = user.describe()["prompt"]
    assert described == {"name": "mine.md", "sha256": hashlib.sha256(MINE.encode()).hexdigest()}
    path.write_text("Something else: $instruction $persona", encoding="utf-8")
    assert shown(fake, pickle.loads(pickle.dumps(user)))[0]["content"].startswith("You are Return"), "read once"
    assert LLMUser("m", persona="Be old.", prompt=path).describe()["prompt"] != described
    assert "prompt" not in LLMUser("m").describe()


def test_a_template_for_the_transcript(fake: Any, tmp_path: Path) -> None:
    user = LLMUser("m", adapter="transcript", prompt=file(tmp_path, "Play: $instruction\n\n$chat"))
    # There is no worked example whose facts might leave the model.
    (message,) = shown(fake, user, " The kettle.\nAgent: Fine.", "The kettle.")
    assert message["content"].startswith("Play: Return the $5 lamp.\n\nAgent: Hi! How can I help")
    assert message["content"].endswith("Agent: Which one?\nCustomer:")


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("Hello.", {}, r"mine\.md: the blank \$instruction is missing\."),
        ("$instruction $goal", {}, r"no blank is called \$goal\. There are \$instruction, \$persona, \$stop, \$chat"),
        ("$instruction\ncosts $5", {}, r"mine\.md, line 2: a dollar sign that begins no blank\. Write it as \$\$"),
        ("$instruction", {"persona": "x"}, r"\$persona is missing, and a persona or traits are given"),
        ("$instruction", {"traits": {"patience": "low"}}, r"\$persona is missing"),
        ("$instruction", {"adapter": "transcript"}, r"\$chat is missing, and the adapter is 'transcript'"),
        ("$instruction $chat", {}, r"\$chat goes with adapter='transcript'"),
    ],
)
def test_a_template_that_cannot_be_filled(text: str, settings: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        LLMUser("openai/x", prompt=file(tmp_path, text), **settings)


def test_prompts_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"or 'tau-bench'; .*nothing cannot be read: No such file"):
        LLMUser("openai/x", prompt=tmp_path / "nothing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is no text in UTF-8"):
        LLMUser("openai/x", prompt=tmp_path / "binary")
    with pytest.raises(UsageError, match=r"prompt='tau-bench' goes with adapter='chat'"):
        LLMUser("openai/x", prompt="tau-bench", adapter="transcript")
    with pytest.raises(UsageError, match="goes with every strategy but 'react'"):
        LLMUser("openai/x", prompt=file(tmp_path), adapter="transcript", strategy="react")
    with pytest.raises(UsageError, match="has no place for a persona or traits"):
        LLMUser("openai/x", prompt="tau-bench", persona="x")


def test_from_the_shell(tmp_path: Path) -> None:
    user = make_llm_user(f"llm:model=openai/x,prompt={file(tmp_path)}")
    assert user.wording is not None and user.wording.name == "mine.md"
