"""`TurnBudget` and `CostBudget`: when the episode ends, as what, and what the trace says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Say, ScriptedUser, Stop, User, UserSession, read_traces
from usersim_env.conversation.machine import Conversation
from usersim_env.conversation.scene import Scene
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import InvalidAction
from usersim_env.wrappers import ChatAction, CostBudget, ParseToolCalls, TurnBudget

HELLO = {"name": "respond", "arguments": {"content": "Hello!"}}
FIND = {"name": "find_ticket", "arguments": {"email": "a@b"}}
TALKER = ScriptedUser(("hm",), repeat=True, answers={"reuse": "Yes"})


def made(user: User = TALKER, **keywords: Any) -> gym.Env[Any, Any]:
    return gym.make("TauMock-v0", user=user, **keywords)


class Dear(User):
    """A user side whose every turn costs."""

    kind = "llm"

    def __init__(self, price: float | None) -> None:
        self.price = price

    def begin(self, scene: Scene) -> UserSession:
        return DearSession(self.price)


class DearSession(UserSession):
    def __init__(self, price: float | None) -> None:
        self.price, self.turns = price, 0

    def open(self, scene: Scene) -> Say | Stop:
        return self.reply(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        self.turns += 1
        return Say("hm")

    def notes(self) -> dict[str, Any]:
        return {"cost": None if self.price is None else self.turns * self.price}


def steps(env: gym.Env[Any, Any], action: Any = HELLO) -> tuple[int, Any]:
    env.reset(seed=0)
    for count in range(1, 50):
        last = env.step(action)
        if last[2] or last[3]:
            return count, last
    raise AssertionError("it did not end")


@pytest.mark.parametrize(
    ("budget", "turns"), [({"agent": 1}, 1), ({"agent": 4}, 4), ({"user": 2}, 1), ({"user": 4}, 3)]
)
def test_turns(budget: dict[str, int], turns: int) -> None:
    count, (observation, reward, terminated, truncated, info) = steps(TurnBudget(made(), **budget))
    assert count == turns and (terminated, truncated, reward) == (False, True, 0.0)
    assert observation["content"] == "hm", "the last turn is answered"
    assert info["valid"] and info["feedback"].reward == 0.0 and info["feedback"].checks["finished"] is False
    assert info["feedback"].survey.answers == {"reuse": "Yes"}
    assert info["feedback"].effort.agent_turns == turns and info["feedback"].effort.user_turns == turns + 1


def test_tool_calls_are_no_turns() -> None:
    env = TurnBudget(made(max_steps=20), agent=1)
    assert steps(env, FIND)[0] == 20
    assert steps(env, {"name": "respond", "arguments": {"content": 5}})[0] == 20, "an error is no turn"
    assert steps(env, {"name": "respond", "arguments": {"content": "x", "more": object()}})[0] == 20
    assert steps(env)[0] == 1, "the rules of one episode are not those of the next"
    assert steps(env, FIND)[0] == 20


def test_the_nearer_budget_counts_and_the_step_limit_stays() -> None:
    assert steps(TurnBudget(made(), agent=5, user=3))[0] == 2
    assert steps(TurnBudget(made(max_steps=2), agent=5))[0] == 2


def test_a_stop_in_time_is_a_stop() -> None:
    env = TurnBudget(made(ScriptedUser(("a", Stop("bye")))), agent=1)
    _, (_, _, terminated, truncated, info) = steps(env)
    assert terminated and not truncated and info["feedback"].checks["finished"] is True


def test_the_trace_of_a_turn_budget_plays_again(tmp_path: Path) -> None:
    env = TurnBudget(made(record=tmp_path / "t.jsonl"), agent=2)
    env.reset(seed=0)
    for action in (FIND, HELLO, FIND, HELLO):
        env.step(action)
    env.close()
    (trace,) = read_traces(tmp_path / "t.jsonl")
    assert (trace.ended_by, trace.reward, trace.max_steps) == ("limit", 0.0, 4)
    again = Conversation.restore(
        get_task(trace.task_id), World(get_domain("mock")), trace.events, trace.rules, trace.seed
    )
    assert again.outcome.ended_by == "limit" and again.outcome.feedback == trace.feedback


def test_turn_budget_inside_the_wrappers_of_text() -> None:
    assert steps(ParseToolCalls(TurnBudget(made(), agent=3)), "Hi.")[0] == 3
    env = TurnBudget(made(), agent=1)
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step("Hi.")
    assert not env.step(FIND)[3]
    with pytest.raises(ValueError, match="Put TurnBudget inside"):
        TurnBudget(ChatAction(made()), agent=1)


@pytest.mark.parametrize("budget", [{}, {"agent": 0}, {"user": 1}, {"agent": 1.0}, {"agent": True}])
def test_wrong_turns(budget: Any) -> None:
    with pytest.raises(ValueError, match=r"TurnBudget(: \w+ is a whole number of at least \d, got| needs agent=)"):
        TurnBudget(made(), **budget)


def test_an_episode_that_becomes_too_dear_is_not_scored(tmp_path: Path) -> None:
    env = CostBudget(made(Dear(0.01), record=tmp_path / "t.jsonl"), per_episode=0.035)
    count, (observation, _, terminated, truncated, info) = steps(env)
    assert count == 3, "opening and three turns: four cents"
    assert (terminated, truncated, info["valid"], info["feedback"].reward) == (False, True, False, None)
    assert (info["failure"].side, info["failure"].kind) == ("user", "cost_budget")
    assert info["failure"].message == "This episode has cost $0.0400; the budget is $0.035."
    assert observation["content"] == "hm"
    assert steps(env)[0] == 3, "every episode has its own"
    assert env.spent == pytest.approx(0.08)
    env.close()
    assert [t.ended_by for t in read_traces(tmp_path / "t.jsonl")] == ["failure"]


def test_what_the_agent_spends_counts_as_its_own() -> None:
    env = CostBudget(made(Dear(0.01)), per_episode=0.5)
    env.reset(seed=0)
    outer = ParseToolCalls(env)
    outer.get_wrapper_attr("spend")(0.4)
    assert not outer.step("Hi.")[3]
    outer.get_wrapper_attr("spend")(0.1)
    *_, info = outer.step("Hi.")
    assert info["failure"].side == "agent" and not info["valid"]


def test_the_total_is_for_all_episodes() -> None:
    env = CostBudget(made(Dear(0.01), max_steps=2), total=0.055)
    assert steps(env)[1][4]["valid"], "three cents"
    count, (*_, info) = steps(env)
    assert count == 2 and info["valid"], "the last step was paid; an ended episode is left alone"
    with pytest.raises(ValueError, match=r"The budget of \$0\.055 is spent \(\$0\.0600\)"):
        env.reset()


def test_an_unknown_price_is_not_zero() -> None:
    *_, info = steps(CostBudget(made(Dear(None)), per_episode=1.0))[1]
    assert info["failure"].kind == "cost_unknown" and not info["valid"]
    ignoring = CostBudget(made(Dear(None), max_steps=3), per_episode=1.0, unknown_price="ignore")
    assert steps(ignoring)[1][4]["valid"]


def test_a_user_side_that_calls_no_model_costs_nothing() -> None:
    env = CostBudget(made(max_steps=3), total=0.01)
    assert all(steps(env)[1][4]["valid"] for _ in range(3)) and env.spent == 0.0


@pytest.mark.parametrize("budget", [{}, {"total": 0}, {"per_episode": -1.0}, {"total": float("nan")}, {"total": "1"}])
def test_wrong_money(budget: Any) -> None:
    with pytest.raises(
        ValueError, match=r"CostBudget(: \w+ is a number of US dollars above 0, got| needs per_episode)"
    ):
        CostBudget(made(), **budget)
    with pytest.raises(ValueError, match="spend takes US dollars, 0 or more, got -1"):
        CostBudget(made(), total=1.0).spend(-1)
