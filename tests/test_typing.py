"""What a type checker sees of the root: `make lint` runs mypy over this file, which fails where a type is another."""

from __future__ import annotations

from typing_extensions import assert_type

import usersim_env as ue


def test_the_types_of_what_scripts_call() -> None:
    env = ue.make("TauMock-agenda-v0", max_steps=2)
    assert_type(env, ue.TauEnv)
    agent = ue.ScriptedAgent(["Hello."])
    settings = ue.RolloutSettings(seeds=(0,), keywords={"max_steps": 2}, progress=False)
    result = ue.rollout(agent, "TauMock-agenda-v0", settings)
    assert_type(result, ue.RolloutResult)
    assert_type(result.traces, tuple[ue.Trace, ...])
    other = ue.rollout(
        agent, "TauMock-agenda-v0", ue.RolloutSettings(seeds=(1,), keywords={"max_steps": 2}, progress=False)
    )
    found = ue.compare(result.traces, other.traces, ue.GapSettings(replicates=100))
    assert_type(found, ue.GapResult)
    assert_type(result.success, "float | None")
