"""What the agenda user's survey does not see: it takes the agent's word. `-s` prints the table of docs/agendas.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from usersim_env.agent import Action, Agent, Observation
from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.silent import Silent
from usersim_env.rollouts import RolloutSettings, rollout


class Claims(Silent):
    """Does nothing, and says that everything is done."""

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        return ClaimsSession()


class ClaimsSession:
    def act(self, observation: Observation) -> Action:
        text = "Done! I have completed all your requests. Anything else?"
        return {"name": "respond", "arguments": {"content": text}}


def measured(agent: Agent, persona: str) -> tuple[float, float]:
    settings = RolloutSettings(keywords={"persona": persona}, progress=False)
    found = rollout(agent, "TauRetail-agenda-v0", settings)
    survey = float(np.mean([trace.signals["survey.mean"] for trace in found.scored if trace.signals]))
    assert found.success is not None
    return found.success, survey


@pytest.mark.parametrize("persona", ["cooperative", "humanlike"])
def test_an_agent_that_only_claims_is_rated_like_one_that_works(persona: str) -> None:
    (claimed, liked), (done, rated) = measured(Claims(), persona), measured(Clerk(), persona)
    print(f"\n{persona}: claims: rule {claimed:.3f}, survey.mean {liked:.3f}; clerk: {done:.3f}, {rated:.3f}")
    assert claimed < 0.1 < 0.6 < done, "the rule reward tells them apart"
    assert abs(liked - rated) < 0.05, "the survey does not: when it does, docs/agendas.md changes"
