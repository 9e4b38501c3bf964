"""Every fault of a model's server, through the environment: no reward of 0, and no step that hangs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium as gym
import pytest

import usersim_env  # noqa: F401 - registers the ids
from usersim_env.conversation.machine import AgentTurn, Conversation, SurveyTurn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.domains import World, get_domain
from usersim_env.env.raised import user_failure
from usersim_env.llm import Model
from usersim_env.messages import ToolCall
from usersim_env.users.llm import LLMUser

pytestmark = [
    # litellm leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Fault(NamedTuple):
    """What the server does when asked for the customer's second turn, and what that comes to.

    `kind` is the failure's, or None for an episode that is scored; `requests` counts those for the turn.
    """

    name: str
    script: list[str]
    kind: str | None
    requests: int
    words: str | None = None


def say(text: Any) -> str:
    return "say:" + json.dumps(text)


STOP = "###STOP###"
QUOTED = f'The e-mail said "{STOP}", what does that mean?'
FAULTS = [
    Fault("none", [], None, 1, "I would like to move my repair."),
    Fault("429 once", ["429"], None, 2, "I would like to move my repair."),
    Fault("429 with Retry-After once", ["busy"], None, 2, "I would like to move my repair."),
    Fault("429 for ever", ["429"] * 3, "rate_limit", 3),
    Fault("429 with Retry-After of an hour", ["busy_for_long"], "rate_limit", 1),
    Fault("429 out of quota", ["no_quota"], "quota", 1),
    Fault("408 once", ["408"], None, 2),
    Fault("409 once", ["409"], None, 2),
    Fault("500 twice", ["500"] * 2, None, 3),
    Fault("500 for ever", ["500"] * 3, "outage", 3),
    Fault("503 once", ["503"], None, 2),
    Fault("503 for ever", ["503"] * 3, "outage", 3),
    Fault("529 once", ["529"], None, 2),
    Fault("hangs once", ["hang"], None, 2),
    Fault("hangs for ever", ["hang"] * 2, "timeout", 2),
    Fault("trickles for ever", ["trickle"] * 2, "timeout", 2),
    Fault("connection cut once", ["cut"], None, 2),
    Fault("connection cut for ever", ["cut"] * 3, "outage", 3),
    Fault("400", ["400"], "refused_request", 1),
    Fault("401, the key in its text", ["another_key"], "auth", 1),
    Fault("403", ["403"], "auth", 1),
    Fault("404, wrong model", ["404"], "refused_request", 1),
    Fault("422", ["422"], "refused_request", 1),
    Fault("context too long", ["too_long"], "context_length", 1),
    Fault("invalid JSON once", ["no_json"], None, 2),
    Fault("invalid JSON for ever", ["no_json"] * 3, "bad_reply", 3),
    Fault("a web page for ever", ["web_page"] * 3, "bad_reply", 3),
    Fault("empty choices for ever", ["no_choice"] * 3, "bad_reply", 3),
    Fault("content null once", [say(None)], None, 2),
    Fault("content null for ever", [say(None)] * 3, "bad_reply", 3),
    Fault("content blank for ever", [say(" \n")] * 3, "bad_reply", 3),
    Fault("502 inside a 200 once", ["upstream_down"], None, 2),
    Fault("502 inside a 200 for ever", ["upstream_down"] * 3, "outage", 3),
    Fault("429 inside a 200 for ever", ["upstream_busy"] * 3, "rate_limit", 3),
    Fault("404 inside a 200", ["upstream_refuses"], "refused_request", 1),
    Fault("redirected to another host", ["elsewhere"], "refused_request", 1),
    Fault("compressed unasked for ever", ["compressed"] * 3, "bad_reply", 3),
    Fault("an answer without end", ["endless"] * 3, "bad_reply", 3),
    Fault("10 MB once", ["huge"], None, 2),
    Fault("10 MB for ever", ["huge"] * 3, "bad_reply", 3),
    Fault("a tool call for ever", ["tool"] * 3, "bad_reply", 3),
    Fault("agent-like text once", [say("Sure! How can I help you today?")], None, 2),
    Fault("agent-like text for ever", [say("Agent: I have moved it.")] * 3, "bad_reply", 3),
    Fault("stop word quoted", [say(QUOTED)], None, 1, QUOTED),
    Fault("stop word alone", [say(STOP)], None, 1, ""),
    Fault("stop word after a farewell", [say(f"Thanks, bye! {STOP}")], None, 1, "Thanks, bye!"),
    Fault("no token counts", ["uncounted"], None, 1, "Hello, I have a question."),
]
HELLO = {"name": "respond", "arguments": {"content": "May I have your e-mail?"}}


@pytest.fixture(params=FAULTS, ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest, server: Any) -> Fault:
    """A fault that waits for the second turn."""
    chosen: Fault = request.param
    server.script = ["ok", *chosen.script]
    return chosen


@pytest.fixture
def patient(fault: Fault, model: Model, imported: None) -> Model:
    """The model; it waits a second, and once more, for a server that may never answer."""
    slow = {"hang", "trickle"} & set(fault.script)
    return replace(model, timeout=1.0, retries=1) if slow else model


def spent(server: Any) -> int:
    """Requests for the second turn: neither the opening nor the survey."""
    return len([r for r in server.requests[1:] if "response_format" not in r])


def test_through_the_environment(fault: Fault, server: Any, patient: Model, record_property: Any) -> None:
    env = gym.make("TauMock-v0", user=LLMUser(patient), max_steps=1, disable_env_checker=True)
    _, info = env.reset(seed=0, options={"task_id": "mock/test/0"})
    assert info["valid"]
    observation, reward, terminated, truncated, info = env.step(HELLO)
    assert not server.release.is_set(), "the server still hangs, the step has returned"
    trace = env.unwrapped.trace()  # type: ignore[attr-defined]
    failure = info.get("failure")
    came = f"failure {failure.kind}, not scored" if failure else f"scored {info['feedback'].reward}, {trace.ended_by}"
    record_property("fault", (fault.name, "sync", spent(server), came))
    assert (terminated or truncated) and reward == 0.0
    assert spent(server) == fault.requests
    if fault.kind is None:
        assert info["valid"] and info["feedback"].reward == 0.0 and info["feedback"].survey is not None
        assert fault.words is None or observation["content"] == fault.words
        assert trace.ended_by == ("user" if STOP in str(fault.script) and fault.words != QUOTED else "limit")
    else:
        assert failure is not None and (failure.side, failure.kind) == ("user", fault.kind)
        assert not info["valid"] and info["feedback"].reward is None and trace.reward is None
        assert observation["content"] == "" and truncated
        assert "sk-" not in trace.to_line().decode()
    env.close()


async def converse(user: LLMUser) -> Conversation:
    """One agent step with the async twins of the user side."""
    domain = get_domain("mock")
    conversation = Conversation(domain.task("mock/test/0"), World(domain), Rules(max_steps=1), 0)
    session = user.begin(conversation.scene())
    while not conversation.over:
        turn = conversation.turn
        try:
            if isinstance(turn, UserTurn):
                conversation.hear(await (session.aopen if turn.opening else session.areply)(turn.scene))
            elif isinstance(turn, SurveyTurn):
                conversation.survey(await session.afill_survey(turn.scene))
            else:
                assert isinstance(turn, AgentTurn)
                conversation.act(ToolCall(HELLO["name"], HELLO["arguments"]))  # type: ignore[arg-type]
        except Exception as error:
            conversation.fail(user_failure(error))
    return conversation


def test_through_the_async_twins(
    fault: Fault, server: Any, patient: Model, loop: asyncio.AbstractEventLoop, record_property: Any
) -> None:
    outcome = loop.run_until_complete(converse(LLMUser(patient))).outcome
    assert not server.release.is_set()
    failure = outcome.failure
    came = f"failure {failure.kind}, not scored" if failure else f"scored {outcome.feedback.reward}, {outcome.ended_by}"
    record_property("fault", (fault.name, "async", spent(server), came))
    assert spent(server) == fault.requests
    assert (failure.kind if failure else None) == fault.kind
    assert outcome.feedback.reward == (0.0 if fault.kind is None else None)


def test_a_server_that_is_not_there_is_an_outage(server: Any) -> None:
    model = Model("openai/local", "http://127.0.0.1:9/v1", retries=1, backoff=0.01)
    env = gym.make("TauMock-v0", user=LLMUser(model), disable_env_checker=True)
    observation, info = env.reset(seed=0)
    assert observation["content"] == ""
    assert info["failure"].kind == "outage" and "(tried 2 times)" in info["failure"].message
    _, _, _, truncated, info = env.step(HELLO)
    assert truncated and info["feedback"].reward is None


def test_a_failing_survey_spoils_no_reward(server: Any, model: Model) -> None:
    server.script = ["ok", "ok", "500", "500", "500"]
    env = gym.make("TauMock-v0", user=LLMUser(model), max_steps=1, disable_env_checker=True)
    env.reset(seed=0, options={"task_id": "mock/test/0"})
    *_, info = env.step(HELLO)
    assert info["valid"] and info["feedback"].reward == 0.0 and info["feedback"].survey is None
    assert env.unwrapped.trace().events[-1]["kind"] == "outage"  # type: ignore[attr-defined]
