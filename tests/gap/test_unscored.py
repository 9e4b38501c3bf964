"""No agent gains by episodes that are not scored: what they could be worth is said, and many of them are a warning."""

from __future__ import annotations

import dataclasses
import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.gap.conftest import REFERENCE, SIM, make_side
from usersim_env.agent import Action, AgentSession, Observation
from usersim_env.baselines import Clerk
from usersim_env.cli import main
from usersim_env.errors import UsageError
from usersim_env.feedback.values import Failure
from usersim_env.gap import ComparisonWarning, GapSettings, compare
from usersim_env.gap.tables import footnotes
from usersim_env.rollouts import RolloutResult, RolloutSettings, rollout
from usersim_env.traces.trace import Trace

FAST = GapSettings(replicates=200)
TASKS = [f"retail/test/{number}" for number in range(12)]


@dataclasses.dataclass(frozen=True)
class OptsOut:
    """Loses three episodes of four, and lets those fail instead that it would lose."""

    name: str = "opts-out"
    privileged: bool = False

    def describe(self) -> dict[str, Any]:
        return {}

    def begin(self, info: Any, seed: int) -> AgentSession:
        good = int(info["task_id"].rpartition("/")[2]) % 4 == 0
        inner = Clerk(ask_again=0, wrong_argument=0).begin(info, seed)
        return inner if good else Junk()


class Junk(AgentSession):
    def act(self, observation: Observation) -> Action:
        raise RuntimeError("I would rather not.")


@pytest.fixture(scope="module")
def opted_out() -> RolloutResult:
    settings = RolloutSettings(tasks=TASKS, keywords={"persona": "cooperative"}, progress=False)
    return rollout(OptsOut(), "TauRetail-agenda-v0", settings)


@pytest.fixture(scope="module")
def honest() -> RolloutResult:
    settings = RolloutSettings(tasks=TASKS, keywords={"persona": "humanlike"}, progress=False)
    return rollout(Clerk(), "TauRetail-agenda-v0", settings)


@pytest.mark.filterwarnings("ignore::usersim_env.gap.ComparisonWarning")
def test_the_agent_that_opts_out(opted_out: RolloutResult, honest: RolloutResult) -> None:
    assert opted_out.success is not None and opted_out.success > 0.6
    assert opted_out.failed == {"agent:error": 9}
    bounds = opted_out.success_bounds
    assert bounds is not None and bounds[0] <= 0.25 and bounds[1] > 0.9
    result = compare(opted_out.traces, honest.traces, FAST)
    assert any("9 of 12 episodes of the sim side (75%) have failed and are not" in text for text in result.warnings)
    assert result.failures.sim == 9 and result.failures.sim_success[0] <= 0.25
    assert any("Failed episodes, whoever failed: 9 simulated (75.0%; success 0.2" in text for text in footnotes(result))
    counted = GapSettings(replicates=200, agent_failures="zero")
    zero = compare(opted_out.traces, honest.traces, counted)
    assert zero.success[0].estimate <= 0.25 and zero.pairing.sim.n_scored == 12


def test_from_the_shell_too(
    opted_out: RolloutResult, honest: RolloutResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "sim.jsonl", tmp_path / "reference.jsonl"]
    for file, side in zip(files, (opted_out, honest), strict=True):
        file.write_bytes(b"".join(trace.to_line() for trace in side.traces))
    words = ["gap", "--sim", str(files[0]), "--reference", str(files[1]), "--json"]
    found = []
    for more in ([], ["--agent-failures-as-zero"]):
        assert main([*words, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [one["sides"]["sim"]["scored"] for one in found] == [3, 12]
    assert found[1]["sides"]["sim"]["success"]["estimate"] <= 0.25
    assert found[0]["failures"]["sim_success"][0] == pytest.approx(found[1]["sides"]["sim"]["success"]["estimate"])


def test_an_honest_agent_with_some_outages_has_narrow_bounds() -> None:
    """1,000 episodes of 100 tasks, of which 5 % are lost to outages of the user's model, whatever would have come."""
    rng = random.Random(1)
    sides: list[list[Trace]] = []
    for user in (SIM, REFERENCE):
        rewards = [[None if rng.random() < 0.05 else float(rng.random() < 0.5) for _ in range(10)] for _ in range(100)]
        sides.append(make_side(user, rewards))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # 5 % are no reason for alarm
        result = compare(sides[0], sides[1], FAST)
    low, high = result.failures.sim_success
    assert low < result.success[0].estimate < high
    print(f"5 % outages: success {result.success[0].estimate:.3f}, with them as 0 {low:.3f}, as 1 {high:.3f}")
    assert high - low == pytest.approx(result.failures.sim_rate, abs=0.01) and high - low < 0.07


def test_a_failure_that_is_nobodys_agents_stays_out() -> None:
    sim = make_side(SIM, [[1.0, None], [1.0, None]], failure=Failure("user", "outage", "m"))
    sim = [trace if trace.reward is None else dataclasses.replace(trace, failure=None) for trace in sim]
    settings = GapSettings(replicates=200, agent_failures="zero")
    with pytest.warns(ComparisonWarning, match="have failed"):
        result = compare(sim, make_side(REFERENCE, [[1.0], [1.0]]), settings)
    assert result.pairing.sim.n_scored == 2
    with pytest.raises(UsageError, match="agent_failures is 'unscored' or 'zero', got 'one'"):
        GapSettings(agent_failures="one")  # type: ignore[arg-type]
