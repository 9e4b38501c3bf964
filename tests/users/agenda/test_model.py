from __future__ import annotations

import json
import pickle

import pytest

from usersim_env.errors import UnknownName, UsageError
from usersim_env.users.agenda import Agenda, describe_agenda, parse_instruction
from usersim_env.users.agenda.model import Fact, Goal, Order, Rule, Secret, Slot

AGENDA = Agenda(
    (
        Fact(slots=(Slot("email", "a@b.example"),)),
        Goal("I want to cancel order #W1111111.", (Slot("order_id", "#W1111111"),), "cancel"),
        Rule("Keep it then.", trigger="if", condition="If not possible"),
        Secret("You are rich.", (Slot("order_id", "#W2222222"),)),
        Order("Mention all at once", pace="all"),
    ),
    draft=False,
)


def test_through_json() -> None:
    assert Agenda.from_dict(json.loads(json.dumps(AGENDA.to_dict()))) == AGENDA
    parsed = parse_instruction("You are Mei Davis in 80217. You want to return the office chair.")
    assert Agenda.from_dict(parsed.to_dict()) == parsed


def test_values_leave_secrets_out() -> None:
    assert AGENDA.values("order_id") == ("#W1111111",)
    assert AGENDA.values("email", "order_id") == ("a@b.example", "#W1111111")
    assert AGENDA.values("zip") == ()


def test_pickles() -> None:
    again = pickle.loads(pickle.dumps(AGENDA))
    assert again == AGENDA and again.values("email") == AGENDA.values("email")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "An agenda is a dict"),
        ({"entries": {}}, "An agenda is a dict"),
        ({"entries": [], "draft": 1}, "'draft' of an agenda is true or false, got 1"),
        ({"entries": ["x"]}, "Entry 0 of the agenda is a dict, got str"),
        ({"entries": [{"kind": "gaol"}]}, "Unknown kind of agenda entry 'gaol'. Did you mean 'goal'"),
        ({"entries": [{"kind": "rule", "trigger": "iff"}]}, "Unknown trigger of a rule 'iff'"),
        ({"entries": [{"kind": "goal", "txt": "x"}]}, "Unknown field of a goal .entry 0. 'txt'"),
        ({"entries": [{"kind": "goal", "text": 3}]}, "'text' of entry 0 .goal. is a str, got 3"),
        ({"entries": [{"kind": "fact", "sure": "no"}]}, "'sure' of entry 0 .fact. is a bool"),
        ({"entries": [{"kind": "fact", "slots": [["zip"]]}]}, r"A slot of entry 0 is a pair"),
        ({"entries": [{"kind": "fact", "slots": [["zp", "1"]]}]}, "Unknown slot 'zp'"),
    ],
)
def test_bad_data_is_named(data: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Agenda.from_dict(data)  # type: ignore[arg-type]


def test_unknown_kind_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        Agenda.from_dict({"entries": [{"kind": None}]})


def test_description_shows_every_entry() -> None:
    text = describe_agenda(AGENDA)
    assert text.splitlines()[0].startswith("whole")
    assert len(text.splitlines()) == 1 + len(AGENDA.entries)
    for part in ("[cancel] I want to cancel order", "[if: If not possible] -> Keep", "email=a@b.example", "[all]"):
        assert part in text
    assert describe_agenda(parse_instruction("Hm.")).startswith("draft")
