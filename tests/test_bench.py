"""The layout of the figures; what they are is for the machine at hand, so nothing here asserts a time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from usersim_env.commands import engine_bench as bench
from usersim_env.domains import get_domain
from usersim_env.errors import InstallError, UsageError

OURS = {
    "reset_us", "make_reset_us", "call_us", "verdict_us", "verdict_worst_us", "tool_steps_per_s",
    "respond_steps_per_s", "kb_per_env",
}  # fmt: skip


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    try:
        get_domain("retail")
    except InstallError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "ROUNDS", 1)
        return bench.run(["retail"])


def test_the_layout(result: dict[str, Any]) -> None:
    assert list(result) == ["retail"]
    retail = result["retail"]
    assert set(retail) == OURS | {"upstream", "ratio"}
    assert set(retail["upstream"]) == {"reset_us", "call_us", "verdict_us", "kb_per_env"}
    assert set(retail["ratio"]) == {"reset", "make_reset", "verdict", "verdict_worst", "call"}
    figures = [retail[name] for name in OURS] + [*retail["upstream"].values(), *retail["ratio"].values()]
    assert all(isinstance(x, float) and x > 0 and math.isfinite(x) for x in figures)
    assert retail["verdict_worst_us"] >= retail["verdict_us"]
    assert json.loads(json.dumps(result)) == result


def test_ratios_are_theirs_to_ours_but_for_calls(result: dict[str, Any]) -> None:
    retail = result["retail"]
    theirs, ratio = retail["upstream"], retail["ratio"]
    assert ratio["make_reset"] == theirs["reset_us"] / retail["make_reset_us"]
    assert ratio["verdict_worst"] == theirs["verdict_us"] / retail["verdict_worst_us"]
    assert ratio["call"] == retail["call_us"] / theirs["call_us"]


def test_an_env_is_small_because_it_shares_the_database(result: dict[str, Any]) -> None:
    assert result["retail"]["kb_per_env"] <= 50
    assert result["retail"]["upstream"]["kb_per_env"] > 1000


def test_the_table_shows_every_figure(result: dict[str, Any]) -> None:
    text = bench.as_text(result)
    assert all(name in text for name in OURS)
    assert text.startswith("retail")
    assert f"{result['retail']['ratio']['reset']:,.1f}x" in text


def test_without_upstreams_engine_it_is_left_out_with_a_word(
    monkeypatch: pytest.MonkeyPatch, result: dict[str, Any]
) -> None:
    def missing(domain: str) -> None:
        raise ImportError("no module named 'nothing'")

    monkeypatch.setattr(bench, "UpstreamEngine", missing)
    monkeypatch.setattr(bench, "_ours", lambda domain: dict.fromkeys(OURS, 1.0))
    found = bench.run(["retail"])["retail"]
    assert found["upstream"] == {"left_out": "upstream's engine cannot be imported here: no module named 'nothing'"}
    assert found["ratio"] == {}
    assert "no module named 'nothing'" in bench.as_text({"retail": found})


def test_bare_calls_put_back_what_they_changed(result: dict[str, Any]) -> None:
    domain = get_domain("retail")
    data = {
        name: {key: json.loads(json.dumps(record)) for key, record in table.items()}
        for name, table in domain.data.items()
    }
    bench._bare_calls(domain, data)
    assert data == domain.data


def test_a_process_that_fails_is_quoted() -> None:
    with pytest.raises(UsageError, match=r"The memory of retail could not be measured: (.|\n)*no_such_function"):
        bench._in_fresh_process("no_such_function", "retail")
