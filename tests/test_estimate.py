"""What a rollout will cost: real prompts, assumed turns, unknown prices that stay unknown; and nothing runs."""

from __future__ import annotations

import importlib.util
import json
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from usersim_env.baselines import Clerk, ToolCalling
from usersim_env.cli import main
from usersim_env.domains import get_domain, get_task
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.importers import import_files
from usersim_env.llm import Model, prices
from usersim_env.messages import RESPOND
from usersim_env.rollouts import RolloutSettings, estimate, rollout
from usersim_env.rollouts.estimate import SeatEstimate, estimate_rollout, money, tokens
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.prompts import fill

MODEL = Model("openai/local", "http://127.0.0.1:9/v1", prices=(1e-6, 1e-5))
WITH_LITELLM = pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="litellm is not installed")
ALL = tuple(f"mock/test/{i}" for i in range(4))


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small table of prices in the place of litellm, which is not imported here."""
    rows = {
        "gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7},
        "x/free": {"litellm_provider": "x", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
        "x/half": {"litellm_provider": "x", "input_cost_per_token": 1e-6},
    }
    monkeypatch.setattr("usersim_env.llm.transport._litellm", lambda: SimpleNamespace(model_cost=rows))


def seats(agent: Any, env_id: str, tasks: tuple[str, ...] = ALL, **keywords: Any) -> dict[str, SeatEstimate]:
    found = estimate_rollout(agent, env_id, RolloutSettings(tasks, (0,), None, keywords, False))
    return {seat.seat: seat for seat in found.seats}


def user_seat(tasks: tuple[str, ...] = ALL, survey: bool = True, max_steps: int = 200, **settings: Any) -> SeatEstimate:
    user = LLMUser(MODEL, **settings)
    return seats(Clerk(), "TauMock-v0", tasks, user=user, survey=survey, max_steps=max_steps)["user"]


def test_the_constants_are_those_of_the_published_runs(shared: Path) -> None:
    traces = import_files([shared / "tau" / "gpt-4o-airline-trial0.json"]).traces
    turns, steps, turn_tokens, step_tokens, user_history, agent_history = [], [], [], [], 0.0, 0.0
    for trace in traces:
        talk, context, heard, acted = 0.0, 0.0, 0, 0
        for event in trace.events:
            if event["event"] in ("say", "stop"):
                user_history, heard = user_history + talk, heard + 1
                turn_tokens.append(size := tokens(event["content"]))
                talk, context = talk + size, context + size
            elif event["event"] == "act":
                spoken = event["name"] == RESPOND and "result" not in event
                agent_history, acted = agent_history + context, acted + 1
                size = tokens(event["arguments"]["content"] if spoken else event["name"] + _json(event["arguments"]))
                step_tokens.append(size)
                context += size + tokens(event.get("result", ""))
                talk += size if spoken else 0.0
        turns.append(heard)
        steps.append(acted)
    pairs = [statistics.mean(n * (n - 1) / 2 for n in counts) for counts in (turns, steps)]
    assert len(traces) == 50
    assert statistics.mean(turns) == pytest.approx(estimate.USER_TURNS, abs=0.05)
    assert statistics.mean(steps) == pytest.approx(estimate.AGENT_STEPS, abs=0.05)
    assert pairs == pytest.approx([estimate.TURN_PAIRS, estimate.STEP_PAIRS], abs=0.05)
    assert statistics.mean(turn_tokens) == pytest.approx(estimate.TURN_TOKENS, abs=0.5)
    assert statistics.mean(step_tokens) == pytest.approx(estimate.STEP_TOKENS, abs=0.5)
    assert user_history / 50 / pairs[0] == pytest.approx(estimate.TURN_GROWTH, abs=0.5)
    assert agent_history / 50 / pairs[1] == pytest.approx(estimate.STEP_GROWTH, abs=0.5)


def _json(value: object) -> str:
    return json.dumps(value)


def test_the_user_seat_is_counted_from_its_prompts() -> None:
    seat = user_seat(survey=False)
    assert seat.calls == round(4 * estimate.USER_TURNS)
    greeting = tokens("Hi! How can I help you today?")
    start = sum(tokens(fill("chat", instruction=get_task(t).instruction, persona="")) + greeting for t in ALL)
    grown = 4 * estimate.TURN_PAIRS * estimate.TURN_GROWTH
    assert seat.prompt_tokens == round(estimate.USER_TURNS * start + grown)
    assert seat.completion_tokens == round(4 * estimate.USER_TURNS * estimate.TURN_TOKENS)
    assert seat.cost == pytest.approx(seat.prompt_tokens * 1e-6 + seat.completion_tokens * 1e-5)


def test_a_survey_a_persona_and_strategies_cost_more() -> None:
    plain = user_seat(survey=False)
    with_form = user_seat()
    assert with_form.calls == plain.calls + 4
    form = sum(len(q.text) for q in QUESTIONS) / 4
    assert with_form.prompt_tokens > plain.prompt_tokens + 4 * form
    persona = "You are seventy. " * 10
    more = user_seat(survey=False, persona=persona).prompt_tokens - plain.prompt_tokens
    assert more == pytest.approx(4 * estimate.USER_TURNS * len(persona) / 4, rel=0.02)
    assert user_seat(survey=False, strategy="react").completion_tokens == 3 * plain.completion_tokens
    for strategy in ("verify", "reflection"):
        judged = user_seat(survey=False, strategy=strategy)
        assert judged.calls == pytest.approx(2 * plain.calls, abs=1) and judged.prompt_tokens > plain.prompt_tokens
    assert user_seat(survey=False, adapter="transcript").prompt_tokens != plain.prompt_tokens


def test_the_step_limit_shortens_an_episode() -> None:
    whole, half = user_seat(survey=False), user_seat(survey=False, max_steps=6)
    assert half.calls == round(4 * estimate.USER_TURNS * 6 / estimate.AGENT_STEPS)
    assert half.prompt_tokens < whole.prompt_tokens / 2, "the history grows with the square"
    assert user_seat(survey=False, max_steps=13) == whole


def test_both_seats_and_a_model_of_its_own_for_the_survey() -> None:
    agent = ToolCalling(Model("openai/dear", prices=(1e-3, 0.0)))
    user = LLMUser(MODEL, survey_model=Model("x/nobody-knows"))
    found = seats(agent, "TauMock-v0", ALL[:1], user=user)
    assert list(found) == ["user", "user's survey", "agent"]
    domain = get_domain("mock")
    start = len(domain.policy) / 4 + len(json.dumps(domain.schemas())) / 4
    expected = estimate.AGENT_STEPS * start + estimate.STEP_PAIRS * estimate.STEP_GROWTH
    assert found["agent"].prompt_tokens == round(expected)
    assert found["agent"].cost == pytest.approx(found["agent"].prompt_tokens * 1e-3)
    assert found["user's survey"].cost is None and found["user's survey"].calls == 1
    whole = estimate_rollout(agent, "TauMock-v0", RolloutSettings(ALL[:1], keywords={"user": user}))
    assert whole.cost is None, "one unknown price makes the sum unknown, not smaller"
    assert whole.as_text().endswith("together: price unknown")


def test_finished_episodes_are_not_counted_and_no_file_is_made(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "t.jsonl"
    agent = Clerk()
    settings = RolloutSettings(ALL, (0, 1), out, {}, False)
    assert (estimate_rollout(agent, "TauMock-agenda-v0", settings).episodes, out.parent.exists()) == (8, False)
    rollout(agent, "TauMock-agenda-v0", RolloutSettings(ALL[:3], (0,), out, {}, False))
    before = out.read_bytes()
    found = estimate_rollout(agent, "TauMock-agenda-v0", settings)
    assert (found.episodes, found.resumed, found.seats, found.cost) == (5, 3, (), 0)
    assert out.read_bytes() == before


@WITH_LITELLM
def test_prices_of_the_setting_of_the_table_and_unknown_ones() -> None:
    assert prices(MODEL) == (1e-6, 1e-5)
    assert prices(Model("x/any", prices=(0.0, 0.0))) == (0.0, 0.0), "said by the caller, so known"
    assert prices(Model("openai/gpt-4o-mini")) == prices(Model("gpt-4o-mini")) == (1.5e-7, 6e-7)
    for name in ("openai/local", "x/gpt-4o-mini", "x/free", "x/half", "nobody-knows"):
        assert prices(Model(name)) is None, name


@pytest.mark.parametrize(
    ("cost", "shown"),
    [(None, "price unknown"), (0.0, "about $0"), (0.000012345, "about $0.000012"), (0.0456, "about $0.046"),
     (1.5, "about $1.50"), (1234.567, "about $1,234.57")],
)  # fmt: skip
def test_money(cost: float | None, shown: str) -> None:
    assert money(cost) == shown


@WITH_LITELLM
def test_the_command_prints_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.jsonl"
    words = ["rollout", "--env", "TauMock-llm-v0", "--model", "openai/gpt-4o-mini", "--agent"]
    words += ["tool_calling:model=openai/nobody-knows", "--episodes", "2", "--out", str(out), "--dry-run"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 episodes to run, 0 are on disk; nothing was run"
    assert lines[1].startswith("user, openai/gpt-4o-mini: about 74 calls, about ") and "about $0.0" in lines[1]
    assert lines[2].startswith("agent, openai/nobody-knows: about 102 calls") and lines[2].endswith("price unknown")
    assert main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["episodes"], figures["resumed"], figures["cost"]) == (8, 0, None)
    assert [seat["seat"] for seat in figures["seats"]] == ["user", "agent"]
    assert figures["seats"][0]["cost"] > 0 and figures["seats"][1]["cost"] is None
    assert not list(tmp_path.iterdir())
    assert main(["rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("nothing was run\nno seat asks a model\n")
