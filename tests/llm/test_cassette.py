"""Recording and replaying: everything that shapes an answer counts, and nothing else."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from usersim_env.errors import ModelError, UsageError
from usersim_env.llm import Cassette, Model, ModelSession, Request

KEY = "my-key-0123456789"


def ask(text: str = "Hello", **more: Any) -> Request:
    return Request(({"role": "system", "content": "Play."}, {"role": "user", "content": text}), **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "cassette.jsonl"


@pytest.fixture
def recorder(path: Path) -> Model:
    return Model("openai/m", "http://somewhere:1/v1", KEY, 0.5, cassette=Cassette(path, "record"))


@pytest.fixture
def player(path: Path) -> Model:
    return Model("openai/m", None, None, 0.5, cassette=Cassette(path, "replay"))


def test_a_recorded_answer_is_replayed_without_a_model(fake: Any, recorder: Model, player: Model) -> None:
    asked = fake("one", "two", "three")
    session = ModelSession(recorder)
    recorded = [session.complete(r) for r in (ask(), ask(), ask("Bye"))]
    replaying = ModelSession(player)
    assert [replaying.complete(r) for r in (ask(), ask(), ask("Bye"))] == recorded
    assert [answer.text for answer in recorded] == ["one", "two", "three"], "a repetition is an entry of its own"
    assert len(asked) == 3
    assert replaying.usage == replace(session.usage, replayed=3)


def test_the_async_call_uses_the_same_tape(fake: Any, recorder: Model, player: Model, loop: Any) -> None:
    fake("one")
    recorded = loop.run_until_complete(ModelSession(recorder).acomplete(ask()))
    assert loop.run_until_complete(ModelSession(player).acomplete(ask())) == recorded
    assert ModelSession(player).complete(ask()) == recorded


def test_each_session_counts_its_own_repetitions(fake: Any, recorder: Model, player: Model) -> None:
    fake("one", "two")
    session = ModelSession(recorder)
    session.complete(ask())
    session.complete(ask())
    assert [ModelSession(player).complete(ask()).text for _ in range(2)] == ["one", "one"]


def test_recorded_again_the_last_counts(fake: Any, recorder: Model, player: Model) -> None:
    fake("old", "new")
    ModelSession(recorder).complete(ask())
    assert ModelSession(player).complete(ask()).text == "old"
    ModelSession(recorder).complete(ask())
    assert ModelSession(player).complete(ask()).text == "new"


TOOL = {"type": "function", "function": {"name": "t", "parameters": {}}}


@pytest.mark.parametrize(
    ("request_", "changes", "difference"),
    [
        (ask("Hallo"), {}, r"messages\[1\]\.content: 'Hello' recorded, 'Hallo' asked"),
        (ask(seed=3), {}, "seed: 2 recorded, 3 asked"),
        (ask(seed=2, stop=("x",)), {}, "stop: asked only"),
        (ask(seed=2, schema={"type": "object"}), {}, "response_format: asked only"),
        (ask(seed=2, tools=(TOOL,)), {}, "tools: asked only"),
        (ask(seed=2), {"temperature": 0.7}, "temperature: 0.5 recorded, 0.7 asked"),
        (ask(seed=2), {"temperature": None}, "temperature: recorded only"),
        (ask(seed=2), {"name": "openai/n"}, "model: 'openai/m' recorded, 'openai/n' asked"),
        (ask(seed=2), {"extra": {"top_p": 0.9}}, "top_p: asked only"),
        (ask(seed=2), {"max_tokens": 5}, "max_tokens: asked only"),
    ],
)
def test_a_miss_names_the_nearest_entry_and_the_difference(
    fake: Any, recorder: Model, player: Model, request_: Request, changes: Any, difference: str
) -> None:
    asked = fake("far", "near")
    session = ModelSession(recorder)
    session.complete(ask("Something else entirely", seed=9, stop=("a", "b")))
    session.complete(ask(seed=2))
    with pytest.raises(
        ModelError, match=rf"holds no answer to this request\. The nearest entry is \w+; it .*{difference}"
    ) as caught:
        ModelSession(replace(player, **changes)).complete(request_)
    assert caught.value.kind == "cassette" and len(asked) == 2


def test_a_repetition_that_was_not_recorded_is_a_miss(fake: Any, recorder: Model, player: Model) -> None:
    fake("one")
    ModelSession(recorder).complete(ask())
    session = ModelSession(player)
    session.complete(ask())
    with pytest.raises(ModelError, match="repetition 0 recorded, 1 asked"):
        session.complete(ask())


def test_address_and_key_are_no_part_of_it(fake: Any, recorder: Model, path: Path) -> None:
    fake(f"My key is {KEY}.")
    extra = {"extra_headers": {"Authorization": KEY}, "api_token": KEY}
    ModelSession(replace(recorder, extra=extra)).complete(ask())
    line = path.read_text(encoding="utf-8")
    assert KEY not in line and "somewhere" not in line
    assert json.loads(line)["request"].keys() == {"model", "messages", "temperature"}


def test_a_line_that_was_cut_costs_only_itself(fake: Any, recorder: Model, player: Model, path: Path) -> None:
    fake("one", "two", "three")
    session = ModelSession(recorder)
    session.complete(ask("1"))
    session.complete(ask("2"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(UserWarning, match="line 2 is not whole and is left out"):
        assert ModelSession(player).complete(ask("1")).text == "one"
    with pytest.warns(UserWarning, match=r"the last line was cut in the middle; it was moved to .*jsonl\.cut"):
        ModelSession(recorder).complete(ask("3"))
    assert ModelSession(player).complete(ask("3")).text == "three"
    assert ModelSession(player).complete(ask("1")).text == "one"


def test_another_file_is_refused_before_a_model_is_asked(fake: Any, recorder: Model, path: Path) -> None:
    asked = fake("one")
    path.parent.mkdir()
    path.write_text("Chapter one", encoding="utf-8")
    with pytest.raises(UsageError, match=r"cassette\.jsonl is no cassette: it begins with b'Chapter one'"):
        ModelSession(recorder)
    assert asked == [] and path.read_text(encoding="utf-8") == "Chapter one"


def test_many_writers_leave_whole_lines(fake: Any, recorder: Model, path: Path) -> None:
    fake(*["x" * 5000] * 40)
    threads = [
        threading.Thread(target=lambda i=i: [ModelSession(recorder).complete(ask(f"{i} {j}")) for j in range(5)])
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.loads(line)["key"] for line in path.read_text(encoding="utf-8").splitlines()}) == 40


def test_a_missing_file_and_another_file_are_named(player: Model, path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*cassette\.jsonl\. Make one with .*mode='record'"):
        ModelSession(player).complete(ask())
    path.parent.mkdir()
    path.write_text('{"task_id": 1}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"cassette\.jsonl, line 1: not an entry of a cassette"):
        ModelSession(player).complete(ask())


def test_off_leaves_the_file_alone(fake: Any, path: Path) -> None:
    fake("one")
    assert ModelSession(Model("openai/m", cassette=Cassette(path, "off"))).complete(ask()).text == "one"
    assert not path.exists()


def test_failures_are_not_recorded(fake: Any, recorder: Model, path: Path) -> None:
    fake(ModelError("no", "auth"))
    with pytest.raises(ModelError, match="no"):
        ModelSession(recorder).complete(ask())
    assert not path.exists()
