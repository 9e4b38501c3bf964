import pytest

from usersim_env.baselines.clerk_reading import has_told, is_farewell, lookups, read_answer, states_wish
from usersim_env.messages import ToolCall


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"),
        ("yeah go ahead", "yes"),
        ("ok", "yes"),
        ("Sounds good!", "yes"),
        ("No problem, please do.", "yes"),
        ("Yes, because I no longer need it. Don't forget the lamp.", "yes"),
        ("Yes please. When will it arrive?", "yes"),
        ("Yes, could you do that?", "yes"),
        ("No, thanks", "no"),
        ("nope", "no"),
        ("I don’t want that", "no"),
        ("That is not correct.", "no"),
        ("I would rather keep it.", "no"),
        ("I would rather keep it, ok?", "unclear"),
        ("Is that correct?", "unclear"),
        ("How much is it?", "unclear"),
        ("I'm not sure", "unclear"),
        ("I don't know", "unclear"),
        ("it is no longer needed", "unclear"),
        ("", "unclear"),
    ],
)
def test_answers(text: str, answer: str) -> None:
    assert read_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "My name is Yusuf Rossi and my zip code is 19122.",
        "Hi, I'm Yusuf Rossi in 19122. I need help",
        "yusuf rossi, 19122",
        "yusuf rossi zip 19122",
        "Hello Yusuf Rossi here! My order is #W2378156, I live in 19122.",
        "I am looking for help, this is yusuf rossi from philadelphia 19122",
        "You can find me as yusuf_rossi_9620, zip code 19122",
    ],
)
def test_names_and_zip_codes(text: str) -> None:
    wanted = {"first_name": "Yusuf", "last_name": "Rossi", "zip": "19122"}
    assert ToolCall("find_user_id_by_name_zip", wanted) in lookups("retail", [text])[:4]


def test_the_name_and_the_zip_code_may_come_in_different_turns() -> None:
    assert len(lookups("retail", ["Yusuf Rossi", "19122"])) == 1


def test_emails_come_first_and_the_latest_turn_before_older_ones() -> None:
    found = lookups("retail", ["a@b.example, or Yusuf Rossi 19122.", "sorry, it is A.b@b.example."])
    assert [list(call.arguments.values()) for call in found] == [
        ["A.b@b.example"],
        ["a@b.example"],
        ["Yusuf", "Rossi", "19122"],
    ]


def test_nothing_in_the_text_gives_no_lookup() -> None:
    assert lookups("retail", ["I want to return my order #W2378156", "19122"]) == []
    assert lookups("airline", ["Mia Li"]) == [] and lookups("mock", ["Ada"]) == []


def test_user_ids_are_found_in_any_case() -> None:
    assert lookups("airline", ["It's Mia_Li_3668."]) == [ToolCall("get_user_details", {"user_id": "mia_li_3668"})]


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        ("order", "order w5061109", "my order"),
        ("reservation", "it is Z7GOZK", "the flight to Texas"),
        ("reason", "I ordered it by mistake", "cancel it"),
        ("payment", "via credit_card_4190576", "refund me"),
        ("address", "101 Highway Road", "a new home"),
        ("flights", "from New York to Seattle", "a flight"),
        ("passengers", "just me", "two seats"),
        ("bags", "3 suitcases", "my things"),
        ("day", "on Wednesday", "soon"),
    ],
)
def test_details(kind: str, yes: str, no: str) -> None:
    assert has_told(kind, ["Hello.", yes])
    assert not has_told(kind, ["Hello.", no])


def test_wishes_and_farewells() -> None:
    assert states_wish(["Hi", "I'd like to return it"]) and not states_wish(["Hello, I'm Ada Okafor."])
    assert is_farewell("Thanks, bye!") and not is_farewell("Thanks, and what about my bike?")
