"""``usersim-env serve`` and ``study`` as they are typed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.study.people import request
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.cli import main
from usersim_env.commands.serve import load_agent, provider_of
from usersim_env.errors import UsageError
from usersim_env.llm import Completion, Request
from usersim_env.person.settings import ServerSettings

MODULE = """
async def serve_customer(messages, info):
    return {"name": "respond", "arguments": {"content": "Hello"}}

class Own:
    name, privileged = "own", False
    def begin(self, info, seed): ...
    def describe(self): return {}
"""


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[str, str]]:
    """The command in a process of its own; gives the two addresses."""
    command = [sys.executable, "-m", "usersim_env.cli", "serve", "--out", str(folder), "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        if not all(lines):
            raise AssertionError(process.stderr.read())
        try:
            yield lines[0].split()[-1], lines[1].split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) in ((0, ""), (130, "interrupted; finished episodes are on disk\n"))


def test_serve_and_serve_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--domain", "mock", "--tasks", "0", "--agent", "clerk")
    with serving(tmp_path / "study", *words) as (study, admin):
        assert request(study)[0] == 200
        token = re.sub(".*#token=", "", admin)
        assert request(study + "admin/api/overview", authorization=f"Bearer {token}")[1]["study"]["agent"] == "clerk"
        assert main(["serve", "--out", str(tmp_path / "study"), *words]) == 2
        assert "is being served already" in capsys.readouterr().err
    with serving(tmp_path / "study", *words) as (_, again):
        assert again.endswith(token)
    assert main(["study", "export", str(tmp_path / "study"), "--out", str(tmp_path / "x.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("0 traces")
    assert main(["study", "delete", str(tmp_path / "study"), "--participant", "nobody"]) == 2
    assert main(["study", "export", str(tmp_path), "--out", str(tmp_path / "y.jsonl")]) == 2
    assert "No study at" in capsys.readouterr().err


def test_an_address_of_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    words = ("--domain", "mock", "--tasks", "0", "--agent", "clerk", "--host", "::1")
    with serving(tmp_path / "study", *words) as (study, _):
        assert study.startswith("http://[::1]:")
        version = request(study + "welcome")[1]["version"]
        body = {"query": {}, "consent": True, "version": version}
        assert request(study + "join", body, origin=study.rstrip("/"))[0] == 200


def test_agents_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_agents.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    function = load_agent("my_agents:serve_customer")
    assert getattr(function, "__name__", "") == "serve_customer"
    assert getattr(load_agent("my_agents:Own"), "name", "") == "own"
    assert getattr(load_agent("clerk:ask_again=0"), "name", "") == "clerk"
    with pytest.raises(UsageError, match="has no class or function 'missing'"):
        load_agent("my_agents:missing")


def test_people_are_told_who_receives_their_words() -> None:
    assert provider_of("clerk:ask_again=0") == "nobody else"
    assert provider_of("tool_calling:model=openai/gpt-4o,temperature=0.5") == "openai (model gpt-4o)"
    for spec in ("my_agents:f", "tool_calling:model=openai/local,api_base=http://127.0.0.1:1/v1"):
        with pytest.raises(UsageError, match="People must be told who receives"):
            provider_of(spec)


def test_an_address_of_the_environment_is_no_provider_that_a_name_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://somebody.example/v1")
    with pytest.raises(UsageError, match="People must be told who receives"):
        provider_of("tool_calling:model=openai/gpt-4o")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "is open to others: say how they reach it"),
        (["--public-url", "study.example.org"], "public_url is the address that people type"),
        (["--port", "99999"], "port is a whole number from 0 (a free one) to 65535, got 99999"),
        (["--joins-per-minute", "0"], "joins_per_minute is a number above 0, got 0"),
        (["--joins-per-minute", "nan"], "joins_per_minute is a number above 0, got nan"),
        (["--tasks", "99"], "--tasks 99: mock test has the tasks"),
    ],
)
def test_what_will_not_do(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["serve", "--domain", "mock", "--agent", "clerk", "--out", str(tmp_path / "s"), "--port", "0"]
    assert main([*given, *words]) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_is_resumed_is_told_what_it_did_and_not_asked() -> None:
    asked: list[Request] = []

    def complete(request: Request) -> Completion:
        asked.append(request)
        return Completion("Done.")

    agent = ToolCalling("m", complete=complete)
    session = agent.begin({"policy": "Be kind.", "tools": []}, seed=0)
    call = {"name": "find_ticket", "arguments": {"email": "ada@mock.example"}}
    session.resume({"role": "user", "name": "user", "content": "Hi"}, call)
    words = {"name": "respond", "arguments": {"content": "Which day?"}}
    session.resume({"role": "tool", "name": "find_ticket", "content": "[]"}, words)
    assert asked == []
    session.act({"role": "user", "name": "user", "content": "Tuesday"})
    roles = [message["role"] for message in asked[0].messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert asked[0].messages[3]["tool_call_id"] == asked[0].messages[2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Study.Example.ORG:443/", "https://study.example.org"),
        ("https://study.example.org:8443", "https://study.example.org:8443"),
        ("http://study.example.org:80", "http://study.example.org"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_the_public_address_is_as_a_browser_writes_it(url: str, origin: str) -> None:
    assert ServerSettings(public_url=url).origin(8000) == origin


def test_a_folder_that_is_open_to_others_gets_files_that_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir(mode=0o755)
    with serving(folder, "--domain", "mock", "--tasks", "0", "--agent", "clerk"):
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
    assert "study.sqlite-wal" in modes and set(modes.values()) == {"0o600"}
