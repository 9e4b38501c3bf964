from __future__ import annotations

import re
from collections import Counter

import pytest

from usersim_env.domains import get_domain
from usersim_env.domains.task import Task
from usersim_env.users.agenda import Agenda, parse_instruction
from usersim_env.users.agenda.model import Fact, Goal, Manner, Order, Preference, Rule, Secret

SPLITS = (("retail", "test"), ("retail", "dev"), ("airline", "test"), ("mock", "test"))
CODES = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.\w+)+|\b[a-z]+_[a-z]+_\d{4}\b|\b(?:gift_card|credit_card|paypal|certificate)_\d+\b|"
    r"\bW\d{7}\b|\b\d{10}\b|\b\d{7}\b|\bHAT\d{3}\b|\b(?=[A-Z0-9]*[A-Z])[A-Z0-9]{6}\b|\b\d{5}\b"
)

ADDRESS_ORDER = r"'order_id': '#W\d{7}', "
"""The address form names its order twice."""


def tasks(domain: str, split: str) -> tuple[Task, ...]:
    return get_domain(domain).tasks(split)


def codes_in(agenda: Agenda) -> Counter[str]:
    """Identifiers by how often entries hold them; an entry without text holds those of its slots."""
    found: Counter[str] = Counter()
    for entry in agenda.entries:
        found.update(CODES.findall(entry.text or " ".join(value for _, value in entry.slots)))
        if isinstance(entry, Rule):
            found.update(CODES.findall(entry.condition))
    return found


def test_all_training_instructions_parse_whole() -> None:
    agendas = [parse_instruction(task.instruction) for task in tasks("retail", "train")]
    assert len(agendas) == 500
    assert not any(agenda.draft for agenda in agendas)


def test_training_options_and_ids_are_in_exactly_one_entry() -> None:
    for task in tasks("retail", "train"):
        agenda = parse_instruction(task.instruction)
        text = re.sub(ADDRESS_ORDER, "", task.instruction)
        assert codes_in(agenda) == Counter(CODES.findall(text)), task.id
        plain = re.sub(r"change address to \{[^}]*\}", "", text)
        options = Counter(f"{name}: {value}" for name, value in re.findall(r"'([^']+)': '([^']+)'", plain))
        held = Counter(v for e in agenda.entries for n, v in e.slots if n in ("from_option", "to_option"))
        assert held == options, task.id


@pytest.mark.parametrize(("domain", "split"), SPLITS)
def test_free_instructions_lose_no_identifier(domain: str, split: str) -> None:
    for task in tasks(domain, split):
        agenda = parse_instruction(task.instruction)
        text = re.sub(ADDRESS_ORDER, "", task.instruction)
        assert codes_in(agenda) == Counter(CODES.findall(text)), task.id
        assert any(True for _ in agenda.of(Goal)), task.id


@pytest.mark.parametrize(("domain", "split"), [pair for pair in SPLITS if pair[0] != "mock"])
def test_who_speaks_is_found(domain: str, split: str) -> None:
    for task in tasks(domain, split):
        values = parse_instruction(task.instruction).values
        known = values("user_id") or values("email") or (values("name") and values("zip"))
        assert known, (task.id, task.instruction)


def only(instruction: str) -> list[object]:
    return [(type(e).__name__, e.text) for e in parse_instruction(instruction).entries if e.text]


def test_wishes_are_turned_to_the_first_person() -> None:
    found = only(
        "You name is Mei Patel and your zip code is 76165. You want the agent to cancel your order, and you "
        "also wonder if the agent can help you with your address."
    )
    assert found == [
        ("Goal", "I want you to cancel my order."),
        ("Goal", "I also wonder if you can help me with my address."),
    ]


@pytest.mark.parametrize(
    ("sentence", "kind", "text"),
    [
        ("You are sad, rigid and polite.", Manner, "You are sad, rigid and polite."),
        ("You prefer blue.", Preference, "I prefer blue."),
        ("You do not want insurance.", Rule, "I do not want insurance."),
        ("You just won a lottery.", Fact, "I just won a lottery."),
        ("You do not want to reveal your address.", Secret, "You do not want to reveal your address."),
        ("You like to say one thing at a time.", Order, "You like to say one thing at a time."),
        ("Insist that you booked it today.", Rule, "I booked it today."),
    ],
)
def test_kinds_of_sentences(sentence: str, kind: type, text: str) -> None:
    instruction = f"You are Mei Davis in 80217. You want to return the chair. {sentence}"
    entry = parse_instruction(instruction).entries[-1]
    assert type(entry) is kind
    assert entry.text == text


@pytest.mark.parametrize(
    ("sentence", "trigger", "condition", "text"),
    [
        (
            "If the agent asks for confirmation, only exchange the desk lamp.",
            "on_confirmation",
            "If the agent asks for confirmation",
            "I want to only exchange the desk lamp.",
        ),
        ("If 8 bar is not possible, you want 9 bar.", "if", "If 8 bar is not possible", "I want 9 bar."),
        (
            "If the agent asks for which laptop, it is 15-inch, 32GB.",
            "when_asked",
            "If the agent asks for which laptop",
            "It is 15-inch, 32GB.",
        ),
        ("PayPal is fine if it is impossible.", "if", "if it is impossible.", "PayPal is fine."),
    ],
)
def test_conditions_are_kept_apart_from_what_is_said(sentence: str, trigger: str, condition: str, text: str) -> None:
    rule = parse_instruction(f"You are Mei Davis in 80217. You want to return the chair. {sentence}").entries[-1]
    assert isinstance(rule, Rule)
    assert (rule.trigger, rule.condition, rule.text) == (trigger, condition, text)


def test_slots_of_a_free_instruction() -> None:
    agenda = parse_instruction(
        "Your user id is raj_brown_5782 and you want to change reservation VA5SGQ from JFK to SEA on May 20, and pay "
        "with your gift card, at most $100, because 'no longer needed'."
    )
    assert agenda.values("user_id") == ("raj_brown_5782",)
    assert agenda.values("reservation_id", "place", "date") == ("VA5SGQ", "JFK", "SEA", "May 20")
    assert agenda.values("payment", "amount", "quote") == ("gift card", "$100", "no longer needed")


@pytest.mark.parametrize(
    "text", ["", " ", "?!", "(((", "You", "a" * 10_000, "If , then .", "\ud800 { } #W", "You are "]
)
def test_any_text_parses(text: str) -> None:
    assert parse_instruction(text).draft
