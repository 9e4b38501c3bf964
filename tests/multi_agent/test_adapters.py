"""A user side as a policy, a policy as a user side, and the same traces through every env."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium as gym
import pytest

from usersim_env import Failure, Say, ScriptedUser, Stop, Survey, TauEnv, Trace, User, UserSession, read_traces
from usersim_env.baselines.clerk import Clerk
from usersim_env.errors import Abandoned, UnknownName, UsageError
from usersim_env.multi_agent import AGENT, USER, PolicyUser, UserPolicy, UserSeat, tau_v0
from usersim_env.multi_agent.actions import UserAction, as_action, read_user_action
from usersim_env.registration import env_id
from usersim_env.rollouts import RolloutSettings, agent_seed, rollout_async
from usersim_env.rollouts import play as play_alone
from usersim_env.traces.trace import Seat
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.replay import ReplayUser

CLERK = Seat("agent", "clerk", Clerk().describe(), privileged=True)
TASKS = [
    *(f"mock/test/{i}" for i in range(4)),
    *(f"retail/test/{i}" for i in (0, 17, 60)),
    *(f"airline/test/{i}" for i in (1, 20)),
]
Play: TypeAlias = Callable[..., Trace]
Strip: TypeAlias = Callable[[Trace], Trace]
Made: TypeAlias = dict[str, Any]


def alone(user: User, task_id: str, seed: int = 0, **keywords: Any) -> Trace:
    """The clerk's episode in `TauEnv`."""
    env = TauEnv(task_id.split("/")[0], user, **keywords)
    env.agent_seat = CLERK
    trace = play_alone(Clerk(), env, task_id, seed)
    env.close()
    return trace


def at_once(user: User, task_id: str, seed: int = 0) -> Trace:
    """The same episode on an event loop."""
    settings = RolloutSettings([task_id], [seed], None, {"user": user}, progress=False)
    return asyncio.run(rollout_async(Clerk(), env_id(task_id.split("/")[0]), settings)).traces[0]


def clerk(task_id: str, seed: int = 0) -> Callable[[Any, Any], Any]:
    session = Clerk().begin({"task_id": task_id}, agent_seed(task_id, seed))
    return lambda observation, info: session.act(observation)


def together(play: Play, user: User, task_id: str, seed: int = 0) -> Trace:
    """The same episode with two seats."""
    make = tau_v0.parallel_env if play.__name__ == "play_parallel" else tau_v0.env
    env: Any = make(domain=task_id.split("/")[0])
    env.unwrapped.agent_seat = CLERK
    policies = {AGENT: clerk(task_id, seed), USER: UserPolicy(user, env)}
    trace = play(env, policies, seed, task_id=task_id)
    env.close()
    return trace


@pytest.mark.parametrize("persona", ["cooperative", "humanlike"])
@pytest.mark.parametrize("task_id", TASKS)
def test_the_same_seeds_and_policies_give_the_same_trace(
    task_id: str, persona: str, either: Play, timeless: Strip
) -> None:
    for seed in (0, 5):
        user = AgendaUser(persona=persona)
        expected = alone(user, task_id, seed)
        assert len(expected.events) > 3 and expected.survey is not None
        assert timeless(together(either, user, task_id, seed)) == timeless(expected)
        assert timeless(at_once(user, task_id, seed)) == timeless(expected)


def test_without_a_task_the_seeds_draw_the_same_ones(aec: Play) -> None:
    alone_env = gym.make("TauRetail-v0", user=ScriptedUser())
    env: Any = tau_v0.env(domain="retail")
    for seed in (3, None, None, 4, None):
        _, info = alone_env.reset(seed=seed)
        env.reset(seed=seed)
        assert env.infos[AGENT]["task_id"] == info["task_id"]
        core = alone_env.unwrapped
        assert isinstance(core, TauEnv)
        assert env.trace().seed == core.trace().seed


def test_a_recording_plays_and_is_measured_in_both(either: Play, timeless: Strip) -> None:
    recorded = alone(AgendaUser(), "mock/test/0")
    replay = ReplayUser((recorded,))
    expected = alone(replay, "mock/test/0", 1)
    assert expected.recording is not None and expected.recording.used > 0
    assert timeless(together(either, replay, "mock/test/0", 1)) == timeless(expected)


class Faulty(User):
    """Gives or raises something else than a turn, at one point."""

    kind = "scripted"

    def __init__(self, at: str, came: Any) -> None:
        self.at, self.came = at, came

    def begin(self, scene: Any) -> UserSession:
        return FaultySession(self)


class FaultySession(UserSession):
    def __init__(self, user: Faulty) -> None:
        self._user = user

    def _do(self, at: str, usual: Any) -> Any:
        if self._user.at != at:
            return usual
        if isinstance(self._user.came, Exception):
            raise self._user.came
        return self._user.came

    def open(self, scene: Any) -> Say | Stop:
        turn: Say | Stop = self._do("open", Say("Hi"))
        return turn

    def reply(self, scene: Any) -> Say | Stop:
        turn: Say | Stop = self._do("reply", Stop("Bye."))
        return turn

    def fill_survey(self, scene: Any) -> Survey | None:
        survey: Survey | None = self._do("survey", None)
        return survey


FAULTS = [Abandoned("left"), RuntimeError("broken"), None, "Hello", Say(3), Stop(b"x"), Stop()]  # type: ignore[arg-type]


@pytest.mark.parametrize("came", FAULTS, ids=repr)
@pytest.mark.parametrize("at", ["open", "reply", "survey"])
def test_a_user_side_that_fails_fails_in_the_same_way(at: str, came: Any, either: Play, timeless: Strip) -> None:
    user = Faulty(at, came)
    expected = alone(user, "mock/test/0")
    assert at != "open" or expected.failure is not None
    assert timeless(together(either, user, "mock/test/0")) == timeless(expected)


def test_a_recording_refuses_a_task_that_it_is_not_of(aec: Play) -> None:
    env: Any = tau_v0.env(domain="mock")
    UserPolicy(ReplayUser((alone(AgendaUser(), "mock/test/0"),)), env)
    with pytest.raises(UnknownName, match="mock/test/1"):
        env.reset(seed=0, options={"task_id": "mock/test/1"})


def test_a_user_side_without_a_session_fails_in_the_same_way(either: Play, timeless: Strip) -> None:
    class Sessionless(ScriptedUser):
        def begin(self, scene: Any) -> Any:
            return 3

    expected = alone(Sessionless(), "mock/test/0")
    assert expected.failure is not None
    assert timeless(together(either, Sessionless(), "mock/test/0")) == timeless(expected)


class Counted(ScriptedUser):
    """Counts sessions and closes; begins only ``most`` of them."""

    def __init__(self, most: int = 100) -> None:
        super().__init__(("Hi", "Bye"))
        vars(self).update(begun=0, closed=0, most=most)

    def begin(self, scene: Any) -> UserSession:
        made: Any = vars(self)
        if made["begun"] == made["most"]:
            raise OSError("no more")
        made["begun"] += 1
        session: Any = super().begin(scene)

        def close() -> None:
            made["closed"] += 1

        session.close, session.notes = close, lambda: {"session": made["begun"]}
        ended: UserSession = session
        return ended


def test_every_session_is_closed_once(aec: Play) -> None:
    env: Any = tau_v0.env(domain="mock")
    user = Counted()
    policies = {AGENT: clerk("mock/test/0"), USER: UserPolicy(user, env)}
    aec(env, policies, task_id="mock/test/0")
    assert vars(user)["closed"] == 1
    env.reset()
    env.reset()
    assert vars(user)["closed"] == 2, "one that is broken off is closed too"
    env.close()
    env.close()
    assert vars(user)["begun"] == vars(user)["closed"] == 3


def test_a_session_that_could_not_begin_has_no_notes_of_the_last_one(aec: Play) -> None:
    env: Any = tau_v0.env(domain="mock")
    policies = {AGENT: clerk("mock/test/0"), USER: UserPolicy(Counted(most=1), env)}
    assert aec(env, policies, task_id="mock/test/0").user.notes == {"session": 1}
    failed = aec(env, policies, task_id="mock/test/0")
    assert failed.user.notes == {} and failed.failure == Failure("user", "error", "OSError: no more")


def test_a_user_policy_that_is_called_when_it_is_not_its_turn_says_nothing() -> None:
    env: Any = tau_v0.parallel_env(domain="mock")
    customer = UserPolicy(ScriptedUser(("first", "second")), env)
    seen, infos = env.reset(seed=0)
    hello = {"name": "respond", "arguments": {"content": "Hello"}}
    for _ in range(4):  # opening, respond, reply, respond
        action = customer(seen[USER], infos[USER])
        assert env.action_space(USER).contains(action), "also while it waits"
        seen, _, _, _, infos = env.step({AGENT: hello, USER: action})
    said = [event["content"] for event in env.unwrapped.trace().events if event["event"] == "say"]
    assert said == ["first", "second"]


def test_user_policy_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match=r"user is a usersim_env.users.User, got str"):
        UserPolicy("agenda", tau_v0.env(domain="mock"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"sits in what tau_v0.env\(…\) or parallel_env\(…\) gave, got TauEnv"):
        UserPolicy(AgendaUser(), TauEnv("mock", AgendaUser()))  # type: ignore[arg-type]


def test_the_file_of_traces_names_who_sat_there(tmp_path: Path, aec: Play, timeless: Strip) -> None:
    env: Any = tau_v0.env(domain="mock", record=tmp_path / "t.jsonl")
    env.unwrapped.agent_seat = CLERK
    user = AgendaUser(persona="humanlike")
    aec(env, {AGENT: clerk("mock/test/1"), USER: UserPolicy(user, env)}, task_id="mock/test/1")
    env.close()
    assert [timeless(t) for t in read_traces(tmp_path / "t.jsonl")] == [timeless(alone(user, "mock/test/1"))]


# -- a policy as a user side -------------------------------------------------------------------------------------------


def brief(observation: Mapping[str, Any], info: Mapping[str, Any]) -> Made:
    """Says its instruction, then yes three times; begins every turn with a mistake."""
    if not observation["error"]:
        return {"name": "survey" if observation["phase"] != "survey" else "say", "arguments": {}}
    if observation["phase"] == "survey":
        return {"name": "survey", "arguments": {"reuse": observation["form"][-1]["answers"][2]}}
    if len(observation["transcript"]) > 7:
        return {"name": "stop", "arguments": {"content": "Bye."}}
    content = observation["instruction"] if observation["phase"] == "open" else "Yes."
    return {"name": "say", "arguments": {"content": content}}


def hopeless(observation: Mapping[str, Any], info: Mapping[str, Any]) -> Made:
    return {"name": "dance", "arguments": {}}


def leaving(observation: Mapping[str, Any], info: Mapping[str, Any]) -> Made | Failure:
    return Failure("user", "abandoned", "left") if observation["message"] else brief(observation, info)


@pytest.mark.parametrize("policy", [brief, hopeless, leaving])
def test_a_policy_is_the_same_as_user_side_and_in_its_seat(policy: Any, aec: Play, timeless: Strip) -> None:
    user = PolicyUser(policy, "mine", {"version": 2})
    expected = alone(user, "mock/test/1")
    assert expected.user == Seat("scripted", "mine", {"version": 2})
    assert (expected.survey == {"reuse": "Maybe"}) is (policy is brief)
    assert {brief: None, hopeless: "bad_reply", leaving: "abandoned"}[policy] == getattr(expected.failure, "kind", None)
    env: Any = tau_v0.env(domain="mock")
    env.unwrapped.agent_seat = CLERK
    env.unwrapped.sit(UserSeat(Seat("scripted", "mine", {"version": 2})))
    trace = aec(env, {AGENT: clerk("mock/test/1"), USER: policy}, task_id="mock/test/1")
    assert timeless(trace) == timeless(expected)


def test_there_and_back_again(either: Play, timeless: Strip) -> None:
    expected = alone(PolicyUser(brief), "mock/test/1")
    assert timeless(together(either, PolicyUser(brief), "mock/test/1")) == timeless(expected)


def test_a_policy_that_raises_is_a_failure_of_the_user_side() -> None:
    trace = alone(PolicyUser(lambda observation, info: observation["nope"]), "mock/test/0")
    assert trace.failure == Failure("user", "error", "KeyError: 'nope'")


def test_policy_user_is_picklable_and_a_subclass_says_its_kind() -> None:
    class Model(PolicyUser):
        kind = "llm"

    user = PolicyUser(brief, "mine")
    assert pickle.loads(pickle.dumps(user)) == user
    assert alone(Model(brief), "mock/test/0").user.kind == "llm"


# -- actions -----------------------------------------------------------------------------------------------------------


def test_samples_are_contained_seeded_and_turns_in_their_phase() -> None:
    first, second = UserAction(seed=1), UserAction(seed=1)
    samples = [first.sample() for _ in range(60)]
    assert samples == [second.sample() for _ in range(60)]
    assert {sample["name"] for sample in samples} == {"say", "stop", "survey"}
    for sample in samples:
        assert sample in first
        move = read_user_action(sample, sample["name"] == "survey")
        assert as_action(move) == sample  # type: ignore[arg-type]


def test_the_space_of_actions_is_one() -> None:
    assert UserAction() == UserAction() and hash(UserAction()) == hash(UserAction())
    assert repr(UserAction()) == "UserAction()" and not UserAction().is_np_flattenable
    assert {"name": "say", "arguments": []} not in UserAction() and None not in UserAction()


def test_a_recording_that_is_used_up_says_so() -> None:
    for move in (Stop(), Stop("Bye."), Stop(used_up=True), Say("")):
        assert read_user_action(as_action(move), surveying=False) == move
