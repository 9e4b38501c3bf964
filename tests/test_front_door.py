"""What a script imports: the root's names, and the names that modules had before."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import usersim_env as ue
from usersim_env import moved

SHOWN = """
from usersim_env.behaviour import behaviour_features, features_of_turns, phrase_hits
from usersim_env.rollout import RolloutSettings, rollout, rollout_async, rollout_stream
from usersim_env.rollout.serial import rollout
from usersim_env.rate import rate
from usersim_env.rescore import rescore
from usersim_env.groups import drop_invalid
from usersim_env.survey import FIELDS, QUESTIONS, Survey
from usersim_env.scene import Scene
from usersim_env.rules import Rules
from usersim_env.trace import Seat, Terms, Trace
from usersim_env.trace_file import TraceWriter, read_traces
from usersim_env.estimate import estimate_rollout
from usersim_env.play import play_terminal
from usersim_env.raised import let_through
from usersim_env.conversation import Conversation, Outcome
from usersim_env.feedback import Effort, Failure, Feedback
from usersim_env.env import TauEnv
from usersim_env.gap import GapMonitor, MonitorSettings, compare
from usersim_env.gap.usi import user_sim_index
from usersim_env.llm import Cassette, Model, ModelSession, Request
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.llm import LLMUser
from usersim_env.adapters import ChatEpisode, EpisodeSettings
from usersim_env.baselines.clerk import Clerk
from usersim_env.checking import check_env, check_user
from usersim_env.multi_agent import UserPolicy, tau_v0
from usersim_env.wrappers import ChatHistory, FeedbackReward, SwapUser
"""
"""What README and docs have shown, in this version or the one before."""


@pytest.mark.parametrize("name", ue.__all__)
def test_every_name_of_the_root_is_there(name: str) -> None:
    assert getattr(ue, name) is not None and name in dir(ue)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'usersim_env' has no attribute 'rollouts_async'"):
        ue.rollouts_async  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("line", SHOWN.split("\n")[1:-1])
def test_what_was_shown_before_can_still_be_imported(line: str) -> None:
    old = any(line.startswith(f"from usersim_env.{name}") and line[17 + len(name)] in " ." for name in moved.MOVED)
    code = f"import warnings; warnings.simplefilter('always'); {line}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = f"{line.split()[1].split('.')[1]} is called usersim_env." in done.stderr
    assert told is old, done.stderr


def test_old_and_new_are_the_same_things() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for old, new in moved.MOVED.items():
            if old in ("rate", "play", "rollout", "estimate"):
                continue
            before, now = (importlib.import_module(f"usersim_env.{name}") for name in (old, new))
            public = [name for name in vars(now) if not name.startswith("_")]
            assert public and all(getattr(before, name) is getattr(now, name) for name in public)


def test_the_function_stays_when_the_old_module_is_imported() -> None:
    sys.modules.pop("usersim_env.rollout", None)
    with pytest.warns(DeprecationWarning, match=r"usersim_env\.rollout is called usersim_env\.rollouts now"):
        importlib.import_module("usersim_env.rollout")
    assert callable(ue.rollout) and ue.rollout.__name__ == "rollout"


def test_at_most_fourteen_files_stand_loose(root: Path) -> None:
    assert len(list((root / "usersim_env").glob("*.py"))) <= 14


def test_make_gives_the_env_itself() -> None:
    env = ue.make("TauMock-agenda-v0", persona="cooperative")
    observation, _ = env.reset(seed=0, options={"task_id": "mock/test/0"})
    assert isinstance(env, ue.TauEnv) and observation["role"] == "user"
    with pytest.raises(ue.errors.UsageError, match="the episode's own limit is max_steps"):
        ue.make("TauMock-agenda-v0", max_episode_steps=3)
    with pytest.raises(ue.errors.UsageError, match="CartPole-v1 is no env of this package"):
        ue.make("CartPole-v1")


def test_a_scripted_agent_says_its_lines() -> None:
    call = {"name": "find_ticket", "arguments": {"email": "bo@mock.example"}}
    agent = ue.ScriptedAgent(["Your e-mail?", call, "Done."])
    user = ue.ScriptedUser(("Hi.", "bo@mock.example", "Thanks.", ue.Stop()))
    settings = ue.RolloutSettings(["mock/test/0"], (0,), keywords={"user": user}, progress=False)
    (trace,) = ue.rollout(agent, "TauMock-v0", settings).traces
    assert [event["name"] for event in trace.events if event["event"] == "act"][:3] == [
        "respond",
        "find_ticket",
        "respond",
    ]
    assert trace.agent.settings == {"moves": ["Your e-mail?", call, "Done."]} and trace.agent.name == "scripted"
    wrong: list[Any] = [[], "Hello."]
    for nothing in wrong:
        with pytest.raises(ue.errors.UsageError, match="at least one move"):
            ue.ScriptedAgent(nothing)
