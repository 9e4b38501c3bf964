"""The user side as one writes it in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from usersim_env.cli import main
from usersim_env.errors import UnknownName, UsageError
from usersim_env.llm import Cassette, Model
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.spec import make_llm_user


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("llm:openai/gpt-4o-mini", LLMUser("openai/gpt-4o-mini")),
        ("llm:ollama/llama3:8b", LLMUser("ollama/llama3:8b")),
        ("llm:model=ollama/llama3:8b", LLMUser(Model("ollama/llama3:8b"))),
        (
            "llm:model=openai/x, strategy=verify, temperature=0.7, trait.patience=low, trait.length=short",
            LLMUser(Model("openai/x", temperature=0.7), "verify", traits={"patience": "low", "length": "short"}),
        ),
        (
            "llm:model=openai/x,api_base=http://127.0.0.1:1/v1,max_tokens=9,send_seed=no,persona=Old.,attempts=5",
            LLMUser(
                Model("openai/x", "http://127.0.0.1:1/v1", max_tokens=9, send_seed=False), persona="Old.", attempts=5
            ),
        ),
    ],
)  # fmt: skip
def test_what_a_text_means(spec: str, user: LLMUser) -> None:
    assert make_llm_user(spec) == user
    assert make_llm_user(spec).describe() == user.describe()


def test_a_cassette(tmp_path: Path) -> None:
    for more, mode in (("", "replay"), (",cassette_mode=record", "record")):
        model = make_llm_user(f"llm:model=openai/x,cassette={tmp_path}/c.jsonl{more}").model
        assert isinstance(model, Model) and model.cassette == Cassette(f"{tmp_path}/c.jsonl", mode)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("human", UsageError, r"A user side is written llm:MODEL, or llm:model=MODEL,setting=value"),
        ("llm:", UsageError, "A user side is written"),
        ("llm:strategy=verify", UsageError, "names no model: llm:model="),
        ("llm:model=x,temprature=1", UnknownName, "Unknown setting of the user side 'temprature'.*temperature"),
        ("llm:model=x,temperature=warm", UsageError, "temperature of the user side is a number, got 'warm'"),
        ("llm:model=x,send_seed=perhaps", UsageError, "send_seed of the user side is true or false"),
        ("llm:model=x,api_key=secret", UnknownName, "Unknown setting of the user side 'api_key'"),
        ("llm:model=x,verify", UsageError, "written setting=value, got 'verify'"),
        ("llm:model=x,strategy=verifiy", UnknownName, "Unknown strategy"),
        ("llm:model=x,trait.patients=low", UnknownName, "Unknown trait"),
    ],
)
def test_what_is_wrong_with_a_text(spec: str, error: type[UsageError], message: str) -> None:
    with pytest.raises(error, match=message):
        make_llm_user(spec)


def rollout_command(tmp_path: Path, *words: str) -> list[str]:
    common = ["--agent", "clerk", "--split", "train", "--tasks", "0", "--out", str(tmp_path / "t.jsonl"), "--dry-run"]
    return ["rollout", *common, *words]


def test_in_a_rollout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "llm:model=openai/gpt-4o-mini,strategy=verify"
    assert main(rollout_command(tmp_path, "--env", "TauMock-llm-v0", "--user", spec)) == 0
    assert "gpt-4o-mini" in capsys.readouterr().out
    for words, message in (
        (["--env", "TauMock-agenda-v0", "--user", spec], "--user goes with the llm ids"),
        (["--env", "TauMock-llm-v0", "--user", spec, "--model", "openai/x"], "--model and --user say the same thing"),
        (["--env", "TauMock-llm-v0", "--user", "llm:model=x,a=1"], "Unknown setting of the user side 'a'"),
    ):
        assert main(rollout_command(tmp_path, *words)) == 2
        assert message in capsys.readouterr().err
