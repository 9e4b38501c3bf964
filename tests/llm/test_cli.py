"""The command line with a model behind a real HTTP server: episodes, bills of both seats, ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main
from usersim_env.gap.usi.files import read_surveys
from usersim_env.llm import Model, prices
from usersim_env.traces.file import read_traces

pytestmark = [
    pytest.mark.usefixtures("imported"),
    # litellm leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
STOP = 'say:"Thanks, bye! ###STOP###"'


def rollout(server: Any, out: Path, agent: str, *words: str) -> int:
    given = ["rollout", "--env", "TauMock-llm-v0", "--api-base", server.base, "--agent", agent, "--tasks", "0"]
    return main([*given, "--out", str(out), "--json", *words])


def test_a_model_in_both_seats(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.jsonl"
    # opening, a tool call, its answer, the customer's next turn, words of the agent, the customer's stop, the survey
    server.script = ["ok", "tool", 'say:"Shall I move it?"', "ok", 'say:"Done."', STOP]
    agent = f"tool_calling:model=openai/gpt-4o,api_base={server.base}"
    assert rollout(server, out, agent, "--model", "openai/nobody-knows") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["episodes"], figures["scored"], figures["failed"]) == (1, 1, {})
    (trace,) = read_traces(out)
    assert trace.ended_by == "user" and trace.survey is not None and len(trace.survey) == 8
    assert trace.effort.tool_calls == 1
    assert (trace.user.kind, trace.user.name) == ("llm", "openai/nobody-knows")
    assert trace.user.settings["api_base"] == server.base
    assert (trace.user.notes["calls"], trace.user.notes["prompt_tokens"]) == (4, 400)
    assert trace.user.notes["cost"] is None, "unknown, not 0"
    assert (trace.agent.notes["calls"], trace.agent.notes["completion_tokens"]) == (3, 30)
    assert trace.agent.notes["cost"] > 0, "litellm knows a price for this name"
    assert trace.provenance.cost is None, "one seat's cost is unknown, so the whole is"
    assert len(server.requests) == 7
    assert [bool(r.get("tools")) for r in server.requests] == [False, True, True, False, True, False, False]


def test_known_prices_add_up(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.jsonl"
    server.script = ["ok", 'say:"Done."', STOP]
    agent = f"tool_calling:model=openai/gpt-4o-mini,api_base={server.base}"
    assert rollout(server, out, agent, "--model", "openai/gpt-4o") == 0
    (trace,) = read_traces(out)
    assert trace.provenance.cost == pytest.approx(trace.user.notes["cost"] + trace.agent.notes["cost"])
    assert 0 < trace.agent.notes["cost"] < trace.user.notes["cost"]


def test_prices_of_the_table(server: Any) -> None:
    known = prices(Model("openai/gpt-4o-mini"))
    assert known is not None and 0 < known[0] < known[1] < 1e-3
    assert prices(Model("gpt-4o-mini")) == known
    assert prices(Model("openai/gpt-4o-mini", prices=(1.0, 2.0))) == (1.0, 2.0)
    for name in ("openai/local", "groq/gpt-4o-mini", "ollama/llama3"):
        assert prices(Model(name)) is None, name


def test_a_dry_run_asks_nothing(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.jsonl"
    assert rollout(server, out, "clerk", "--model", "openai/gpt-4o", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["seats"][0]["cost"] > 0
    assert server.requests == [] and not out.exists()


def test_api_base_goes_with_a_model(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rollout(server, tmp_path / "t.jsonl", "clerk") == 2
    assert "--api-base goes with --model" in capsys.readouterr().err


def test_rating_over_the_wire(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces, out = tmp_path / "t.jsonl", tmp_path / "surveys.json"
    assert main(["rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--out", str(traces)]) == 0
    capsys.readouterr()
    server.script = ["ok", "404"]
    words = ["rate", "--human", str(traces), "--user", "llm:openai/local", "--api-base", server.base]
    words += ["--out", str(out), "--yes", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert (figures["rated"], figures["failed"], figures["cost"]) == (3, {"refused_request": 1}, None)
    assert f"go to openai/local at {server.base}." in captured.err and "price unknown" in captured.err
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] == 3
    assert len(server.requests) == 5
    assert all(r["response_format"]["type"] == "json_schema" and "seed" in r for r in server.requests)
    (batch,) = read_surveys(out, "surveys").values()
    assert sorted(batch) == [f"mock_{i}" for i in range(4)]
    assert all(len(session.survey) == 8 for session in batch.values())
