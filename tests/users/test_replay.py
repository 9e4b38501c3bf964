"""`ReplayUser` in a live episode: what it plays, when it gives up and how, and what it refuses to play."""

from __future__ import annotations

import asyncio
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from usersim_env import ScriptedUser, Stop, TauEnv, Trace, TraceWriter, User, UserSession, read_traces
from usersim_env.conversation.machine import Conversation
from usersim_env.conversation.scene import Scene
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import TermsError, TraceError, UnknownName, UsageError
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Say, ToolCall
from usersim_env.traces.file import parse
from usersim_env.traces.recorded_task import task_of, task_to_json
from usersim_env.traces.trace import Terms
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.recorded.divergence import DivergenceSettings
from usersim_env.users.recorded.sources import load_traces
from usersim_env.users.replay import ReplayUser

TASK = "mock/test/0"
ID = "TauMock-replay-v0"
FIND = {"name": "find_ticket", "arguments": {"email": "ada@mock.example"}}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "wednesday", "note": "canary-4711-note"}}
WRONG = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "friday"}}
TRANSFER = {"name": "transfer_to_human_agents", "arguments": {"summary": "asks for a person"}}
SURVEY = {"overall_score": "4 (Good)", "reuse": "Yes"}
Action = Mapping[str, Any]


def say(text: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": text}}


ASK, OFFER, CLOSE = say("What is your e-mail?"), say("Shall I move it to wednesday?"), say("It is done. Anything else?")
SCRIPT = [ASK, FIND, OFFER, MOVE, CLOSE]
LINES = ("I want to move my repair.", "ada@mock.example", "Yes, please.", Stop("No, thank you."))


def act(env: gym.Env[Any, Any], script: list[Any], **reset: Any) -> Trace:
    """Plays a script until the episode or the script is over."""
    core = env.unwrapped
    assert isinstance(core, TauEnv)
    env.reset(**{"seed": 0, "options": {"task_id": TASK}, **reset})
    for action in script:
        _, reward, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            assert reward == (info["feedback"].reward or 0.0)
            break
    return core.trace()


def record(lines: tuple[Any, ...] = LINES, script: list[Any] = SCRIPT, task: str = TASK, **keywords: Any) -> Trace:
    user = ScriptedUser(lines, answers=SURVEY)
    env = gym.make("TauMock-v0", user=user, **keywords)
    return act(env, script, options={"task_id": task})


def play(script: list[Any], traces: Any = None, **keywords: Any) -> Trace:
    return act(gym.make(ID, traces=[record()] if traces is None else traces, **keywords), script)


@dataclass(frozen=True)
class Spy(User):
    """Takes over: remembers its scenes, says one thing, then stops."""

    kind: ClassVar[str] = "scripted"
    blocking: ClassVar[bool] = True
    scenes: list[Scene]

    def begin(self, scene: Scene) -> UserSession:
        self.scenes.append(scene)
        return _SpySession(self.scenes)


class _SpySession(UserSession):
    def __init__(self, scenes: list[Scene]) -> None:
        self.scenes = scenes
        self.lines: Iterator[Say | Stop] = iter([Say("Somebody else here."), Stop("Bye.")])

    def open(self, scene: Scene) -> Say | Stop:
        raise AssertionError("the recording opens")

    def reply(self, scene: Scene) -> Say | Stop:
        self.scenes.append(scene)
        return next(self.lines)

    def fill_survey(self, scene: Scene) -> Survey | None:
        self.scenes.append(scene)
        return Survey({"reuse": "No"})


# -- followed --------------------------------------------------------------------------------------------------------


def test_the_recorded_agents_own_moves_give_divergence_0_and_the_recorded_end() -> None:
    recorded, again = record(), play(SCRIPT)
    assert recorded.reward == 1.0
    assert (again.reward, again.ended_by, again.messages) == (1.0, "user", recorded.messages)
    followed = again.recording
    assert followed is not None and followed == again.feedback.recording
    assert followed.divergence == (0.0, 0.0, 0.0, 0.0)
    assert (followed.turns, followed.used, followed.left_at, followed.used_up) == (4, 4, None, False)
    assert followed.followed
    assert (followed.survey, again.survey) == ("counted", SURVEY)
    assert again.user.kind == "replay" and not again.human
    assert again.user.settings["source_kind"] == again.user.notes["source_kind"] == "scripted"
    assert parse(again.to_line(), "again") == again


def test_other_words_for_the_same_moves_are_followed() -> None:
    ask, offer = say("Could you tell me your e-mail, please?"), say("Should I move it to wednesday, then?")
    other = [ask, FIND, offer, MOVE, CLOSE]
    followed = play(other, on_divergence="truncate").recording
    assert followed is not None and followed.followed
    assert 0 < max(followed.divergence) < 0.5


def test_a_recording_of_a_replay_can_be_replayed() -> None:
    second = play(SCRIPT, [play(SCRIPT)])
    assert second.recording is not None and second.recording.followed
    assert second.user.notes["source_kind"] == "scripted"


def test_an_agent_that_is_asked_to_greet_first_has_not_left_the_recording() -> None:
    env = gym.make(ID, traces=[record()])
    options = {"task_id": TASK, "lazy_open": True}
    followed = act(env, [say("Hello, how can I help?"), *SCRIPT], options=options).recording
    assert followed is not None and followed.divergence == (0.0, 0.0, 0.0, 0.0)


# -- left ------------------------------------------------------------------------------------------------------------

LEAVES = [ASK, FIND, OFFER, WRONG, CLOSE]


def test_continue_goes_on_with_the_recorded_turns_and_the_survey_does_not_count() -> None:
    trace = play(LEAVES)
    left = trace.recording
    assert left is not None
    assert (left.left_at, left.used, left.turns) == (3, 4, 4)
    assert left.divergence == (0.0, 0.0, 0.0, 1.0)
    assert trace.user.notes["divergence"][3] == {
        **{"turn": 3, "move": 0.0, "asked": 0.0, "text": 0.0},
        **{"world": 1.0, "total": 1.0},
    }
    assert (trace.reward, trace.ended_by) == (0.0, "user")
    assert (left.survey, trace.survey) == ("left", None)
    assert "survey.mean" not in trace.signals


def test_truncate_ends_as_not_valid_and_says_where_and_why() -> None:
    trace = play(LEAVES, on_divergence="truncate")
    assert (trace.reward, trace.ended_by, trace.checks) == (None, "failure", {})
    assert trace.failure is not None
    assert (trace.failure.side, trace.failure.kind) == ("user", "left_recording")
    assert "before user turn 3" in trace.failure.message and "world 1.00" in trace.failure.message
    assert trace.recording is not None
    assert (trace.recording.left_at, trace.recording.used, trace.recording.survey) == (3, 3, "not asked")


def test_handover_gives_the_rest_to_the_other_side_with_the_visible_transcript() -> None:
    spy = Spy([])
    trace = play([*LEAVES, say("Really?")], on_divergence="handover", handover=spy)
    assert (trace.ended_by, trace.reward, trace.survey) == ("user", 0.0, {"reuse": "No"})
    assert trace.recording is not None
    assert (trace.recording.handed_over_at, trace.recording.used, trace.recording.survey) == (3, 3, "handover")
    assert len(trace.recording.divergence) == 4, "nothing is measured once the recording has been handed over"
    assert [m.content for m in trace.messages if m.role == "user"][3:] == ["Somebody else here.", "Bye."]
    assert all(scene.events == () for scene in spy.scenes), "only replay sees what the agent did"
    assert len(spy.scenes[0].transcript) == 6
    assert trace.user.notes["handover"]["kind"] == "scripted"


def test_handover_to_another_kind_is_mixed_and_the_agenda_user_can_take_over() -> None:
    trace = play([ASK, WRONG, *[say("Anything else?")] * 9], on_divergence="handover", handover=AgendaUser())
    assert trace.ended_by == "user" and trace.survey is not None
    assert trace.user.notes["source_kind"] == "mixed"
    assert "source_kind" not in trace.user.settings


def test_a_transfer_that_the_recording_lacks_ends_the_episode_as_left() -> None:
    for policy in ({}, {"on_divergence": "truncate"}):
        trace = play([ASK, TRANSFER], **policy)
        assert (trace.ended_by, trace.reward, trace.survey) == ("transfer", 0.0, None)
        assert trace.recording is not None
        assert (trace.recording.left_at, trace.recording.survey) == (2, "left")


@pytest.mark.parametrize("survey", [True, False])
def test_an_end_by_the_step_limit_is_measured_too(survey: bool) -> None:
    trace = play(SCRIPT, max_steps=2, survey=survey)
    assert (trace.ended_by, trace.reward, trace.survey) == ("limit", 0.0, None)
    assert trace.recording is not None
    assert (trace.recording.left_at, trace.recording.survey) == (2, "left" if survey else "not asked")
    assert play(SCRIPT, [record(max_steps=2)], max_steps=2).survey == SURVEY


def test_the_threshold_decides() -> None:
    other = [say("Which day would you like, and what is your name?"), *SCRIPT[1:]]
    strict, lax = DivergenceSettings(threshold=0.05), DivergenceSettings(threshold=1.0)
    assert play(other, divergence=strict, on_divergence="truncate").ended_by == "failure"
    assert play(other, divergence=lax, on_divergence="truncate").reward == 1.0


# -- used up ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["cut", "transfer"])
def short(request: pytest.FixtureRequest) -> list[Trace]:
    """A recording without a stop; of the second kind the agent also leaves it where it goes on."""
    end = [TRANSFER] if request.param == "transfer" else []
    return [record(LINES[:3], [ASK, FIND, OFFER, *end])]


def test_used_up_continue_stops_and_is_no_evidence(short: list[Trace]) -> None:
    env = gym.make(ID, traces=short)
    env.reset(seed=0)
    for action in SCRIPT:
        _, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["valid"]) == (0.0, True, False, False)
    assert "failure" not in info
    feedback = info["feedback"]
    assert feedback.reward is None and "rule" not in feedback.signals and feedback.survey is None
    assert (feedback.recording.used_up, feedback.recording.used, feedback.recording.turns) == (True, 3, 3)
    assert not feedback.recording.followed
    core = env.unwrapped
    assert isinstance(core, TauEnv)
    trace = core.trace()
    assert (trace.ended_by, trace.valid) == ("recording", False)
    again = Conversation.restore(task_of(trace), World(get_domain("mock")), trace.events, trace.rules, trace.seed)
    assert (again.outcome.ended_by, again.outcome.feedback.reward) == ("recording", None)


def test_used_up_truncate_is_not_valid(short: list[Trace]) -> None:
    trace = play(SCRIPT, short, on_divergence="truncate")
    assert (trace.reward, trace.ended_by) == (None, "failure")
    assert trace.failure is not None
    expected = "left_recording" if short[0].ended_by == "transfer" else "recording_over"
    assert (trace.failure.side, trace.failure.kind) == ("user", expected)


def test_used_up_handover_hands_over(short: list[Trace]) -> None:
    trace = play([*SCRIPT, CLOSE], short, on_divergence="handover", handover=Spy([]))
    assert (trace.reward, trace.ended_by) == (1.0, "user")
    assert trace.recording is not None
    assert (trace.recording.handed_over_at, trace.recording.used) == (3, 3)


# -- the setting -----------------------------------------------------------------------------------------------------


def test_async_twins_do_the_same() -> None:
    async def drive(user: ReplayUser, script: list[Any]) -> Conversation:
        conversation = Conversation(get_task(TASK), World(get_domain("mock")))
        session = user.begin(conversation.scene())
        conversation.watcher = session.watch
        conversation.hear(await session.aopen(conversation.scene()))
        for action in script:
            if conversation.act(ToolCall(action["name"], action["arguments"])) is None:
                conversation.hear(await session.areply(conversation.scene()))
        conversation.survey(await session.afill_survey(conversation.scene()))
        return conversation

    spy = Spy([])
    user = ReplayUser((record(),), "handover", spy)
    assert user.blocking and not ReplayUser((record(),)).blocking
    script = [*LEAVES, say("Really?")]
    plain = play(script, on_divergence="handover", handover=Spy([]))
    assert tuple(asyncio.run(drive(user, script)).events) == plain.events
    assert tuple(asyncio.run(drive(ReplayUser((record(),)), SCRIPT)).events) == play(SCRIPT).events


def test_several_recordings_of_a_task_are_chosen_by_the_seed() -> None:
    traces = [record((f"I am number {i}.", *LINES[1:])) for i in range(3)]
    env = gym.make(ID, traces=traces)
    first = [env.reset(seed=seed)[0]["content"] for seed in range(12)]
    assert set(first) == {"I am number 0.", "I am number 1.", "I am number 2."}
    assert first == [gym.make(ID, traces=traces).reset(seed=seed)[0]["content"] for seed in range(12)]


def test_two_envs_interleaved_give_the_same_traces_as_each_alone() -> None:
    a, b = (gym.make(ID, traces=[record()]) for _ in range(2))
    scripts = {0: SCRIPT, 1: LEAVES}
    alone = [act(a, script).events for script in scripts.values()]
    for env in (a, b):
        env.reset(seed=0)
    for actions in zip(SCRIPT, LEAVES, strict=True):
        for env, action in zip((a, b), actions, strict=True):
            env.step(action)
    together = [env.unwrapped.trace().events for env in (a, b)]  # type: ignore[attr-defined]
    assert together == alone


def test_reset_draws_from_the_recorded_tasks() -> None:
    traces = [record(task="mock/test/2"), record(task="mock/test/1")]
    env = gym.make(ID, traces=traces)
    assert {env.reset(seed=seed)[1]["task_id"] for seed in range(9)} == {"mock/test/1", "mock/test/2"}
    one = gym.make(ID, traces=traces, tasks=["mock/test/1"])
    assert {one.reset(seed=seed)[1]["task_id"] for seed in range(9)} == {"mock/test/1"}


def test_the_setting_can_be_pickled_and_the_spec_rebuilt(tmp_path: Path) -> None:
    user = ReplayUser((record(),), "handover", AgendaUser())
    assert pickle.loads(pickle.dumps(user)) == user
    with TraceWriter(tmp_path / "t.jsonl") as writer:
        writer.write(record())
    env = gym.make(ID, traces=tmp_path / "t.jsonl")
    assert env.spec is not None
    assert act(gym.make(env.spec), SCRIPT).events == act(env, SCRIPT).events


@pytest.mark.parametrize("name", ["Mock", "Retail", "Airline"])
def test_check_env(name: str) -> None:
    made = gym.make(f"Tau{name}-agenda-v0", max_steps=2)
    made.reset(seed=0, options={"task_id": f"{name.lower()}/test/1"})
    made.step(say("Hello!"))
    core = made.unwrapped
    assert isinstance(core, TauEnv)
    for policy in ({}, {"on_divergence": "truncate"}, {"on_divergence": "handover", "handover": AgendaUser()}):
        env = gym.make(f"Tau{name}-replay-v0", traces=[core.trace()], **policy)
        with warnings.catch_warnings():  # it warns that what gym.make gives is wrapped
            warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
            check_env(env.unwrapped)
        env.close()


def test_the_trace_carries_a_task_that_is_another_now() -> None:
    recorded = record()
    old = replace(get_task(TASK), instruction="Your name is Ada. You want to move your repair.")
    trace = replace(recorded, task=task_to_json(old), task_hash=old.hash)
    again = play(SCRIPT, [trace])
    assert (again.reward, again.task_hash, again.task) == (1.0, old.hash, task_to_json(old))
    assert task_of(again) == old
    assert record().task is None
    core = gym.make(ID, traces=[trace]).unwrapped
    assert isinstance(core, TauEnv)
    assert core.episode_id(TASK, 0) == again.id


# -- refused ---------------------------------------------------------------------------------------------------------


def test_terms_are_kept_and_travel(tmp_path: Path) -> None:
    trace = replace(record(), terms=Terms("CC BY-NC 4.0", training=False))
    with pytest.raises(TermsError, match=r"1 of 2 traces .*'CC BY-NC 4.0' \(1\).*purpose='evaluation'"):
        gym.make(ID, traces=[trace, record()])
    with pytest.raises(TermsError):
        ReplayUser((trace,))
    again = play(SCRIPT, [trace], purpose="evaluation")
    assert again.terms == trace.terms and again.reward == 1.0
    with pytest.raises(UnknownName, match=r"Unknown purpose 'fun'. Known: training, evaluation"):
        gym.make(ID, traces=[record()], purpose="fun")


@pytest.mark.parametrize(
    ("traces", "message"),
    [
        (None, r"traces= is missing. Make some: usersim-env rollout --env TauMock-agenda-v0 .*usersim-env import"),
        ([], r"no trace in traces=\[\].*Make some"),
        (7, "list of Trace, got int"),
        ([7], "list of paths or of Trace, got a int in it"),
        ("nowhere.jsonl", "No file of traces at nowhere.jsonl"),
    ],
)
def test_no_recordings(traces: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gym.make(ID, traces=traces)


def test_no_recording_of_the_domain_or_the_split() -> None:
    with pytest.raises(UsageError, match=r"No trace of retail among the 1 given \(mock 1\).*TauRetail-agenda-v0"):
        load_traces(record(), "retail")
    with pytest.raises(UsageError, match=r"No recording of the split 'train'.*'mock/test/0'"):
        gym.make(ID, traces=[record()], split="train")
    with pytest.raises(UnknownName, match=r"No recording of the task 'mock/test/1'.*recordings of mock/test/0"):
        gym.make(ID, traces=[record()], tasks=["mock/test/1"])


def test_a_task_without_a_recording_is_refused_and_the_episode_goes_on() -> None:
    env = gym.make(ID, traces=[record()])
    env.reset(seed=0)
    for task_id, message in (("mock/test/1", "No recording of the task"), ("mock/test/99", "Unknown task")):
        with pytest.raises(UnknownName, match=message):
            env.reset(options={"task_id": task_id})
    assert env.step(ASK)[0]["content"] == "ada@mock.example"


def _without_user_turns() -> Trace:
    env = gym.make("TauMock-v0", user=ScriptedUser((RuntimeError("no"),)))
    return act(env, [])


@pytest.mark.parametrize(
    ("trace", "error", "message"),
    [
        (lambda: replace(record(), events=()), TraceError, r"\(mock/test/0\): an empty recording"),
        (_without_user_turns, TraceError, r"without user turns.*ended by 'failure'"),
        (lambda: replace(record(), task_id="mock/test/99"), UnknownName, "Unknown task 'mock/test/99'"),
        (lambda: replace(record(), task_hash="0" * 64), TraceError, "task_hash: mock/test/0 is not the task"),
        (lambda: replace(record(), survey={"reuse": "Perhaps"}), TraceError, "survey: Unknown answer to reuse"),
        (lambda: replace(record(), task={"instruction": 3}), TraceError, "task: expected instruction, expected_calls"),
    ],
)
def test_what_cannot_be_played(trace: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ReplayUser((trace(),))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"on_divergence": "stop"}, "Unknown on_divergence 'stop'"),
        ({"on_divergence": "handover"}, "the two go together, for example .*AgendaUser"),
        ({"handover": AgendaUser()}, "on_divergence='continue' with handover=AgendaUser"),
        ({"on_divergence": "handover", "handover": "agenda"}, "of another kind than replay, got str"),
        ({"divergence": 0.3}, "DivergenceSettings, got float"),
        ({"user": AgendaUser()}, "traces: goes with TauMock-replay-v0 and without user="),
        ({"trace": []}, "Unknown keyword 'trace'. Did you mean 'traces'"),
        ({"persona": "humanlike"}, "goes with TauMock-agenda-v0"),
    ],
)
def test_wrong_settings(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gym.make(ID, traces=[record()], **keywords)


def test_replay_cannot_take_over_from_replay() -> None:
    with pytest.raises(UsageError, match="got ReplayUser"):
        ReplayUser((record(),), "handover", ReplayUser((record(),)))
    with pytest.raises(UsageError, match="got str: read_traces"):
        ReplayUser("recorded.jsonl")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one recording"):
        ReplayUser(())


def test_a_failing_side_that_takes_over_is_a_failure_not_a_zero() -> None:
    trace = play(LEAVES, on_divergence="handover", handover=ScriptedUser((RuntimeError("gone"),)))
    assert (trace.reward, trace.ended_by) == (None, "failure")
    assert trace.failure is not None and "gone" in trace.failure.message
    assert trace.recording is not None and trace.recording.handed_over_at == 3


def test_a_broken_off_episode_says_how_far_it_got(tmp_path: Path) -> None:
    env = gym.make(ID, traces=[record()], record=tmp_path / "t.jsonl")
    act(env, SCRIPT[:2])
    env.close()
    (cut,) = read_traces(tmp_path / "t.jsonl")
    assert cut.ended_by == "cut" and cut.recording is not None
    assert (cut.recording.used, cut.recording.left_at) == (2, None)
