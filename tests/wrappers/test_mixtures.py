"""`SwapUser` and `RecordTrace`: who is drawn, how often, and what the file says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.wrappers import TimeLimit

from usersim_env import ScriptedUser, read_traces
from usersim_env.traces.file import iter_traces
from usersim_env.traces.trace import Seat
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.replay import ReplayUser
from usersim_env.wrappers import FeedbackReward, RecordTrace, StepPenalty, SwapUser, make_vec

HELLO = {"name": "respond", "arguments": {"content": "Hello!"}}
USERS = (ScriptedUser(("one",)), AgendaUser(persona="humanlike"), AgendaUser(persona="cooperative"))


def made(**keywords: Any) -> gym.Env[Any, Any]:
    settings: dict[str, Any] = {"user": USERS[0]}
    return gym.make("TauMock-v0", **settings | keywords)


def who(seat: Seat) -> str:
    return str(seat.settings.get("persona", seat.kind))


def drawn(env: gym.Env[Any, Any], seeds: Any) -> list[str]:
    found = []
    for seed in seeds:
        env.reset(seed=seed)
        found.append(who(env.unwrapped.trace().user))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("seeds", [range(2000), [7, *[None] * 1999]], ids=["a seed each", "one seed"])
def test_the_shares_are_right(seeds: Any) -> None:
    counts = Counter(drawn(SwapUser(made(), USERS, [0.7, 0.1, 0.2]), seeds))
    for name, share in zip(("scripted", "humanlike", "cooperative"), (0.7, 0.1, 0.2), strict=True):
        assert abs(counts[name] - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5


def test_the_same_seed_draws_the_same() -> None:
    first, second = (drawn(SwapUser(made(), USERS), [3, *[None] * 30]) for _ in range(2))
    assert first == second and len(set(first)) == 3
    assert first != drawn(SwapUser(made(), USERS), [4, *[None] * 30])


def test_the_draw_leaves_the_episode_as_it_is() -> None:
    plain, mixed = made(), SwapUser(made(), USERS[:1])
    assert [mixed.reset(seed=s) for s in (5, None, None)] == [plain.reset(seed=s) for s in (5, None, None)]


def test_a_weight_of_zero_is_never_drawn_and_weights_need_not_sum_to_one() -> None:
    assert set(drawn(SwapUser(made(), USERS, [0, 3, 1]), range(200))) == {"humanlike", "cooperative"}


def test_the_trace_names_who_was_drawn_recordings_too(tmp_path: Path) -> None:
    env = made(record=tmp_path / "first.jsonl", tasks=["mock/test/1"], max_steps=2)
    env.reset(seed=0)
    env.step(HELLO)
    env.close()
    replay = ReplayUser(tuple(read_traces(tmp_path / "first.jsonl")))
    mixed = SwapUser(
        made(tasks=replay.task_ids, record=tmp_path / "mixed.jsonl", max_steps=1), [USERS[1], replay], [0.8, 0.2]
    )
    for seed in range(200):
        mixed.reset(seed=seed)
        mixed.step(HELLO)
    mixed.close()
    kinds = Counter(trace.user.kind for trace in iter_traces(tmp_path / "mixed.jsonl"))
    assert set(kinds) == {"agenda", "replay"} and abs(kinds["replay"] - 40) < 23
    with pytest.raises(ValueError, match=r"cannot play mock/test/0\. Make the env with tasks=\[…\]"):
        SwapUser(made(), [USERS[1], replay])


def test_an_option_goes_before_the_draw() -> None:
    env = SwapUser(made(), USERS[1:])
    assert env.reset(seed=0, options={"user": USERS[0]})[0]["content"] == "one"


def test_the_agent_is_not_told() -> None:
    info = SwapUser(made(), USERS).reset(seed=0)[1]
    assert "humanlike" not in str(info) and "agenda" not in str(info)


@pytest.mark.parametrize(
    ("users", "weights", "message"),
    [
        ((), None, "at least one user side"),
        (("agenda",), None, "User objects, got str"),
        (USERS, [1.0], "weights are 3 finite numbers of at least 0"),
        (USERS, [1.0, -1.0, 1.0], "weights are 3 finite numbers"),
        (USERS, [1.0, float("nan"), 1.0], "weights are 3 finite numbers"),
        (USERS, [0, 0, 0], "at least one is above 0"),
    ],
)
def test_wrong_mixtures(users: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwapUser(made(), users, weights)


def test_a_trace_says_what_the_wrappers_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "traces.jsonl"
    user = ScriptedUser(("a", "b", "c"), answers={"task_success": "Fully - Exceeded expectations"})
    base = StepPenalty(made(max_steps=2, user=user), 0.25)
    env = RecordTrace(FeedbackReward(base, {"rule": 1.0, "survey.task_success": 2.0}), path)
    assert not path.exists()
    for _ in range(2):
        env.reset(seed=0)
        env.step(HELLO)
        env.step(HELLO)
    env.close()
    env.close()
    traces = list(iter_traces(path))
    assert len(traces) == 2
    notes = traces[0].agent.notes
    assert notes["wrappers"][-2:] == ["StepPenalty", "FeedbackReward"]
    assert notes["objective"] == "(1*rule + 2*survey.task_success) - 0.25 per step"
    assert notes["return"] == pytest.approx(2.0 - 0.5) and traces[0].reward == 0.0


def test_an_episode_that_is_invalid_here_has_no_return(tmp_path: Path) -> None:
    env = RecordTrace(
        FeedbackReward(made(max_steps=1, tasks=["mock/test/0"]), {"survey.reuse": 1.0}), tmp_path / "t.jsonl"
    )
    env.reset(seed=0)
    assert not env.step(HELLO)[4]["valid"]
    env.close()
    (trace,) = iter_traces(tmp_path / "t.jsonl")
    assert trace.agent.notes["return"] is None and trace.reward == 0.0


def test_what_is_broken_off_is_cut_and_not_scored(tmp_path: Path) -> None:
    talker = ScriptedUser(("hm",), repeat=True)
    env = RecordTrace(TimeLimit(made(user=talker), 2), tmp_path / "t.jsonl")
    env.reset(seed=0)
    env.step(HELLO)
    env.step(HELLO)  # cut by TimeLimit
    env.reset(seed=1)
    env.step(HELLO)
    with pytest.raises(ValueError, match="Unknown task"):
        env.reset(options={"task_id": "mock/test/99"})
    env.reset(seed=2)  # cut by reset, and not by the one that was refused
    env.close()  # cut by close
    traces = list(iter_traces(tmp_path / "t.jsonl"))
    assert [(t.seed, t.ended_by, t.reward, t.agent.notes["return"]) for t in traces] == [
        (seed, "cut", None, None) for seed in range(3)
    ]


def test_a_failure_is_written_as_one(tmp_path: Path) -> None:
    env = RecordTrace(made(user=ScriptedUser(("a", OSError("gone")))), tmp_path / "t.jsonl")
    env.reset(seed=0)
    env.step(HELLO)
    env.close()
    (trace,) = iter_traces(tmp_path / "t.jsonl")
    assert trace.ended_by == "failure" and trace.reward is None and trace.agent.notes["return"] is None


def test_eight_processes_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    envs = make_vec("TauMock-v0", 8, "async", [lambda env: RecordTrace(env, path)], user=USERS[0], max_steps=1)
    envs.reset(seed=0)
    envs.step((HELLO,) * 8)
    envs.close()
    assert sorted(trace.seed for trace in iter_traces(path)) == list(range(8))
