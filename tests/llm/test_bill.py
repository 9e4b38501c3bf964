"""What a call costs: cached and reasoning tokens, failures that were charged for, and thoughts that go back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.llm.conftest import Fake
from usersim_env.baselines.registry import make_agent
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.errors import ModelError, UsageError
from usersim_env.llm import Cassette, Completion, Model, ModelSession, Request, Usage
from usersim_env.llm.address import key_for
from usersim_env.llm.failures import retry_after, secret_name, without_login, without_secrets
from usersim_env.llm.model import public
from usersim_env.llm.transport import _read

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ASK = Request(({"role": "user", "content": "Hello"},))
HELLO = {"role": "user", "name": "user", "content": "hi"}


def answer(**fields: Any) -> Any:
    """An answer as litellm builds it."""
    litellm = pytest.importorskip("litellm")
    message = {"role": "assistant", "content": "Hi"} | fields.pop("message", {})
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120} | fields.pop("usage", {})
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return litellm.ModelResponse(choices=choices, usage=usage, model="m")


CACHED = {"prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 15}}


@pytest.mark.parametrize(
    ("prices", "cost"),
    [((1.0, 2.0, 0.1), 20 * 1.0 + 80 * 0.1 + 20 * 2.0), ((1.0, 2.0), None)],
)
def test_cached_tokens_have_their_own_price_or_none(prices: Any, cost: float | None) -> None:
    found = _read(Model("openai/x", prices=prices), answer(usage=CACHED))
    assert isinstance(found, Completion)
    assert (found.cached_tokens, found.reasoning_tokens, found.cost) == (80, 15, cost)
    used = Usage()
    used.add(found)
    assert (used.cached_tokens, used.reasoning_tokens, used.cost) == (80, 15, cost)


def test_without_cached_tokens_two_prices_are_enough() -> None:
    found = _read(Model("openai/x", prices=(1.0, 2.0)), answer())
    assert isinstance(found, Completion) and found.cost == 140.0


@pytest.mark.parametrize(
    ("fault", "known"), [("cut", False), ("no_json", False), ("no_choice", False), ("500", True), ("429", True)]
)
def test_a_failure_that_may_have_been_charged_for_is_unknown(
    server: Any, model: Model, imported: None, fault: str, known: bool
) -> None:
    server.script = [fault] * 3
    session = ModelSession(model)
    with pytest.raises(ModelError):
        session.complete(ASK)
    assert session.usage.cost == (0.0 if known else None)
    assert session.usage.prompt_tokens == (0 if known else None)
    server.script.clear()
    session.complete(ASK)
    assert session.usage.cost == (pytest.approx(1.1) if known else None)


def test_a_server_that_is_not_there_has_charged_nothing(imported: None) -> None:
    session = ModelSession(Model("openai/x", "http://127.0.0.1:9/v1", retries=0))
    with pytest.raises(ModelError, match="outage"):
        session.complete(ASK)
    assert session.usage.cost == 0.0


def test_a_long_answer_is_left_before_it_is_read(server: Any, model: Model, imported: None) -> None:
    server.script = ["endless"]
    with pytest.raises(ModelError, match="longer than 8 MiB") as error:
        ModelSession(model).complete(ASK)
    assert error.value.kind == "bad_reply"
    assert server.sent < 64 * 1024 * 1024


def test_a_refusal_is_words(imported: None) -> None:
    found = _read(Model("openai/x"), answer(message={"content": None, "refusal": "I cannot help."}))
    assert isinstance(found, Completion) and found.text == "I cannot help."


BLOCKS = ({"type": "thinking", "thinking": "cash", "signature": "s"},)
CALL = {"id": "1", "type": "function", "function": {"name": "find_ticket", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("name", "setting", "sent"),
    [
        ("openai/x", None, {}),
        ("deepseek/x", None, {"reasoning_content": "cash"}),
        ("deepseek/x", False, {}),
        ("openai/x", True, {"reasoning_content": "cash"}),
        ("anthropic/x", None, {"reasoning_content": "cash", "thinking_blocks": [dict(BLOCKS[0])]}),
    ],
)
def test_thoughts_go_back_beside_a_call_to_who_wants_them(name: str, setting: Any, sent: dict[str, Any]) -> None:
    asked: list[Request] = []
    blocks = BLOCKS if name.startswith("anthropic") else ()

    def complete(request: Request) -> Completion:
        asked.append(request)
        return Completion(None, (CALL,), "tool_calls", reasoning="cash", thinking_blocks=blocks)

    agent = ToolCalling(Model(name, send_reasoning=setting), complete=complete)
    session = agent.begin({"policy": "", "tools": []}, 0)
    session.act(HELLO)
    session.act({"role": "tool", "name": "find_ticket", "content": "[]"})
    message = dict(asked[1].messages[2])
    assert message["role"] == "assistant"
    assert {k: v for k, v in message.items() if k in ("reasoning_content", "thinking_blocks")} == sent


def test_a_reasoning_agent_from_the_shell() -> None:
    agent = make_agent("tool_calling:model=openai/o4,temperature=none,reasoning_effort=low,max_completion_tokens=900")
    assert isinstance(agent, ToolCalling)
    body = agent.setting.body(ASK)
    assert "temperature" not in body and body["reasoning_effort"] == "low" and body["max_completion_tokens"] == 900
    assert agent.describe()["reasoning_effort"] == "low"
    assert "reasoning_effort" not in ToolCalling("openai/x").describe()  # episodes of before keep their ids


# -- addresses, keys and secrets ---------------------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment-12345678")
    return monkeypatch


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_the_address_of_the_environment_is_in_the_trace(environment: pytest.MonkeyPatch, name: str) -> None:
    plain = Model("openai/x")
    environment.setenv(name, "http://a.example/v1")
    model = Model("openai/x")
    environment.setenv(name, "http://b.example/v1")
    assert plain.describe()["api_base"] is None
    assert model.describe()["api_base"] == "http://a.example/v1"  # resolved once
    assert Model("anthropic/x").api_base is None


def test_a_key_belongs_to_the_address_of_its_source(environment: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="OPENAI_API_KEY is not sent to http://other.example/v1.*api_key='env'"):
        model = Model("openai/x", "http://other.example/v1")
    assert key_for(model.provider, model.api_base, model.api_key) == "none"
    assert key_for("openai", "http://other.example/v1", "env") == "sk-environment-12345678"
    assert key_for("openai", "http://other.example/v1", "mine") == "mine"
    assert key_for("openai", None, None) is None  # litellm takes the environment's to OpenAI itself
    environment.setenv("OPENAI_BASE_URL", "http://other.example/v1")
    assert key_for("openai", "http://other.example/v1", None) == "sk-environment-12345678"
    environment.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY, which is not set"):
        key_for("openai", None, "env")


def test_no_key_of_the_environment_reaches_a_typed_address(
    environment: pytest.MonkeyPatch, server: Any, imported: None
) -> None:
    with pytest.warns(UserWarning, match="OPENAI_API_KEY is not sent"):
        session = ModelSession(Model("openai/x", server.base))
    session.complete(ASK)
    assert "sk-environment" not in str(server.headers)
    ModelSession(Model("openai/x", server.base, "env")).complete(ASK)
    assert "sk-environment" in str(server.headers[-1])


def test_secrets_reach_nothing_that_is_written_down() -> None:
    hidden = {"api_key": "s3cret", "x-auth": "s3cret", "password": "s3cret", "cookie": "s3cret", "private": "s3cret"}
    extra = {"a": [hidden, {"b": ({"session_id": "s3cret"},)}], "note": "Bearer s3cret", "max_new_tokens": 5}
    assert "s3cret" not in json.dumps(public(extra)) and public(extra)["max_new_tokens"] == 5
    assert without_login("https://u:s3cret@h/v1?key=s3cret") == "https://h/v1"
    assert without_login("https://h/sk-s3cret12345678/v1") == "https://h/…/v1"
    assert without_login("http://127.0.0.1:8080/v1") == "http://127.0.0.1:8080/v1"
    assert "s3cret" not in without_secrets("at https://u:s3cret@h/v1, Bearer s3cret, Basic s3cret")
    assert not secret_name("max_tokens") and not secret_name("tokenizer") and secret_name("authorization")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "3"}, 3.0),
    ],
)
def test_a_wait_that_cannot_be_followed_is_our_own(headers: dict[str, str], wait: float | None) -> None:
    error = Exception("busy")
    error.response = type("Response", (), {"headers": headers})()  # type: ignore[attr-defined]
    assert retry_after(error) == wait


# -- cassettes without seeds -------------------------------------------------------------------------------------------


def test_without_seeds_every_repetition_has_its_own_answer(tmp_path: Path, fake: Fake) -> None:
    def model(mode: str) -> Model:
        return Model("openai/x", send_seed=False, cassette=Cassette(tmp_path / "c.jsonl", mode))

    fake("one", "two", "three")
    asked = [Request(({"role": "user", "content": "Hello"},), seed=seed) for seed in (1, 2, 3)]
    said = [ModelSession(model("record")).complete(request).text for request in asked]
    assert said == ["one", "two", "three"]
    assert [ModelSession(model("replay")).complete(request).text for request in asked] == said


def test_a_cassette_of_before_is_still_played(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "c.jsonl"
    fake("one")
    ModelSession(Model("openai/x", cassette=Cassette(path, "record"))).complete(ASK)  # no seed at all: as before
    model = Model("openai/x", send_seed=False, cassette=Cassette(path, "replay"))
    assert ModelSession(model).complete(Request(ASK.messages, seed=5)).text == "one"
