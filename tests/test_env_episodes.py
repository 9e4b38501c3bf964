"""`TauEnv` through `gym.make`: steps and ends, failures, info, recording, rendering, closing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Failure, Feedback, Say, ScriptedUser, Stop, TauEnv, User, UserSession, read_traces
from usersim_env.agent import seat_of
from usersim_env.baselines.silent import Silent
from usersim_env.checking.held import held
from usersim_env.conversation.scene import Scene
from usersim_env.env.time_limit import UnscoredCut
from usersim_env.errors import Abandoned, InvalidAction, UnknownName, UsageError
from usersim_env.feedback.survey import Survey
from usersim_env.users.terminal import TerminalUser

HELLO = {"name": "respond", "arguments": {"content": "Hello!"}}
FIND = {"name": "find_ticket", "arguments": {"email": "ada@mock.example"}}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "wednesday", "note": "canary-4711-note"}}
NOTE_TASK = {"task_id": "mock/test/0"}
Act = Callable[[Scene], Say | Stop]


class FakeUser(User):
    """Calls a function for every turn and for closing; counts the closes."""

    kind = "scripted"

    def __init__(self, turn: Act, close: Callable[[], None] = lambda: None, notes: Any = None) -> None:
        self.turn, self.close, self.notes = turn, close, notes

    def begin(self, scene: Scene) -> UserSession:
        return FakeSession(self)


class FakeSession(UserSession):
    def __init__(self, user: FakeUser) -> None:
        self.user = user

    def open(self, scene: Scene) -> Say | Stop:
        return self.user.turn(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        return self.user.turn(scene)

    def notes(self) -> Any:
        return self.user.notes or {}

    def close(self) -> None:
        self.user.close()


def make(name: str = "TauMock-v0", **keywords: Any) -> gym.Env[Any, Any]:
    """An env of any id whose user side needs nobody."""
    if "human" in name:
        keywords.setdefault("user", TerminalUser(read=lambda prompt: "1", write=lambda text: None))
    elif "agenda" not in name:
        keywords.setdefault("user", ScriptedUser(("hi", "yes", "bye")))
    return gym.make(name, **keywords)


def core(env: gym.Env[Any, Any]) -> TauEnv:
    assert isinstance(env.unwrapped, TauEnv)
    return env.unwrapped


def run(env: gym.Env[Any, Any], seed: int | None = None, actions: int = 6, **options: Any) -> list[Any]:
    """Everything that an episode of greetings gives back."""
    seen: list[Any] = [env.reset(seed=seed, options=options)]
    for _ in range(actions):
        seen.append(env.step(HELLO))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


# -- steps and ends ----------------------------------------------------------------------------------------------------


def test_a_right_episode() -> None:
    env = make(user=ScriptedUser(("hi", Stop("Great, bye!")), answers={"reuse": "Yes"}))
    env.reset(options=NOTE_TASK)
    assert env.step(FIND)[1:4] == (0.0, False, False)
    observation, reward, terminated, truncated, info = env.step(MOVE)
    assert observation["role"] == "tool" and observation["name"] == "move_ticket"
    observation, reward, terminated, truncated, info = env.step(HELLO)
    assert observation == {"role": "user", "name": "user", "content": "Great, bye!"}
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert set(info) == {"valid", "feedback"}
    assert info["feedback"].checks == {"finished": True, "database": True}
    assert info["feedback"].signals == {"rule": 1.0, "survey.reuse": 0.75, "survey.mean": 0.75}
    assert pickle.loads(pickle.dumps(info["feedback"])) == info["feedback"]
    assert core(env).trace().feedback == info["feedback"]


def test_limit_is_truncated_with_a_survey_and_scored_zero() -> None:
    env = make(user=ScriptedUser(("hi",), answers={"reuse": "No"}), max_steps=2)
    env.reset(options=NOTE_TASK)
    env.step(MOVE)
    _, reward, terminated, truncated, info = env.step(FIND)
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, True, True)
    feedback: Feedback = info["feedback"]
    assert (feedback.reward, feedback.survey is not None) == (0.0, True)
    assert feedback.checks == {"finished": False, "database": True}
    assert core(env).trace().ended_by == "limit"


def test_transfer_terminates() -> None:
    env = make()
    env.reset()
    step = env.step({"name": "transfer_to_human_agents", "arguments": {"summary": "s"}})
    assert step[0]["content"] == "Transfer successful"
    assert step[2:4] == (True, False)
    assert core(env).trace().ended_by == "transfer"


@pytest.mark.parametrize(
    "action",
    [
        *(None, "respond", ("respond", {}), {}, {"name": "respond"}, {"name": 3, "arguments": {}}, {"arguments": {}}),
        *({"name": "respond", "arguments": "hi"}, {"name": "respond", "arguments": None}),
        *({"name": "respond", "arguments": []}, {"name": "respond", "arguments": 3}),
    ],
)
def test_invalid_action_changes_nothing(action: Any) -> None:
    env = make()
    env.reset()
    before = core(env).trace()
    with pytest.raises(InvalidAction, match=r"An action .*, got .*For example {\"name\": \"respond\""):
        core(env).step(action)
    after = core(env).trace()
    assert (after.events, after.effort) == (before.events, before.effort)
    assert env.step(HELLO)[0]["content"] == "yes"


@pytest.mark.parametrize("when", ["before reset", "after the end", "after a failure", "after close"])
def test_step_needs_a_running_episode(when: str) -> None:
    env = make(user=ScriptedUser(("hi",)))
    if when != "before reset":
        env.reset()
    if when == "after the end":
        env.step(HELLO)
    if when == "after a failure":
        core(env).fail(Failure("agent", "outage", "m"))
    if when == "after close":
        env.close()
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(HELLO)
    with pytest.raises(UsageError, match="no episode to fail"):
        core(env).fail(Failure("agent", "outage", "m"))


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        (ScriptedUser((Stop(),)), "stopped_at_open"),
        (ScriptedUser((RuntimeError("boom"),)), "error"),
        (ScriptedUser((Abandoned("left"),)), "abandoned"),
        (FakeUser(lambda scene: "words"), "bad_reply"),  # type: ignore[arg-type, return-value]
    ],
)
def test_failure_at_the_opening(user: User, kind: str) -> None:
    env = make(user=user)
    observation, info = env.reset()
    assert observation["content"] == ""
    assert (info["valid"], info["failure"].kind, info["failure"].side) == (False, kind, "user")
    observation, _, terminated, truncated, info = env.step(MOVE)
    assert (observation["content"], terminated, truncated, info["valid"]) == ("", False, True, False)
    assert (info["feedback"].reward, info["failure"].kind) == (None, kind)
    assert core(env).trace().reward is None
    assert len(core(env).trace().events) == 1, "the action did not reach the world"


@pytest.mark.parametrize("error", [ValueError("boom"), KeyError("x"), NotImplementedError(), Abandoned("left")])
def test_failure_in_the_middle_is_not_scored(error: Exception) -> None:
    env = make(user=ScriptedUser(("hi", error)))
    env.reset(options=NOTE_TASK)
    env.step(MOVE)
    observation, reward, terminated, truncated, info = env.step(HELLO)
    assert (observation["content"], reward, terminated, truncated) == ("", 0.0, False, True)
    assert set(info) == {"valid", "feedback", "failure"}
    assert info["valid"] is False and info["feedback"].reward is None
    assert info["failure"].kind == ("abandoned" if isinstance(error, Abandoned) else "error")


def test_failing_begin_is_a_failure_at_the_opening() -> None:
    class Broken(ScriptedUser):
        def begin(self, scene: Scene) -> UserSession:
            raise OSError("no such model")

    _, info = make(user=Broken()).reset()
    assert info["failure"] == Failure("user", "error", "OSError: no such model")


def test_failing_survey_keeps_the_reward() -> None:
    class Unsure(User):
        kind = "scripted"

        def begin(self, scene: Scene) -> UserSession:
            return UnsureSession()

    class UnsureSession(UserSession):
        def open(self, scene: Scene) -> Say | Stop:
            return Say("hi") if not scene.transcript else Stop()

        def reply(self, scene: Scene) -> Say | Stop:
            return self.open(scene)

        def fill_survey(self, scene: Scene) -> Survey:
            return Survey({"reuse": "no such label"})

    env = make(user=Unsure())
    env.reset(options=NOTE_TASK)
    env.step(MOVE)
    _, reward, terminated, _, info = env.step(HELLO)
    assert (reward, terminated, info["valid"], info["feedback"].survey) == (1.0, True, True, None)
    assert core(env).trace().events[-1]["event"] == "fail"


def test_outage_of_the_agent() -> None:
    env = make()
    env.reset()
    info = core(env).fail(Failure("agent", "outage", "no model"))
    assert (info["valid"], info["feedback"].reward, info["failure"].side) == (False, None, "agent")
    assert core(env).trace().failure == Failure("agent", "outage", "no model")


# -- what info may hold ------------------------------------------------------------------------------------------------


def test_info_holds_no_dicts_and_is_valid_everywhere() -> None:
    sides: list[User] = [ScriptedUser(("hi", "yes")), ScriptedUser(("hi", ValueError())), ScriptedUser((Stop(),))]
    for user in sides:
        seen = run(make(user=user), seed=0)
        for info in [seen[0][1], *(step[4] for step in seen[1:])]:
            assert type(info["valid"]) is bool
            assert not any(isinstance(value, dict) for value in info.values())
            assert set(info) <= {"task_id", "policy", "tools", "valid", "feedback", "failure"}


# -- recording, rendering, closing -------------------------------------------------------------------------------------


def test_record_keeps_every_episode(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "traces.jsonl"
    with pytest.warns(UserWarning, match="Say max_steps=… instead"):
        env = make(record=path, user=ScriptedUser(("hi", "yes")), max_episode_steps=3)
    run(env, seed=0)  # ends by the user side
    env.reset(seed=1)
    for _ in range(3):  # the caller's TimeLimit cuts it off
        *_, truncated, _ = env.step(FIND)
    assert truncated
    env.reset(seed=2)
    core(env).fail(Failure("agent", "outage", "m"))
    env.reset(seed=3)  # running when the env is closed
    env.close()
    traces = read_traces(path)
    assert [t.ended_by for t in traces] == ["user", "cut", "failure", "cut"]
    assert [t.valid for t in traces] == [True, False, False, False]
    assert [t.seed for t in traces] == [0, 1, 2, 3]
    assert traces[0].id == core(env).episode_id(traces[0].task_id, 0)


def test_the_longest_message_is_a_setting_that_traces_hold_and_ids_tell(tmp_path: Path) -> None:
    ids = {}
    for limit in (50_000, 20, None):
        env = make(user=ScriptedUser(("hi", "yes")), max_chars=limit, record=tmp_path / f"{limit}.jsonl")
        env.reset(seed=0)
        observation, *_ = env.step({"name": "respond", "arguments": {"content": "x" * 50_001}})
        refused = "a message has at most" in observation["content"]
        assert refused == (limit is not None)
        env.close()
        (trace,) = read_traces(tmp_path / f"{limit}.jsonl")
        assert trace.max_chars == limit and trace.rules.max_chars == limit
        ids[limit] = trace.id
    assert len(set(ids.values())) == 3


def test_an_episode_that_a_time_limit_cuts_off_is_not_valid() -> None:
    plain = gym.make("TauMock-agenda-v0")
    assert not isinstance(plain, UnscoredCut) and gym.make(plain.spec).unwrapped is not None  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="Say max_steps=… instead"):
        env = gym.make("TauMock-agenda-v0", max_episode_steps=2)
    again = gym.make(pickle.loads(pickle.dumps(env.spec)))
    with pytest.warns(UserWarning, match="max_steps"):
        several = gym.make_vec("TauMock-agenda-v0", 2, "sync", max_episode_steps=2)
    several.close()
    for limited in (env, again):
        limited.reset(seed=0)
        assert limited.step(FIND)[4]["valid"]
        _, _, terminated, truncated, info = limited.step(FIND)
        assert (terminated, truncated, info["valid"], "feedback" in info) == (False, True, False, False)
    own = gym.make("TauMock-agenda-v0", max_steps=2)
    own.reset(seed=0)
    own.step(FIND)
    *_, truncated, info = own.step(FIND)
    assert truncated and info["valid"] and info["feedback"].reward == 0.0


@pytest.mark.parametrize("notes", [{"a": float("nan")}, {1: {2}}, 5, {"b": (1, "x")}])
def test_bad_notes_do_not_cost_the_trace(tmp_path: Path, notes: Any) -> None:
    env = make(user=FakeUser(lambda scene: Say("hi"), notes=notes), record=tmp_path / "t.jsonl")
    env.reset()
    env.close()
    assert len(read_traces(tmp_path / "t.jsonl")) == 1


def test_session_is_closed_once_and_may_fail_at_that() -> None:
    closed: list[int] = []
    env = make(user=FakeUser(lambda scene: Stop() if scene.transcript else Say("hi"), lambda: closed.append(1)))
    run(env)
    run(env)
    env.reset()
    env.close()
    env.close()
    assert len(closed) == 3

    def broken() -> None:
        raise OSError("gone")

    env = make(user=FakeUser(lambda scene: Say("hi"), broken))
    env.reset()
    with pytest.warns(UserWarning, match="could not be closed. OSError: gone"):
        env.close()


def test_ctrl_c_in_the_user_side_closes_its_session() -> None:
    closed: list[int] = []

    def interrupted(scene: Scene) -> Say:
        if scene.transcript:
            raise KeyboardInterrupt
        return Say("hi")

    env = make(user=FakeUser(interrupted, lambda: closed.append(1)))
    env.reset()
    with pytest.raises(KeyboardInterrupt):
        env.step(HELLO)
    assert closed == [1]
    env.close()
    assert closed == [1]


def test_close_leaves_nothing_behind(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc/self/fd here")
    run(make("TauRetail-agenda-v0"))  # what is loaded once per process is loaded now
    before = held()
    for name in ("TauRetail-agenda-v0", "TauMock-human-v0"):
        env = make(name, record=tmp_path / "t.jsonl")
        env.reset()
        with (tmp_path / "t.jsonl").open("rb"):
            assert len(held().files) == len(before.files) + 1, "this test can fail"
        env.close()
        env.close()
    assert held() == before


def test_render_modes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["user: hi", 'agent calls nope({"a": 1})', "  -> Unknown action nope", "agent: Hello!", "user: \\ud800"]
    shown = {}
    for mode in (None, "ansi", "human"):
        env = make(user=ScriptedUser(("hi", "\ud800")), render_mode=mode)
        env.reset()
        env.step({"name": "nope", "arguments": {"a": 1}})
        env.step(HELLO)
        shown[mode] = core(env).render()
        assert capsys.readouterr().out.splitlines() == (lines if mode == "human" else [])
        env.close()
    assert shown == {None: None, "ansi": "\n".join(lines), "human": None}


def test_unknown_render_mode() -> None:
    with pytest.raises(UsageError, match="render_mode is 'ansi', 'human', 'rgb_array' or None, got 'video'"):
        TauEnv("mock", ScriptedUser(), render_mode="video")


def test_trace_needs_an_episode() -> None:
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        core(make()).trace()


def test_a_failure_that_quotes_the_instruction_is_withheld() -> None:
    class Quoting(ScriptedUser):
        def begin(self, scene: Scene) -> UserSession:
            raise RuntimeError(f"prompt was: {scene.instruction}")

    env = TauEnv("mock", Quoting())
    _, info = env.reset(seed=0)
    assert "withheld" in info["failure"].message
    assert "Your name is" not in str(info)


def test_a_first_reset_that_fails_leaves_a_good_env() -> None:
    env = make()
    with pytest.raises(UnknownName):
        env.reset(options={"task_id": "mock/test/99"})
    env.reset(seed=0)
    assert env.step(FIND)[4]["valid"]


def test_an_agent_is_named_with_its_settings() -> None:
    env = make(agent=Silent())
    env.reset(seed=0)
    assert core(env).trace().agent == seat_of(Silent())
    with pytest.raises(UsageError, match=r"got the class Silent \(make one of it\)"):
        make(agent=Silent)
