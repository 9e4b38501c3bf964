"""The checked agendas of the test tasks: sound, tied to their texts, and agreeing to what the tasks want."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.users.agenda import agreement
from tests.users.agenda.agenda_checks import faults, problems
from tests.users.agenda.dialogues import drawn
from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.oracle import Oracle
from usersim_env.baselines.silent import Silent
from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_domain, get_task
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UnknownName, UsageError
from usersim_env.rollouts import play as play_trace
from usersim_env.users.agenda import PERSONAS, Agenda, AgendaUser, agenda_of, parse_instruction
from usersim_env.users.agenda.checked import checked_agendas
from usersim_env.users.agenda.model import Goal, Secret

TASKS = [task for domain in agreement.DOMAINS for task in get_domain(domain).tasks("test")]
LAMP = get_task("retail/test/6")
Play = Callable[..., Any]


def test_every_test_task_has_one() -> None:
    assert sorted(checked_agendas()) == sorted(task.id for task in TASKS)
    assert len(TASKS) == 165


def test_ids_numbers_and_words_are_those_of_the_instruction() -> None:
    assert faults() == []


def test_the_check_sees_what_is_lost_doubled_or_made_up() -> None:
    task = get_task("retail/test/0")
    agenda = agenda_of(task.id, task.instruction)
    goal = next(agenda.of(Goal))
    lost = Agenda(tuple(entry for entry in agenda.entries if entry != goal), draft=False)
    doubled = Agenda((*agenda.entries, goal), draft=False)
    made_up = Agenda((*agenda.entries, Goal("I want to cancel the bookshelf.", (), "cancel")), draft=False)
    assert problems(task.instruction, agenda) == []
    assert any("'#W2378156' is in 0 entries" in fault for fault in problems(task.instruction, lost))
    assert any("'#W2378156' is in 2 entries" in fault for fault in problems(task.instruction, doubled))
    assert any("'bookshelf' in" in fault for fault in problems(task.instruction, made_up))
    assert any("draft" in fault for fault in problems(task.instruction, dataclasses.replace(agenda, draft=True)))


def test_the_hash_ties_an_agenda_to_its_text() -> None:
    assert not agenda_of(LAMP.id, LAMP.instruction).draft
    other = LAMP.instruction + " You are in a hurry."
    assert agenda_of(LAMP.id, other) == parse_instruction(other)
    assert agenda_of("retail/test/7", LAMP.instruction).draft
    assert agenda_of("x/test/0", LAMP.instruction).draft


def test_the_source_can_be_chosen() -> None:
    mine = Agenda((Goal("I want a lamp.", (), "other"),), draft=False)
    for agendas, draft, name in (
        ("checked", False, "checked"),
        ("draft", True, "draft"),
        ({LAMP.id: mine}, False, "custom"),
    ):
        user = AgendaUser(agendas=agendas)
        session = user.begin(Scene(LAMP.id, LAMP.instruction))
        assert session.notes()["draft"] is draft
        assert user.describe()["agendas"] == name
        assert pickle.loads(pickle.dumps(user)) == user
        json.dumps(user.describe())
    assert agenda_of(LAMP.id, LAMP.instruction, {LAMP.id: mine}) is mine
    assert agenda_of("retail/test/7", LAMP.instruction, {LAMP.id: mine}).draft


def test_a_wrong_source_is_named() -> None:
    with pytest.raises(UnknownName, match=r"Unknown source of agendas 'cheked'. Did you mean 'checked'"):
        AgendaUser(agendas="cheked")
    with pytest.raises(UsageError, match=r"'checked' or 'draft' or a mapping of task ids to Agenda objects.*got 3"):
        AgendaUser(agendas=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="mapping of task ids"):
        AgendaUser(agendas={LAMP.id: {}})  # type: ignore[dict-item]


@pytest.mark.parametrize("persona", PERSONAS)
def test_secrets_are_never_said(play: Play, persona: str) -> None:
    held = [task for task in TASKS if any(agenda_of(task.id, task.instruction).of(Secret))]
    assert len(held) >= 5
    for task in held:
        spoken = "\n".join(play(task.id, AgendaUser(persona), Clerk(), 1).outcome.feedback.user_texts).lower()
        for secret in agenda_of(task.id, task.instruction).of(Secret):
            assert secret.text.lower() not in spoken
            assert not any(value.lower() in spoken for _, value in secret.slots), task.id


@pytest.mark.parametrize("domain", agreement.DOMAINS)
def test_agrees_to_what_the_task_wants(domain: str) -> None:
    for seed in (0, 1):
        exact, tasks = agreement.agreed(AgendaUser(), agreement.PROPER, domain, seed)
        assert tasks >= 30
        assert exact / tasks >= 0.95


@pytest.mark.parametrize("domain", agreement.DOMAINS)
def test_agreement_depends_on_the_agenda(domain: str) -> None:
    right, tasks = agreement.agreed(AgendaUser(), agreement.PROPER, domain)
    wrong, _ = agreement.agreed(AgendaUser(agendas=agreement.swapped(domain)), agreement.PROPER, domain)
    slipped, _ = agreement.agreed(AgendaUser(), agreement.SLIPPING, domain)
    assert wrong / tasks < right / tasks - 0.3
    assert slipped / tasks < 0.5


def test_checked_agendas_notice_more_than_drafts() -> None:
    def wrong(user: AgendaUser) -> int:
        return sum(
            row.wrong for domain in agreement.DOMAINS for row in agreement.rows(user, agreement.SLIPPING, domain)
        )

    assert wrong(AgendaUser()) < wrong(AgendaUser(agendas="draft"))


@pytest.mark.parametrize("persona", PERSONAS)
def test_the_extremes_stay_what_they_are(persona: str) -> None:
    for domain, silent in (("retail", 7), ("airline", 19)):
        env = TauEnv(domain, AgendaUser(persona))
        ids = [task.id for task in get_domain(domain).tasks("test")]
        assert sum(play_trace(Silent(), env, task_id, 0).reward or 0.0 for task_id in ids) == silent
        assert all(play_trace(Oracle(), env, task_id, 0).reward == 1.0 for task_id in ids)


def test_the_printed_dialogues_are_those_that_were_drawn() -> None:
    page = (Path(__file__).parents[3] / "docs" / "agenda_dialogues.md").read_text(encoding="utf-8")
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [", ".join(pair) for pair in drawn()]
    assert len(drawn()) == 20
