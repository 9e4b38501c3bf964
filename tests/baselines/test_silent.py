from collections.abc import Callable

import pytest

from usersim_env.agent import Agent
from usersim_env.baselines import Silent
from usersim_env.domains import get_domain
from usersim_env.traces.trace import Trace
from usersim_env.users import ScriptedUser

BRIEF = ScriptedUser(("Hello.", "Hm."))


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize(("domain", "expected"), [("retail", 7), ("airline", 19)])
def test_doing_nothing_scores_what_upstream_gives(play: Callable[..., Trace], domain: str, expected: int) -> None:
    agent: Agent = Silent()
    traces = [play(agent, task.id, BRIEF) for task in get_domain(domain).tasks("test")]
    assert sum(trace.reward == 1.0 for trace in traces) == expected


def test_it_repeats_its_sentence_until_the_user_side_stops(play: Callable[..., Trace]) -> None:
    trace = play(Silent(), "mock/test/0", ScriptedUser(("a", "b", "c")))
    said = [m.content for m in trace.messages if m.role == "agent"]
    assert len(said) == 3 and len(set(said)) == 1 and said[0]
    assert (trace.ended_by, trace.reward, trace.effort.tool_calls) == ("user", 0.0, 0)
