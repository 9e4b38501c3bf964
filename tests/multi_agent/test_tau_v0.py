"""The AEC env: who acts when, out-of-phase actions, ends, rewards, failures, what each seat sees."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Failure, Scene, ScriptedUser, UserSession, read_traces
from usersim_env.conversation.machine import Outcome
from usersim_env.domains import Task, get_domain
from usersim_env.errors import InvalidAction, UnknownName, UsageError
from usersim_env.multi_agent import AGENT, USER, UserPolicy, tau_v0
from usersim_env.multi_agent.actions import MISTAKES

TASK = {"task_id": "mock/train/0"}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}
STOP: dict[str, Any] = {"name": "stop", "arguments": {}}
ANSWERS = {"name": "survey", "arguments": {"overall_score": "4 (Good)"}}
OUTAGE = Failure("agent", "outage", "no answer")


def say(content: str) -> dict[str, Any]:
    return {"name": "say", "arguments": {"content": content}}


def respond(content: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": content}}


def begun(*actions: Any, lazy: bool = False, **keywords: Any) -> Any:
    env = tau_v0.env(domain="mock", split="train", **keywords)
    env.reset(seed=0, options=TASK | {"lazy_open": lazy})
    for action in actions:
        env.step(action)
    return env


def test_an_episode_step_by_step() -> None:
    env = begun()
    assert env.agents == [AGENT, USER]
    assert env.agent_selection == USER and env.observe(USER)["phase"] == "open"
    assert "tuesday" in env.observe(USER)["instruction"]
    env.step(say("To tuesday, please."))
    assert env.agent_selection == AGENT
    domain = get_domain("mock")
    observation, _, _, _, info = env.last()
    assert observation == {
        "role": "user",
        "name": "user",
        "content": "To tuesday, please.",
        "policy": domain.policy,
        "tools": json.dumps(info["tools"], ensure_ascii=False),
    }
    assert info["policy"] == domain.policy and info["task_id"] == TASK["task_id"] and info["valid"]
    env.step(MOVE)
    assert env.observe(AGENT)["role"] == "tool" and env.observe(AGENT)["name"] == "move_ticket"
    assert env.observe(USER)["phase"] == "wait" and "tools" not in env.infos[AGENT]
    env.step(respond("Done."))
    assert env.agent_selection == USER
    assert env.observe(AGENT)["content"] == "", "it has received nothing yet"
    seen = env.observe(USER)
    assert seen["phase"] == "reply" and seen["message"] == "Done." and seen["form"] == ()
    assert [turn["role"] for turn in seen["transcript"]] == ["user", "agent"]
    env.step({"name": "stop", "arguments": {"content": "Bye."}})
    assert env.agent_selection == USER and env.observe(USER)["phase"] == "survey"
    assert env.observe(USER)["form"][0]["field"] == "task_success"
    assert not any(env.terminations.values()) and not any(env.rewards.values())
    env.step(ANSWERS)
    assert env.rewards == {AGENT: 1.0, USER: 0.0}
    assert env.terminations == {AGENT: True, USER: True}
    assert env.truncations == {AGENT: False, USER: False}
    assert env.observe(AGENT)["content"] == "Bye." and env.observe(USER)["phase"] == "over"
    assert env.infos[AGENT]["feedback"].signals["survey.overall_score"] == 0.75
    assert set(env.infos[USER]) == {"valid", "active_agent"}, "checks and effort are about the agent"


def test_an_agent_that_transfers_leaves_the_survey_to_the_user() -> None:
    env = begun(say("Hi"), {"name": "transfer_to_human_agents", "arguments": {"summary": "s"}})
    assert env.agent_selection == USER and env.observe(USER)["phase"] == "survey"
    env.step(ANSWERS)
    assert env.terminations == {AGENT: True, USER: True} and env.rewards[AGENT] == 0.0
    assert env.observe(AGENT)["role"] == "tool"


def test_the_step_limit_truncates_both() -> None:
    env = begun(say("Hi"), MOVE, ANSWERS, max_steps=1)
    assert env.truncations == {AGENT: True, USER: True} and env.infos[AGENT]["valid"]


def test_without_a_survey_the_last_turn_ends_it() -> None:
    assert begun(say("Hi"), respond("Hello"), STOP, survey=False).terminations == {AGENT: True, USER: True}


def test_a_lazy_opening_leaves_the_first_turn_to_the_agent() -> None:
    env = begun(lazy=True)
    assert env.agent_selection == AGENT
    env.step(respond("Hello, how can I help?"))
    assert env.observe(USER)["phase"] == "open" and env.observe(USER)["message"] == "Hello, how can I help?"


# -- out of phase ------------------------------------------------------------------------------------------------------


class Hostile(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError("no")


SHAPES = [None, 3, "say", {}, {"name": "say"}, {"name": 3, "arguments": {}}, Hostile()]
SPEAKING = [
    (ANSWERS, "Error: it is the user's turn to speak: say or stop, not 'survey'"),
    (MOVE, "not 'move_ticket'"),
    (respond("I am the agent."), "not 'respond'"),
    ({"name": "say", "arguments": {}}, "say needs a str 'content', got NoneType"),
    ({"name": "stop", "arguments": {"content": 3}}, "stop needs a str 'content', got int"),
    *((shape, "Error: ") for shape in SHAPES),
]
SURVEYING = [
    (say("more"), "the survey is due: survey, not 'say'"),
    (STOP, "the survey is due: survey, not 'stop'"),
    ({"name": "survey", "arguments": {"overall": "4 (Good)"}}, "Unknown survey field 'overall'. Did you mean"),
    ({"name": "survey", "arguments": {"overall_score": "great"}}, "Unknown answer to overall_score 'great'"),
    ({"name": "survey", "arguments": {"overall_score": ["x"]}}, "needs a str answer by str field"),
    ({"name": "survey", "arguments": {1: 2}}, "needs a str answer by str field"),
    *((shape, "Error: ") for shape in SHAPES),
]


@pytest.mark.parametrize(("action", "text"), SPEAKING)
@pytest.mark.parametrize("before", [(), (say("Hi"), respond("Hello"))], ids=["opening", "reply"])
def test_out_of_phase_while_speaking(before: tuple[Any, ...], action: Any, text: str) -> None:
    check_mistake(begun(*before), action, text, say("Yes."))


@pytest.mark.parametrize(("action", "text"), SURVEYING)
def test_out_of_phase_at_the_survey(action: Any, text: str) -> None:
    check_mistake(begun(say("Hi"), respond("Hello"), STOP), action, text, ANSWERS)


def check_mistake(env: Any, action: Any, text: str, right: Any) -> None:
    events = env.trace().events
    env.step(action)
    assert env.agent_selection == USER and env.trace().events == events
    assert text in env.observe(USER)["error"] and env.observe(USER)["error"].startswith("Error: ")
    assert env.observation_space(USER).contains(env.observe(USER))
    assert text not in json.dumps(env.observe(AGENT)), "the agent hears nothing of it"
    env.step(right)
    assert env.observe(USER)["error"] == "" and len(env.trace().events) == len(events) + 1


def test_a_user_seat_that_never_takes_its_turn_fails() -> None:
    env = begun(*[MOVE] * (MISTAKES - 1))
    assert not any(env.truncations.values())
    env.step(MOVE)
    assert env.truncations == {AGENT: True, USER: True}
    failure = env.infos[AGENT]["failure"]
    assert (failure.side, failure.kind) == ("user", "bad_reply") and "10 actions in a row" in failure.message
    assert env.infos[AGENT]["valid"] is False and env.infos[AGENT]["feedback"].reward is None


def test_a_survey_that_never_comes_is_missing_and_spoils_nothing() -> None:
    env = begun(say("Hi"), MOVE, respond("Hello"), STOP, *[STOP] * MISTAKES)
    assert env.rewards[AGENT] == 1.0 and env.infos[AGENT]["feedback"].survey is None


def test_an_invalid_action_of_the_agent_changes_nothing() -> None:
    env = begun(say("Hi"))
    seen, infos = env.observe(AGENT), env.infos
    with pytest.raises(InvalidAction, match="An action is a dict, got int"):
        env.step(3)
    assert env.observe(AGENT) == seen and env.infos == infos and env.agent_selection == AGENT
    env.step(MOVE)
    assert env.observe(AGENT)["role"] == "tool"


# -- failures and rewards ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "seat"), [((), "user"), ((say("Hi"),), "agent"), ((say("Hi"), MOVE), "agent")])
def test_a_seat_that_cannot_go_on_steps_with_a_failure(before: tuple[Any, ...], seat: str) -> None:
    env = begun(*before, OUTAGE)
    assert env.truncations == {AGENT: True, USER: True} and env.rewards == {AGENT: 0.0, USER: 0.0}
    assert env.infos[AGENT]["valid"] is env.infos[USER]["valid"] is False
    assert env.infos[AGENT]["failure"] == Failure(seat, "outage", "no answer"), "each answers for itself"
    assert env.infos[AGENT]["feedback"].reward is None
    assert ("failure" in env.infos[USER]) == (seat == "user")


def test_a_failure_of_the_parallel_env() -> None:
    env = tau_v0.parallel_env(domain="mock")
    env.reset(seed=0)
    _, _, _, truncations, infos = env.step({AGENT: MOVE, USER: Failure("user", "abandoned", "left")})
    assert truncations == {AGENT: True, USER: True} and not env.agents
    assert infos[AGENT]["valid"] is False and infos[AGENT]["failure"].kind == "abandoned"


def test_a_stop_at_the_opening_is_a_failure() -> None:
    assert begun(STOP).infos[AGENT]["failure"].kind == "stopped_at_open"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_user_side_that_cannot_begin_ends_the_episode_with_the_next_step(lazy: bool) -> None:
    class Broken(ScriptedUser):
        def begin(self, scene: Scene) -> UserSession:
            raise OSError("no channel")

    env: Any = tau_v0.env(domain="mock")
    customer = UserPolicy(Broken(), env)
    env.reset(seed=0, options={"lazy_open": lazy})
    assert not any(env.truncations.values()) and env.infos[AGENT]["valid"] is False
    env.step(respond("Hi") if env.agent_selection == AGENT else customer(env.observe(USER), env.infos[USER]))
    assert env.truncations == {AGENT: True, USER: True}
    assert env.trace().failure == Failure("user", "error", "OSError: no channel")
    assert len(env.trace().events) == 1


def test_rewards_can_be_replaced_and_fall_on_the_last_step() -> None:
    def satisfied(outcome: Outcome) -> dict[str, float]:
        assert outcome.feedback.reward is not None, "asked only about scored episodes"
        return {AGENT: outcome.feedback.signals["survey.mean"], USER: -float(outcome.feedback.effort.user_turns)}

    env = begun(say("Hi"), respond("Hello"), STOP, rewards=satisfied)
    assert env.rewards == {AGENT: 0.0, USER: 0.0}
    env.step(ANSWERS)
    assert env.rewards == {AGENT: 0.75, USER: -1.0}
    assert env.last()[1] == 0.75
    assert begun(OUTAGE, rewards=satisfied).rewards == {AGENT: 0.0, USER: 0.0}


@pytest.mark.parametrize("wrong", [{AGENT: 1.0}, {AGENT: 1.0, USER: None}, 3])
def test_rewards_without_a_seat_are_refused(wrong: Any) -> None:
    env = begun(say("Hi"), respond("Hello"), STOP, rewards=lambda outcome: wrong)
    with pytest.raises(UsageError, match=r"rewards gives a number for agent_0 and user_0, got .* Try lambda"):
        env.step(ANSWERS)


# -- making, resetting, recording --------------------------------------------------------------------------------------


def test_wrong_keywords_say_which_there_are() -> None:
    with pytest.raises(UnknownName, match=r"Unknown keyword 'spilt'. Did you mean 'split'"):
        tau_v0.env(domain="mock", spilt="test")
    with pytest.raises(UnknownName, match=r"Unknown domain 'retial'. Did you mean 'retail'"):
        tau_v0.env(domain="retial")
    with pytest.raises(UsageError, match="render_mode is 'ansi', 'human', 'rgb_array' or None, got 'video'"):
        tau_v0.env(domain="mock", render_mode="video")


def test_an_unknown_option_warns_and_an_unknown_task_leaves_the_episode_running() -> None:
    env = begun(say("Hi"))
    with pytest.raises(UnknownName, match="Unknown task 'mock/train/9'"):
        env.reset(options={"task_id": "mock/train/9"})
    env.step(MOVE)
    with pytest.warns(UserWarning, match="reset ignores the unknown option 'taskid'"):
        env.reset(options={"taskid": "x"})


def test_steps_outside_an_episode() -> None:
    env = tau_v0.raw_env("mock")
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(say("Hi"))
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.observe(AGENT)
    with pytest.raises(UsageError, match="call reset"):
        env.trace()
    env.reset(seed=0)
    env.step(OUTAGE)
    with pytest.raises(ValueError, match="the only valid action is None"):
        env.step(MOVE)
    env.reset(seed=0)
    assert env.agents == [AGENT, USER] and not any(env.truncations.values())


def test_policy_and_tools_can_be_left_out() -> None:
    env: Any = tau_v0.env(domain="mock")
    env.reset(seed=0, options={"tools": False})
    assert env.observe(AGENT)["policy"] == env.observe(AGENT)["tools"] == ""
    assert set(env.infos[AGENT]) == {"task_id", "valid", "active_agent"}


def test_episodes_are_recorded_and_broken_ones_are_cut(tmp_path: Path) -> None:
    env = begun(say("Hi"), respond("Hello"), STOP, ANSWERS, record=tmp_path / "t.jsonl")
    env.reset(seed=1)
    env.step(say("Hi"))
    env.close()
    env.close()
    assert [(t.ended_by, t.reward) for t in read_traces(tmp_path / "t.jsonl")] == [("user", 0.0), ("cut", None)]


def test_render(capsys: pytest.CaptureFixture[str]) -> None:
    assert begun(say("Hi"), respond("Hello"), render_mode="ansi").render() == "user: Hi\nagent: Hello"
    begun(say("Hi"), respond("Hello"), render_mode="human")
    assert capsys.readouterr().out == "user: Hi\nagent: Hello\n"
    assert begun(say("Hi")).render() is None


# -- each seat sees only what is its own -------------------------------------------------------------------------------

PIECE = 40
TASKS = [*get_domain("mock").tasks(), *get_domain("retail").tasks()[::12], *get_domain("airline").tasks()[::5]]


def pieces(text: str) -> set[str]:
    return {text[at : at + PIECE] for at in range(max(1, len(text) - PIECE + 1))}


def inside(secrets: set[str], text: str) -> set[str]:
    """Those that the text contains; pieces of the full length are compared as sets, which is fast."""
    return secrets & pieces(text) | {s for s in secrets if len(s) != PIECE and s in text}


def strings(value: Any) -> Iterator[str]:
    """Every text inside a value, however deep; a dataclass shows all its fields and properties."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            yield from strings(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from strings(item)
    elif dataclasses.is_dataclass(value):
        for name in dir(value):
            if not name.startswith("_") and not callable(getattr(value, name)):
                yield from strings(getattr(value, name))


def visible(env: Any, seat: str) -> str:
    return "\n".join(strings([env.observe(seat), env.infos[seat]]))


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)


def search(env: Any, task: Task) -> dict[str, set[str]]:
    """Plays the expected calls to a user that says nothing of its own; what each seat saw of the other's."""
    domain = get_domain(task.domain)
    public = domain.policy + json.dumps([t.schema for t in domain.tools.values()], ensure_ascii=False)
    values = {v for c in task.expected_calls for v in leaves(dict(c.arguments)) if len(v) >= 5}
    secret = {AGENT: pieces(task.instruction) | values | set(task.required_outputs), USER: pieces(public)}
    secret[AGENT] -= inside(secret[AGENT], public)
    secret[USER] |= {json.dumps(c.name) for c in task.expected_calls}
    found: dict[str, set[str]] = {AGENT: set(), USER: set()}

    def look() -> None:
        for seat in env.agents:
            found[seat] |= inside(secret[seat], visible(env, seat))

    def step(action: Any) -> None:
        env.step(action)
        look()

    env.reset(seed=0, options={"task_id": task.id})
    look()
    step(say("Hello."))
    step(respond("Hello, what do you want?"))
    step(say("Well."))
    for call in task.expected_calls:
        if call.name not in domain.terminal:
            # What the agent itself has called, and what it got, it knows.
            secret[AGENT] -= set(leaves(dict(call.arguments)))
            env.step({"name": call.name, "arguments": dict(call.arguments)})
            result = env.observe(AGENT)["content"]
            secret[AGENT] -= inside(secret[AGENT], result)
            secret[USER] |= {p for p in pieces(result) if len(p) >= 5} - inside(pieces(result), task.instruction)
            look()
    step(respond("Anything else?"))
    step({"name": "stop", "arguments": {"content": "No."}})
    step({"name": "survey", "arguments": {}})
    assert not env.agents or any(env.terminations.values())
    assert len(secret[AGENT]) > 5 and len(secret[USER]) > 20
    return found


def test_nobody_else_sees_anything() -> None:
    with pytest.raises(UnknownName, match="Unknown seat 'agent_1'"):
        begun().observe("agent_1")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_each_seat_sees_only_its_own(task: Task) -> None:
    assert search(tau_v0.env(domain=task.domain), task) == {AGENT: set(), USER: set()}


class Leaky(tau_v0.raw_env):
    """Shows a seat what the other one sees."""

    to, place = AGENT, "observation"

    def observe(self, agent: str) -> dict[str, Any]:
        seen = super().observe(agent)
        if agent == self.to and self.place == "observation":
            seen |= {f"other {k}": v for k, v in super().observe(USER if agent == AGENT else AGENT).items()}
        return seen

    def _infos(self, conversation: Any) -> dict[str, dict[str, Any]]:
        infos = super()._infos(conversation)
        if self.place == "info":
            other = USER if self.to == AGENT else AGENT
            infos[self.to] = infos[self.to] | {"other": infos[other]}
        return infos


@pytest.mark.parametrize("place", ["observation", "info"])
@pytest.mark.parametrize("to", [AGENT, USER])
@pytest.mark.parametrize("task", [TASKS[0], TASKS[6], TASKS[-1]], ids=lambda task: task.id)
def test_a_planted_leak_is_found(task: Task, to: str, place: str) -> None:
    env: Any = Leaky(task.domain)
    env.to, env.place = to, place
    found = search(env, task)
    assert found[to] and not found[USER if to == AGENT else AGENT]
