from collections.abc import Callable

import pytest

from usersim_env.baselines import Oracle
from usersim_env.domains import get_domain
from usersim_env.traces.trace import Trace
from usersim_env.users import ScriptedUser
from usersim_env.users.agenda import AgendaUser

SPLITS = [("retail", "test", 115), ("retail", "train", 500), ("retail", "dev", 20), ("airline", "test", 50)]
CURT = ScriptedUser(("Hello.",))
"""Opens, and stops at the first word that it hears."""


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize(("domain", "split", "count"), SPLITS)
def test_it_scores_1_on_every_task(play: Callable[..., Trace], domain: str, split: str, count: int) -> None:
    traces = [play(Oracle(), task.id, CURT) for task in get_domain(domain).tasks(split)]
    assert len(traces) == count
    assert [trace.task_id for trace in traces if trace.reward != 1.0] == []


@pytest.mark.parametrize("split", ["test", "train"])
def test_it_scores_1_on_every_mock_task(play: Callable[..., Trace], split: str) -> None:
    tasks = get_domain("mock").tasks(split)
    assert [task.id for task in tasks if play(Oracle(), task.id, CURT).reward != 1.0] == []


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize("persona", ["cooperative", "humanlike"])
@pytest.mark.parametrize(("domain", "split"), [(domain, split) for domain, split, _ in SPLITS if split != "train"])
def test_it_scores_1_with_the_agenda_user(play: Callable[..., Trace], domain: str, split: str, persona: str) -> None:
    user = AgendaUser(persona=persona)
    tasks = get_domain(domain).tasks(split)
    assert [task.id for task in tasks if play(Oracle(), task.id, user).reward != 1.0] == []


def test_it_says_the_outputs_in_one_turn_and_then_only_its_closing(play: Callable[..., Trace]) -> None:
    trace = play(Oracle(), "mock/test/1", ScriptedUser(("Hello.", "Thanks.", "Bye.")))
    said = [m.content for m in trace.messages if m.role == "agent"]
    assert ["108.25" in text for text in said] == [True, False, False]
    assert said[1] == said[2]


def test_a_call_that_ends_the_episode_comes_last(play: Callable[..., Trace]) -> None:
    trace = play(Oracle(), "mock/test/3", CURT)
    assert [e["name"] for e in trace.events if e["event"] == "act"] == ["find_ticket", "transfer_to_human_agents"]
    assert (trace.ended_by, trace.reward) == ("transfer", 1.0)


def test_it_is_privileged_and_says_so() -> None:
    assert Oracle().privileged and Oracle().name == "oracle" and Oracle().describe() == {}
