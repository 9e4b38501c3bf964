"""The upstream engine that ours is compared with is upstream's, with τ-bench's content only."""

from __future__ import annotations

import sys

import pytest

from usersim_env.domains import get_domain, tau_bench
from usersim_env.domains.upstream_engine import UpstreamEngine
from usersim_env.errors import InstallError, UnknownName


@pytest.fixture(params=["retail", "airline"])
def engine(request: pytest.FixtureRequest) -> UpstreamEngine:
    try:
        return UpstreamEngine(request.param)
    except InstallError as error:
        pytest.skip(str(error))


def test_it_runs_upstreams_code_on_the_verified_data(engine: UpstreamEngine) -> None:
    env = engine.make()
    assert type(env).__module__ == f"{tau_bench.installed()}.envs.base"
    assert tau_bench.content_hash(env.data) == tau_bench.SOURCES[engine.domain].hashes["data"]
    assert len(env.tasks) == len(get_domain(engine.domain).tasks("test"))
    assert env.terminate_tools == ["transfer_to_human_agents"]
    assert not [name for name in sys.modules if name.startswith(tau_bench.installed())]


def test_its_user_is_stubbed_and_never_stops(engine: UpstreamEngine) -> None:
    env = engine.make()
    assert env.reset(3).observation == ""
    step = env.step(engine.action(name="respond", kwargs={"content": "Hello"}))
    assert (step.observation, step.reward, step.done) == ("", 0, False)
    end = env.step(engine.action(name="transfer_to_human_agents", kwargs={"summary": ""}))
    assert end.done


def test_envs_share_no_tasks(engine: UpstreamEngine) -> None:
    assert engine.make().tasks[0] is not engine.make().tasks[0]


def test_other_domains_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"Unknown domain of τ-bench 'mock'\. Known: retail, airline\."):
        UpstreamEngine("mock")
