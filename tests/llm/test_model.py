"""Settings, what reaches the request, and what never leaves the process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from usersim_env.errors import InstallError, ModelError, UnknownName, UsageError
from usersim_env.llm import Cassette, Completion, Model, ModelSession, Request, as_model
from usersim_env.llm.failures import without_secrets
from usersim_env.llm.model import public
from usersim_env.llm.session import Send, Usage, Wait

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
KEY = "sk-canary-0123456789"
ASK = Request(({"role": "user", "content": "Hello"},), seed=7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": " "}, "A model has a name such as 'openai/gpt-4o-mini', got ' '"),
        ({"temperature": 3.0}, "temperature is a number from 0 to 2, or None, got 3.0"),
        ({"max_tokens": 0}, "max_tokens is at least 1, or None, got 0"),
        ({"timeout": float("inf")}, "timeout is a finite number of seconds above 0, got inf"),
        ({"retries": -1}, "retries, backoff and max_wait are 0 or more"),
        ({"prices": (1.0, -1.0)}, "prices are (per prompt token, per completion token[, cached]), got (1.0, -1.0)"),
        ({"extra": {"seed": 1}}, "extra={'seed': …} is not taken: seed is set by Model"),
    ],
)
def test_a_wrong_setting_says_what_is_expected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Model(**{"name": "openai/m", **settings})
    assert message in str(caught.value)


def test_a_model_is_named_or_given() -> None:
    assert as_model("openai/m") == Model("openai/m")
    with pytest.raises(UsageError, match="a name such as 'openai/gpt-4o-mini' or a Model, got int"):
        as_model(7)  # type: ignore[arg-type]


def test_the_key_is_shown_nowhere_and_survives_pickling() -> None:
    extra = {"extra_headers": {"X": KEY}, "extra_body": {"token": KEY, "top_k": 3}, "top_p": 0.9}
    model = Model("openai/m", f"http://me:{KEY}@host:1/v1?key={KEY}", KEY, extra=extra)
    shown = repr(model) + repr(model.describe()) + repr(model.body(ASK))
    assert shown.count(KEY) == repr(model).count(KEY) == 2, "only the address as it was given, in repr"
    assert model.describe()["api_base"] == "http://host:1/v1"
    assert public(extra) == {"extra_body": {"top_k": 3}, "top_p": 0.9}
    assert pickle.loads(pickle.dumps(model)).api_key == KEY


def test_seed_temperature_and_the_rest_reach_the_server(server: Any) -> None:
    tool = {"type": "function", "function": {"name": "t", "parameters": {"type": "object", "properties": {}}}}
    model = Model("openai/m", server.base, KEY, temperature=0.25, max_tokens=9, extra={"top_p": 0.5})
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    ModelSession(model).complete(Request(ASK.messages, (tool,), schema, 7, ("\nAgent:",)))
    body = server.requests[0]
    sent = {"model": "m", "seed": 7, "temperature": 0.25, "max_tokens": 9, "top_p": 0.5, "stop": ["\nAgent:"]}
    assert {name: body[name] for name in sent} == sent
    assert body["tools"] == [tool] and body["messages"] == list(ASK.messages)
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_what_is_not_set_is_not_sent(server: Any) -> None:
    ModelSession(Model("openai/m", server.base, send_seed=False)).complete(ASK)
    assert server.requests[0].keys() == {"model", "messages"}


def test_a_key_in_an_error_is_cut_out(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script = ["another_key"]
    with pytest.raises(ModelError) as caught:
        ModelSession(Model("openai/m", server.base, "my own plain secret")).complete(ASK)
    assert caught.value.kind == "auth" and "plain secret" not in str(caught.value)
    monkeypatch.setenv("SOME_API_KEY", "plainwords1234")
    assert without_secrets("no plainwords1234, no sk-proj-abc***xyz") == "no …, no …"


def test_cost_is_what_was_configured_or_unknown(server: Any) -> None:
    session = ModelSession(Model("openai/m", server.base, prices=(0.001, 0.01)))
    assert session.complete(ASK).cost == pytest.approx(0.2)
    assert session.usage == Usage(1, 0, 0, 100, 10, 100 * 0.001 + 10 * 0.01)
    unpriced = ModelSession(Model("openai/m", server.base))
    assert unpriced.complete(ASK).cost is None and unpriced.usage.cost is None
    known = ModelSession(Model("openai/gpt-4o-mini", server.base))
    cost = known.complete(ASK).cost
    assert cost is not None and 0 < cost < 0.001, "litellm's own table"


def test_unknown_counts_are_unknown_not_zero(server: Any) -> None:
    server.script = ["ok", "uncounted", "ok"]
    session = ModelSession(Model("openai/m", server.base, prices=(0.001, 0.01)))
    answers = [session.complete(ASK) for _ in range(3)]
    assert [a.prompt_tokens for a in answers] == [100, None, 100] and answers[1].cost is None
    assert session.usage == Usage(3, 0, 0, None, None, None)


def waits(model: Model, *answers: ModelError | Completion) -> list[float]:
    """The pauses between the tries, without making any."""
    plan, left, found = ModelSession(model)._plan(ASK), list(answers), []
    step: Send | Wait = next(plan)
    try:
        while True:
            if isinstance(step, Wait):
                found.append(step.seconds)
            step = plan.send(left.pop(0) if isinstance(step, Send) else None)
    except StopIteration:
        return found


BUSY = ModelError("busy", "rate_limit", True)


def test_back_off_doubles_with_seeded_jitter_up_to_a_limit() -> None:
    model = Model("m", retries=5, backoff=1.0, max_wait=6.0)
    found = waits(model, *[BUSY] * 5, Completion("x"))
    assert found == waits(model, *[BUSY] * 5, Completion("x"))
    for wait, middle in zip(found, (1.0, 2.0, 4.0, 8.0, 16.0), strict=True):
        assert min(0.75 * middle, 6.0) <= wait <= min(1.25 * middle, 6.0)
    assert len(set(found[:3])) == 3 and found[0] not in (1.0, 0.75)


def test_what_the_server_asks_for_is_waited_but_not_for_ever() -> None:
    assert waits(Model("m"), ModelError("busy", "rate_limit", True, 7.0), Completion("x")) == [7.0]
    with pytest.raises(ModelError, match=r"asks to wait 99 s, longer than max_wait=60") as caught:
        waits(Model("m"), ModelError("busy", "rate_limit", True, 99.0), Completion("x"))
    assert caught.value.kind == "rate_limit"


def test_what_cannot_pass_is_asked_once() -> None:
    with pytest.raises(ModelError, match=r"^no$"):
        waits(Model("m"), ModelError("no", "auth"))
    with pytest.raises(ModelError, match=r"^busy \(tried 3 times\)$"):
        waits(Model("m", retries=2), BUSY, BUSY, BUSY)


def test_without_litellm_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(InstallError, match=r'pip install "usersim_env\[llm\]"'):
        ModelSession(Model("openai/m")).complete(ASK)


def test_importing_the_package_does_not_import_litellm_and_its_use_asks_no_network(server: Any) -> None:
    code = f"""
import sys, usersim_env, usersim_env.users.llm as side
assert "litellm" not in sys.modules
from usersim_env.llm import Model, ModelSession, Request
print(ModelSession(Model("openai/m", {server.base!r})).complete(Request(({{"role": "user", "content": "x"}},))).text)
import os, litellm
assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True" and litellm.cache is None and not litellm.num_retries
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "I would like to move my repair.\n"
    assert "cost map" not in done.stderr


def test_a_cassette_has_three_modes() -> None:
    with pytest.raises(UnknownName, match=r"Unknown cassette mode 'recrod'\. Did you mean 'record'\?"):
        Cassette("x", "recrod")
