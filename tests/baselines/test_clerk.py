import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from usersim_env.agent import Agent
from usersim_env.baselines import Clerk
from usersim_env.domains import World, get_domain
from usersim_env.domains.task import Task
from usersim_env.errors import UnknownName, UsageError
from usersim_env.traces.trace import Trace
from usersim_env.users import ScriptedUser

Play = Callable[..., Trace]
CAREFUL = Clerk(ask_again=0, wrong_argument=0)
ADA = "Hello, my email is ada@mock.example and I want to move my repair to wednesday, with a note."
WRITERS = {"move_ticket", "transfer_to_human_agents"}


def calls(trace: Trace) -> list[str]:
    return [e["name"] for e in trace.events if e["event"] == "act" and e["name"] != "respond"]


def said(trace: Trace) -> list[str]:
    return [m.content for m in trace.messages if m.role == "agent"]


def test_a_yes_leads_to_the_expected_call(play: Play) -> None:
    trace = play(CAREFUL, "mock/test/0", ScriptedUser((ADA, "Yes, please.", "No, thanks.")))
    assert calls(trace) == ["find_ticket", "move_ticket"]
    assert "(ticket T-1001) to wednesday, with the note 'canary-4711-note'. Would you like" in said(trace)[0]
    assert (trace.reward, len(said(trace))) == (1.0, 3)


def test_after_a_no_the_database_is_unchanged(play: Play) -> None:
    trace = play(CAREFUL, "mock/test/0", ScriptedUser((ADA, *["No."] * 9)))
    assert calls(trace) == ["find_ticket"]
    assert said(trace)[1].startswith("All right, I will not do that.")
    assert trace.reward == 0.0


def test_an_unclear_answer_is_asked_about_once_and_is_no_yes(play: Play) -> None:
    trace = play(CAREFUL, "mock/test/0", ScriptedUser((ADA, *["Purple."] * 9)))
    assert calls(trace) == ["find_ticket"]
    assert sum("yes or no?" in text for text in said(trace)) == 1
    assert play(CAREFUL, "mock/test/0", ScriptedUser((ADA, "Purple.", "ok"))).reward == 1.0


@pytest.mark.parametrize("lines", [(ADA,), ("Hello.",), ("Hello.", "ada@mock.example")])
def test_a_customer_who_leaves_early_gets_nothing(play: Play, lines: tuple[str, ...]) -> None:
    assert not WRITERS & set(calls(play(CAREFUL, "mock/test/0", ScriptedUser(lines))))


def test_a_mistyped_email_is_asked_for_again(play: Play) -> None:
    lines = ("ada@mock.exmaple, I want to move my repair", "ada@mock.example", "wednesday, and add a note", "yes")
    trace = play(CAREFUL, "mock/test/0", ScriptedUser(lines))
    assert calls(trace) == ["find_ticket", "find_ticket", "move_ticket"]
    assert "could not find an account" in said(trace)[0]
    assert trace.reward == 1.0


def test_it_gives_up_on_a_customer_whom_it_cannot_identify(play: Play) -> None:
    trace = play(Clerk(attempts=2), "mock/test/0", ScriptedUser(("Yes.",) * 6))
    assert calls(trace) == []
    assert ["May I have" in text for text in said(trace)[:2]] == [True, True]
    assert all("I cannot help you" in text for text in said(trace)[2:])


def test_it_changes_nothing_on_an_account_that_is_not_the_customers(play: Play) -> None:
    trace = play(CAREFUL, "mock/test/0", ScriptedUser(("bo@mock.example, move it to wednesday", *["Yes."] * 6)))
    assert calls(trace) == ["find_ticket"]
    assert "does not belong to your account" in said(trace)[0]


def test_it_asks_what_it_is_about_and_for_details_only_when_it_was_not_told(play: Play) -> None:
    trace = play(CAREFUL, "mock/train/1", ScriptedUser(("Hi", "cy@mock.example", "Please help me", "Monday", "yes")))
    assert "May I have your e-mail address" in said(trace)[0]
    assert said(trace)[1].endswith("How can I help you today?")
    assert said(trace)[2] == "Could you please tell me which repair it is about and which day you would like?"
    assert trace.reward == 1.0


def test_it_proposes_a_transfer_and_says_outputs_before_the_end(play: Play) -> None:
    user = ScriptedUser(("cy@mock.example. I want to sell my bike.", "yes"))
    assert play(CAREFUL, "mock/test/3", user).ended_by == "transfer"
    trace = play(CAREFUL, "mock/test/1", ScriptedUser(("bo@mock.example: move the bike to thursday", "yes", "no")))
    assert "108.25" in said(trace)[1]
    assert trace.reward == 1.0


def test_a_refused_call_is_told_and_is_part_of_the_verdict(play: Play) -> None:
    trace = play(CAREFUL, "mock/test/2", ScriptedUser(("bo@mock.example: move the racer to friday", "yes", "no")))
    assert "did not let me do that: only waiting tickets can be moved" in said(trace)[1]
    assert trace.reward == 1.0


def test_a_slip_is_proposed_and_corrected_after_a_no(play: Play) -> None:
    hasty = Clerk(ask_again=0, wrong_argument=1)
    opening = "cy@mock.example, I want to move my repair to monday"
    trace = play(hasty, "mock/train/1", ScriptedUser((opening, "yes", "no")))
    assert "to monday" not in said(trace)[0] and trace.reward == 0.0
    trace = play(hasty, "mock/train/1", ScriptedUser((opening, "no", "yes", "no")))
    assert "made a mistake" in said(trace)[1] and "to monday" in said(trace)[1] and trace.reward == 1.0


def test_skipping_confirmation_acts_unasked_and_says_so(play: Play) -> None:
    rash = Clerk(skip_confirmation=1, ask_again=0, wrong_argument=0)
    trace = play(rash, "mock/test/0", ScriptedUser((ADA,)))
    assert trace.reward == 1.0 and "I have gone ahead" in said(trace)[0]


def test_asking_again_costs_turns(play: Play) -> None:
    user = ScriptedUser((ADA, *["Yes."] * 3))
    assert len(said(play(Clerk(ask_again=1, wrong_argument=0), "mock/test/0", user))) == 4
    assert "tell me again" in said(play(Clerk(ask_again=1, wrong_argument=0), "mock/test/0", user))[0]
    assert play(CAREFUL, "mock/test/0", user).events[:3] != play(Clerk(ask_again=1), "mock/test/0", user).events[:3]


def test_episodes_depend_on_the_seed_and_on_nothing_else(play: Play) -> None:
    agent = Clerk(skip_confirmation=0.5, ask_again=0.5, wrong_argument=0.5)
    user = ScriptedUser((ADA, *["Yes."] * 9))
    runs = [[play(agent, "mock/test/0", user, seed).events for seed in range(20)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len({str(events) for events in runs[0]}) > 3


def test_settings_are_checked_described_and_pickled() -> None:
    agent: Agent = Clerk(ask_again=0.5)
    settings = {"skip_confirmation": 0.0, "ask_again": 0.5, "wrong_argument": 0.05, "attempts": 3}
    assert agent.privileged and agent.describe() == settings
    assert pickle.loads(pickle.dumps(agent)) == agent
    with pytest.raises(UsageError, match=r"ask_again is a probability from 0 to 1, got 2"):
        Clerk(ask_again=2)
    with pytest.raises(UsageError, match="attempts is at least 1, got 0"):
        Clerk(attempts=0)
    with pytest.raises(UnknownName):
        agent.begin({"task_id": "mock/test/99"}, 0)


# On real tasks


def identity(task: Task) -> str | None:
    """What the customer of a task can say about itself; None where the expected calls do not tell who it is."""
    domain = get_domain(task.domain)
    if task.domain == "airline":
        return f"My user id is {re.findall(r'[a-z]+_[a-z]+_[0-9]+', task.instruction)[0]}."
    found: set[Any] = set()
    for call in task.expected_calls:
        order = domain.data.get("orders", {}).get(call.arguments.get("order_id", ""), {})
        found |= {call.arguments.get("user_id"), order.get("user_id")}
        if call.name.startswith("find_user") and not (result := World(domain).call(call)).error:
            found.add(result.content)
    users = found - {None}
    if len(users) != 1:
        return None
    (user,) = users
    person = domain.data["users"][user]
    return f"I'm {person['name']['first_name']} {person['name']['last_name']}, zip code {person['address']['zip']}."


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize(("domain", "split"), [("retail", "test"), ("retail", "train"), ("airline", "test")])
def test_an_agreeable_customer_gets_everything(play: Play, domain: str, split: str) -> None:
    who = {task.id: text for task in get_domain(domain).tasks(split) if (text := identity(task)) is not None}
    assert len(who) > 0.9 * len(get_domain(domain).tasks(split))
    agreeable = {t: ScriptedUser((f"Hello, I need help. {text}", *["Yes, please."] * 40)) for t, text in who.items()}
    assert [t for t, user in agreeable.items() if play(CAREFUL, t, user).reward != 1.0] == []


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize("domain", ["retail", "airline"])
@pytest.mark.parametrize("answer", ["No.", "Hm?"])
def test_nothing_is_written_without_a_yes(play: Play, domain: str, answer: str) -> None:
    writers = set(get_domain(domain).written or ()) | {"transfer_to_human_agents"}
    for task in get_domain(domain).tasks("test"):
        user = ScriptedUser((f"Hello, I need help. {identity(task)}", *[answer] * 40))
        assert not writers & set(calls(play(Clerk(wrong_argument=1), task.id, user))), task.id


@pytest.mark.usefixtures("tau")
@pytest.mark.parametrize("domain", ["retail", "airline"])
def test_slips_end_in_another_database_or_in_none(play: Play, domain: str) -> None:
    hasty = Clerk(ask_again=0, wrong_argument=1)
    tasks = get_domain(domain).tasks("test")
    right = 0
    for task in tasks:
        user = ScriptedUser((f"Hello, I need help. {identity(task)}", *["Yes."] * 40))
        trace = play(hasty, task.id, user)
        assert trace.valid, trace.failure
        right += trace.reward == 1.0
    assert right < 0.5 * len(tasks)


@pytest.mark.usefixtures("tau")
def test_a_customer_who_repeats_what_was_not_found_is_asked_for_something_else(play: Play) -> None:
    lines = ("me@x.example, I want to cancel", "me@x.example", "Daiki Sanchez 46236", "I pay by card", *["yes"] * 9)
    trace = play(CAREFUL, "retail/test/36", ScriptedUser(lines))
    assert "your e-mail address, or your full name and zip code?" in said(trace)[0]
    assert "your full name and zip code?" in said(trace)[1] and "e-mail" not in said(trace)[1]
    assert calls(trace)[:3] == ["find_user_id_by_email", "find_user_id_by_name_zip", "get_user_details"]
    assert trace.reward == 1.0
