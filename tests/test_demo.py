"""The demo's claim: a planted gap is seen, and two runs of one persona show no evidence of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from usersim_env.baselines import Clerk
from usersim_env.commands import demo_run as demo
from usersim_env.gap import GapSettings, compare
from usersim_env.gap.result import NO_EVIDENCE
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.trace import Trace


@cache
def traces(persona: str, seeds: tuple[int, ...]) -> Sequence[Trace]:
    settings = RolloutSettings(seeds=seeds, keywords={"persona": persona}, progress=False)
    return rollout(Clerk(), "TauRetail-agenda-v0", settings).traces


def test_the_planted_gap_is_seen() -> None:
    found = compare(traces("cooperative", (0, 1)), traces("humanlike", (0, 1)), GapSettings(replicates=2000)).rule
    assert found.gap.estimate < -0.1
    assert found.gap.high is not None and found.gap.high < -0.05
    assert found.finding == "simulated higher"


@pytest.mark.parametrize("persona", ["cooperative", "humanlike"])
def test_one_persona_with_other_seeds_shows_no_gap(persona: str) -> None:
    found = compare(traces(persona, (0, 1)), traces(persona, (2, 3)), GapSettings(replicates=2000)).rule
    assert found.gap.covers_zero
    assert found.finding == NO_EVIDENCE


def test_it_says_that_nobody_took_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = demo.run(tmp_path, "0-5")
    out, err = capsys.readouterr()
    text = page.read_text(encoding="utf-8")
    for said in (text, out + err):
        assert "synthetic" in said
        assert "planted" in said
    assert len(list(tmp_path.glob("*.png"))) >= 4
    assert sum(len(p.read_text(encoding="utf-8").splitlines()) for p in tmp_path.glob("*.jsonl")) == 2 * 2 * 6
