"""What somebody meets who has read the README only: each mistake says what came, what was expected and what to type."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import usersim_env as ue
from usersim_env.baselines import Clerk
from usersim_env.checking import check_user
from usersim_env.cli import main
from usersim_env.errors import UsersimError
from usersim_env.gap.monitor_tasks import MonitorWarning
from usersim_env.multi_agent import tau_v0
from usersim_env.wrappers import FeedbackReward, RecordTrace

MOCK = ["mock/test/0", "mock/test/1"]


def made() -> gym.Env[Any, Any]:
    return gym.make("TauMock-agenda-v0")


def monitor() -> ue.GapMonitor:
    with pytest.warns(MonitorWarning, match="no alarm can come"):
        return ue.GapMonitor(made, made, MOCK)


class Misnamed(ue.User):
    kind = "scripted"

    def begin(self, scene: ue.Scene) -> ue.UserSession:
        return MisnamedSession()


class MisnamedSession(ue.UserSession):
    def open(self, scene: ue.Scene) -> ue.Say | ue.Stop:
        return ue.Say("Hi.")

    def reply(self, scene: ue.Scene) -> ue.Say | ue.Stop:
        return ue.Stop()

    def survey(self, scene: ue.Scene) -> None:
        return None


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "an env for a monitor": (
        lambda: ue.GapMonitor(made(), made, MOCK),  # type: ignore[arg-type]
        "make_sim is a function that makes an env, got OrderEnforcing; for example lambda: gym.make(",
    ),
    "a function for an agent": (
        lambda: monitor().maybe_look(0, lambda seen: seen),  # type: ignore[arg-type]
        "An agent is an object with name (a str), privileged (a bool), begin(info, seed)",
    ),
    "a signal": (lambda: ue.MonitorSettings(signal="survey.foo"), "Unknown signal 'survey.foo'. Did you mean 'survey."),
    "rewards": (lambda: tau_v0.env("mock", rewards="rule"), "rewards is a function of an Outcome to a reward by seat"),
    "a temperature": (
        lambda: ue.Model("openai/x", temperature="hot"),  # type: ignore[arg-type]
        "temperature is a number, or None, got 'hot'",
    ),
    "a model's name": (
        lambda: ue.Model("local", api_base="http://127.0.0.1:1/v1"),
        "'openai/local' for any OpenAI-compatible server or 'hosted_vllm/local'; got 'local'",
    ),
    "a setting of the model": (
        lambda: gym.make("TauMock-llm-v0", model="openai/x", api_base="http://127.0.0.1"),
        "api_base is a setting of Model: gym.make(…, model=Model('openai/NAME', api_base=…))",
    ),
    "a setting of the LLM user": (
        lambda: gym.make("TauMock-llm-v0", model="openai/x", strategy="verify"),
        "strategy is a setting of LLMUser: gym.make(…, user=LLMUser('openai/NAME', strategy=…))",
    ),
    "a task's number": (
        lambda: made().reset(options={"task_id": 3}),
        "Unknown task 3. Did you mean 'mock/test/3'?",
    ),
    "a signal that nobody asks for": (
        lambda: FeedbackReward(gym.make("TauMock-agenda-v0", survey=False), {"survey.mean": 1.0}),
        "The weights name survey.mean, but the env asks for no survey (survey=False).",
    ),
    "a survey under another name": (
        lambda: check_user(Misnamed()),
        "a method survey(scene): got never called, expected fill_survey(scene)",
    ),
    "two records in one file": (
        lambda: RecordTrace(gym.make("TauMock-agenda-v0", record="d.jsonl"), "d.jsonl"),
        "The env records into d.jsonl already: leave out record=",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_what_was_meant(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mistake, message = MISTAKES[name]
    with pytest.raises((UsersimError, AssertionError)) as told:
        mistake()
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("rolout", "invalid choice: 'rolout'. Did you mean rollout?"),
        (
            "rollout --env x --agent clerk --out y --seeds 2",
            "unrecognized arguments: --seeds 2. Did you mean --seed by --seeds?",
        ),
        ("gap --simm x --reference y", "Did you mean --sim by --simm?"),
    ],
)
def test_commands_and_flags(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(typed.split())
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("script", ["compare_rewards", "best_of_n"])
def test_scripts_print_no_traceback(script: str, root: Path) -> None:
    typed = [sys.executable, "-m", f"usersim_env.baselines.{script}", "--traces", "runs/nofile.jsonl"]
    done = subprocess.run(typed, capture_output=True, text=True, cwd=root)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{script}: No file of traces at runs/nofile.jsonl. Make one with: " in done.stderr


def test_results_are_short_and_tables_in_a_notebook() -> None:
    settings = ue.RolloutSettings(seeds=(0,), progress=False)
    sim = ue.rollout(Clerk(), "TauMock-agenda-v0", settings)
    other = ue.rollout(Clerk(), "TauMock-agenda-v0", ue.RolloutSettings(seeds=(1,), progress=False))
    trace = sim.traces[0]
    assert repr(trace).startswith(f"<Trace {trace.id} of mock/test/0: agenda user side, agent clerk, seed 0, ")
    assert len(repr(trace)) < 300
    found = ue.compare(sim.traces, other.traces, ue.GapSettings(replicates=100))
    assert len(repr(found)) < 200
    assert "<td>rule</td>" in found._repr_html_() and "<td>episodes</td><td>4</td>" in sim._repr_html_()


def test_the_two_seats_without_arguments() -> None:
    env = tau_v0.env()
    env.reset(seed=0)
    assert env.agents == ["agent_0", "user_0"] or set(env.agents) == {"agent_0", "user_0"}
