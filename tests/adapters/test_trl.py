"""What the TRL adapter does without TRL: masks, groups, typed tools."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args, get_type_hints

import pytest

from usersim_env.adapters import EpisodeSettings
from usersim_env.adapters import trl as adapter
from usersim_env.adapters.trl import LEFT, OVER, Training, environment_factory, environment_rewards, kept_rewards
from usersim_env.adapters.typed_tools import typed_method
from usersim_env.domains import get_domain
from usersim_env.errors import UsageError

EOS = "\x00"
MOCK = EpisodeSettings("TauMock-agenda-v0", {"max_steps": 3}, {"rule": 1.0, "survey.mean": 0.5})


class Letters:
    """A tokenizer whose tokens are letters; the end of a turn is one of them."""

    eos_token, eos_token_id = "<|im_end|>", 0

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert add_special_tokens is False
        return {"input_ids": [ord(letter) for letter in text.replace("<|im_end|>", EOS)]}

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert not skip_special_tokens  # a thought between special tokens must be seen
        return "".join(map(chr, ids)).replace(EOS, "")

    def convert_tokens_to_ids(self, token: str) -> int:
        return 0 if token == self.eos_token else 1


class Trainer:
    processing_class = Letters()

    class args:
        max_completion_length = 4000


def played(monkeypatch: pytest.MonkeyPatch, settings: EpisodeSettings, answers: Any, **training: Any) -> dict[str, Any]:
    def generate(trainer: Any, prompts: list[list[int]], limit: int) -> list[list[int]]:
        return [[ord(letter) for letter in answers(n)] for n, _ in enumerate(prompts)]

    monkeypatch.setattr(adapter, "_generate", generate)
    play = adapter.rollout_func(Training(settings, **training))
    return play(["mock/test/0#0"] * 4, Trainer())


@pytest.mark.parametrize("end", ["", EOS])
def test_the_mask_covers_what_the_model_wrote_and_nothing_else(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    out = played(monkeypatch, MOCK, lambda n: f"What is your e-mail, number {n}?{end}")
    for row in range(4):
        pairs = list(zip(out["completion_ids"][row], out["env_mask"][row], strict=True))
        own = "".join(chr(token) for token, mask in pairs if mask)
        assert own == (f"What is your e-mail, number {row}?" + end) * 3
        assert out["texts"][row] == [m["content"] for m in out["messages"][row] if m["role"] == "assistant"]
        text = "".join(chr(token) for token, _ in pairs).replace(EOS, "<|im_end|>")
        said = [m["content"] for m in out["messages"][row] if m["role"] == "user"]
        assert f"?<|im_end|>\n<|im_start|>user\n{said[1]}<|im_end|>\n<|im_start|>assistant\nWhat" in text
    assert out["episode_reward"] == [out["episode_reward"][0]] * 4 and out["episode_reward"][0] > 0


def test_an_outage_is_left_out_with_every_token(monkeypatch: pytest.MonkeyPatch, outage: Any, dead: Any) -> None:
    for settings in (outage, dead):
        out = played(monkeypatch, settings, lambda n: "Hello!")
        assert out["episode_reward"] == [None] * 4 and out["failure"] == ["user:outage"] * 4
        assert all(len(ids) == len(mask) > 0 for ids, mask in zip(out["completion_ids"], out["env_mask"], strict=True))
        assert not any(map(sum, out["env_mask"]))


def test_a_group_needs_two_scored_episodes() -> None:
    keys = ["a", "a", "a", "b", "b", "c", "c"]
    assert kept_rewards(keys, [1.0, None, 0.0, None, 1.0, 0.0, 0.0]) == [1.0, None, 0.0, None, None, 0.0, 0.0]


@pytest.mark.parametrize("unfinished", [None, -1.0])
def test_an_episode_without_room_is_not_scored_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch, unfinished: float | None
) -> None:
    out = played(monkeypatch, MOCK, lambda n: "Hello!", turn_tokens=3950, unfinished=unfinished)
    assert out["episode_reward"] == [unfinished] * 4 and out["failure"] == ["agent:unfinished"] * 4


def test_a_model_that_speaks_no_chatml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "eos_token_id", 7)
    with pytest.raises(UsageError, match=r"ends its turns with '<\|im_end\|>'"):
        played(monkeypatch, MOCK, lambda n: "Hello!")


def test_what_cannot_be_played_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="more than one turn of 5000 tokens, got 4000"):
        played(monkeypatch, MOCK, lambda n: "Hello!", turn_tokens=5000)
    with pytest.raises(UsageError, match="task#seed, such as 'retail/train/3#0', got 'Hello'"):
        adapter.rollout_func(Training(MOCK))(["Hello"], Trainer())


def test_the_fields_of_objects_inside_are_described() -> None:
    tools = {tool["function"]["name"]: tool["function"] for tool in get_domain("airline").schemas()}
    told = str(typed_method(tools["book_reservation"], lambda *_: "").__doc__)
    line = next(line for line in told.splitlines() if line.startswith("    flights:"))
    assert (
        "Each has the fields flight_number (string): Flight number, such as 'HAT001'; date (string): The date" in line
    )
    fields = {"type": "object", "description": "Where.", "properties": {"city": {"type": "string"}}}
    schema = {"name": "go", "parameters": {"properties": {"to": fields}, "required": ["to"]}}
    assert "    to: Where. It has the fields city (string): city." in str(typed_method(schema, lambda *_: "").__doc__)


def test_every_tool_is_a_typed_method_and_so_is_talking() -> None:
    made: Any = environment_factory(Training(EpisodeSettings("TauRetail-agenda-v0")))
    public = {name for name, _ in inspect.getmembers(made, inspect.isfunction) if not name.startswith("_")}
    assert {"respond", "reset", "get_order_details", "exchange_delivered_order_items"} < public and len(public) == 18
    hints = get_type_hints(made().exchange_delivered_order_items)
    assert hints["item_ids"] == list[str] and hints["order_id"] is str and hints["return"] is str
    assert "item_ids: " in (made.exchange_delivered_order_items.__doc__ or "")


def test_an_argument_that_is_not_required_is_optional() -> None:
    made = environment_factory(Training(MOCK))
    signature = inspect.signature(made().move_ticket)
    assert list(signature.parameters) == ["ticket_id", "day", "note"]
    assert signature.parameters["note"].default is None
    assert signature.parameters["note"].annotation == str | None
    day = signature.parameters["day"].annotation
    assert day == Literal[get_args(day)] and "monday" in get_args(day)


def test_a_name_that_python_does_not_have_is_refused() -> None:
    schema = {"name": "x", "parameters": {"properties": {"class": {}}, "required": []}}
    with pytest.raises(UsageError, match="cannot be named in Python"):
        typed_method(schema, lambda self, name, arguments: "")


def test_an_episode_through_the_methods(oracle: Any) -> None:
    training = Training(MOCK.with_keywords(max_steps=30))
    environment: Any = environment_factory(training)()
    assert environment.reset(task_id="mock/test/0", seed=0, prompt=[])
    move = oracle("mock/test/0", "call")
    for _ in range(9):
        action = move()
        answer = getattr(environment, action["name"])(**action["arguments"])
    assert answer == OVER
    (reward,) = environment_rewards(training)([environment], ["mock/test/0"], [0])
    assert reward is None, "one episode is no group"
    both = environment_rewards(training)([environment] * 2, ["mock/test/0"] * 2, [0] * 2)
    assert both == [both[0]] * 2 and both[0] is not None and both[0] > 1.0


@pytest.mark.parametrize("unfinished", [None, 0.0])
def test_an_agent_that_leaves_is_not_scored_unless_it_is_said(unfinished: float | None) -> None:
    training = Training(MOCK, unfinished=unfinished)
    environments: list[Any] = [environment_factory(training)() for _ in range(2)]
    for environment in environments:
        environment.reset("mock/test/0", 0)
    assert environment_rewards(training)(environments, ["mock/test/0"] * 2, [0] * 2) == [unfinished] * 2
    assert environments[0]._turn.failure.message == LEFT


def test_an_outage_is_never_the_agents_leaving(outage: Any) -> None:
    training = Training(outage, unfinished=0.0)
    environments: list[Any] = [environment_factory(training)() for _ in range(2)]
    for environment in environments:
        environment.reset("mock/test/0", 0)
        assert OVER in environment.respond(content="Hello!")
    assert environment_rewards(training)(environments, ["mock/test/0"] * 2, [0] * 2) == [None, None]
