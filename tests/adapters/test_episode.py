"""`ChatEpisode`: what comes back, and what is not scored."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from usersim_env import ScriptedUser, read_traces
from usersim_env.adapters import (
    ChatEpisode,
    EpisodeSettings,
    FailedEpisodesWarning,
    episode,
    skyrl,
    tally_of,
    verifiers,
    verl,
)
from usersim_env.adapters import openenv as openenv_adapter
from usersim_env.adapters.chat_loop import play
from usersim_env.errors import InstallError, ModelError, NotScored, UnknownName

MOCK = EpisodeSettings("TauMock-agenda-v0")


def test_a_text_episode_holds_policy_tools_and_opening() -> None:
    started = ChatEpisode(MOCK)
    turn = started.begin("mock/test/0", 0)
    assert [m["role"] for m in turn.messages] == ["system", "user"] and not turn.done and turn.reward is None
    assert started.system == turn.messages[0]["content"] and '"find_ticket"' in started.system
    turn = started.act("One moment.")
    assert [m["role"] for m in turn.messages] == ["user"]
    assert started.messages[-2] == {"role": "assistant", "content": "One moment."}


@pytest.mark.parametrize(
    ("written", "how"), [("hermes", "<tool_call>"), ("react", "Action Input"), ("openai", "'tool_calls'")]
)
def test_the_system_message_says_how_a_call_is_written(written: Any, how: str) -> None:
    assert how in ChatEpisode(EpisodeSettings("TauMock-agenda-v0", format=written)).system.splitlines()[-1]


def test_the_text_of_a_turn_keeps_tool_results_apart() -> None:
    started = ChatEpisode(MOCK)
    started.begin("mock/test/0", 0)
    call = '{"name": "find_ticket", "arguments": {"email": "bo@mock.example"}}'
    text = started.act(f"<tool_call>{call}</tool_call>").text
    assert text.startswith("<tool_response>\n") and text.endswith("\n</tool_response>")


def test_an_outage_is_not_scored_and_no_number(outage: EpisodeSettings, dead: EpisodeSettings) -> None:
    started = ChatEpisode(outage)
    started.begin(seed=0)
    turn = started.act("Hello!")
    assert turn.done and turn.reward is None and turn.failure is not None and turn.failure.kind == "outage"
    with pytest.raises(NotScored, match=r"not scored \(user:outage\): The line is dead. It is no reward of 0"):
        turn.score()
    opening = ChatEpisode(dead).begin(seed=0)
    assert opening.done and opening.reward is None and opening.failure is not None


def test_a_missing_signal_is_not_scored() -> None:
    settings = EpisodeSettings("TauMock-v0", {"user": ScriptedUser(("Hello.",))}, {"survey.mean": 1.0})
    started = ChatEpisode(settings)
    started.begin("mock/test/0", 0)
    turn = started.act("Bye.")
    assert turn.done and turn.reward is None
    assert turn.failure is not None and "survey.mean" in turn.failure.message


def test_an_unfinished_episode_has_no_score() -> None:
    with pytest.raises(NotScored, match="not over"):
        ChatEpisode(MOCK).begin(seed=0).score()


def test_settings_are_read_from_a_config() -> None:
    assert EpisodeSettings.read({"env_id": "TauMock-v0", "name": "x"}, ("name",)) == EpisodeSettings("TauMock-v0")
    with pytest.raises(UnknownName, match=r"Unknown setting of an episode 'weight'\. Did you mean 'weights'\?"):
        EpisodeSettings.read({"weight": {}})


def test_the_loop_of_messages(tmp_path: Path) -> None:
    settings = MOCK.with_keywords(record=tmp_path / "a.jsonl", max_steps=2)
    played = play(lambda messages, tools: {"role": "assistant", "content": f"{len(tools)}"}, settings, "mock/test/0", 0)
    assert played.last.reward == 0.0 and [m["role"] for m in played.messages[:3]] == ["system", "user", "assistant"]
    assert [t.ended_by for t in read_traces(tmp_path / "a.jsonl")] == ["limit"]


def broken(messages: Any, tools: Any) -> Any:
    raise ModelError("No answer.", kind="timeout")


@pytest.mark.parametrize(("complete", "kind"), [(broken, "timeout"), (lambda m, t: "Hello!", "invalid_action")])
def test_the_loop_of_messages_marks_failures_of_the_agent(complete: Any, kind: str, tmp_path: Path) -> None:
    played = play(complete, MOCK.with_keywords(record=tmp_path / "a.jsonl"), seed=0)
    assert played.last.reward is None and played.last.failure is not None
    assert (played.last.failure.side, played.last.failure.kind) == ("agent", kind)
    assert [t.reward for t in read_traces(tmp_path / "a.jsonl")] == [None]


@pytest.mark.parametrize(
    ("module", "name", "library"),
    [
        (skyrl, "TauTextEnv", "skyrl_gym"),
        (verl, "TauInteraction", "verl"),
        (openenv_adapter, "TauEnvironment", "openenv"),
        (verifiers, "TauEnv", "verifiers"),
        (verifiers, "TauTaskset", "verifiers"),
    ],
)
def test_a_missing_library_is_named(module: Any, name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [key for key in sys.modules if key.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, library, None)
    fresh = importlib.util.spec_from_file_location("fresh", module.__file__)
    assert fresh is not None and fresh.loader is not None
    adapter = importlib.util.module_from_spec(fresh)
    fresh.loader.exec_module(adapter)
    with pytest.raises(InstallError, match=r"needs its library. Type: pip install '[a-z-]+==\d"):
        getattr(adapter, name)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        adapter.Nonsense  # noqa: B018


def test_the_examples_run() -> None:
    import doctest

    assert doctest.testmod(episode).failed == 0


def test_the_first_block_of_the_page_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (root / "docs" / "adapters.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, re.S)[0], {})
    assert capsys.readouterr().out.endswith("False None\n")


def failing(times: int, settings: EpisodeSettings) -> None:
    episode = ChatEpisode(settings)
    for _ in range(times):
        episode.begin("mock/test/0", 0)
        episode.fail(ModelError("No answer.", kind="timeout"))
    episode.close()


def test_what_failures_could_hide_is_counted_for_each_setting() -> None:
    settings = MOCK.with_keywords(max_steps=1)
    episode = ChatEpisode(settings)
    for _ in range(18):
        episode.begin("mock/test/0", 0)
        assert episode.act("Hello!").reward == 0.0
    failing(2, settings)
    counted = tally_of(settings)
    assert counted.failed == {"agent:timeout": 2}
    assert counted.numbers() == {"episodes": 20, "failed": 2, "reward": 0.0, "reward_low": 0.0, "reward_high": 0.1}
    with pytest.warns(FailedEpisodesWarning, match="3 of 21 episodes have failed and are not scored"):
        failing(1, settings)
    failing(5, settings)  # told once
    assert tally_of(MOCK).numbers() == {"episodes": 0, "failed": 0}
    mixed = EpisodeSettings("TauMock-agenda-v0", weights={"rule": 2.0, "survey.mean": -0.5})
    failing(1, mixed)
    assert tally_of(mixed).numbers() == {"episodes": 1, "failed": 1, "reward_low": -0.5, "reward_high": 2.0}


def test_failures_of_the_agent_can_be_a_reward_of_0(outage: EpisodeSettings) -> None:
    zero = dataclasses.replace(MOCK, agent_failures="zero")
    episode = ChatEpisode(zero)
    episode.begin("mock/test/0", 0)
    turn = episode.fail(ModelError("No answer.", kind="timeout"))
    assert turn.reward == turn.score() == 0.0 and turn.failure is not None and turn.failure.side == "agent"
    theirs = ChatEpisode(dataclasses.replace(outage, agent_failures="zero"))
    theirs.begin(seed=0)
    assert theirs.act("Hello!").reward is None, "the user side's is none of the agent's"
    with pytest.raises(UnknownName, match="Unknown agent_failures"):
        dataclasses.replace(MOCK, agent_failures="no")  # type: ignore[arg-type]


def test_the_bounds_hold_where_what_is_missing_is_made_up_for() -> None:
    settings = EpisodeSettings("TauMock-agenda-v0", {}, {"rule": 1.0, "survey.mean": -1.0}, "renormalise")
    failing(1, settings)
    assert tally_of(settings).numbers() == {"episodes": 1, "failed": 1, "reward_low": -2.0, "reward_high": 2.0}


def test_a_failure_is_never_worth_more_than_the_worst_episode() -> None:
    settings = EpisodeSettings("TauMock-agenda-v0", weights={"rule": 1.0, "survey.mean": -1.0}, agent_failures="zero")
    episode = ChatEpisode(settings)
    episode.begin("mock/test/0", 0)
    assert episode.fail("gone").reward == -1.0
