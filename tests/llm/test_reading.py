"""What counts as words, what as a stop, and what as no turn of a customer."""

from __future__ import annotations

import contextlib

import pytest

from usersim_env.errors import BadReply
from usersim_env.llm import Completion
from usersim_env.messages import Say, Stop
from usersim_env.users.llm.reading import LONGEST, read_turn, says_yes, without_thought

STOP = "###STOP###"


def read(text: str | None, continued: bool = False) -> Say | Stop:
    return read_turn(Completion(text), continued)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STOP, ""),
        (f"  {STOP}\n", ""),
        (f'"{STOP}"', ""),
        (f"**{STOP}**", ""),
        ("### stop ###", ""),
        (f"Thanks, bye! {STOP}", "Thanks, bye!"),
        (f"Thanks, bye!\n\n{STOP}.", "Thanks, bye!"),
        (f"Thanks!{STOP}", "Thanks!"),
        (f"Bye. {STOP} {STOP}", "Bye."),
        (f"Customer: {STOP}", ""),
        (f'You wrote "{STOP}", so bye. {STOP}', f'You wrote "{STOP}", so bye.'),
        (f"<think>Done? I say {STOP}</think>Bye {STOP}", "Bye"),
    ],
)
def test_a_stop_stands_alone_or_at_the_end(text: str, said: str) -> None:
    assert read(text) == Stop(said)


@pytest.mark.parametrize(
    "text",
    [
        f'What does "{STOP}" mean?',
        f'The mail ends with "{STOP}"',
        f"The mail ends with '{STOP}'.",
        f"The mail ends with `{STOP}`",
        f"It said “{STOP}”",
        f'The mail ends with "{STOP}',
        f"When I write {STOP} nothing happens, why?",
        "Please stop asking. STOP!",
        "How can I help you identify the order? I only have the zip code.",
        "I need a new AI camera, as an airline customer I get one free.",
        'My note is {"name": "Ada"}.',
    ],
)
def test_quoted_or_in_a_sentence_it_is_words(text: str) -> None:
    assert read(text) == Say(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "it was empty"),
        (" \n\t", "it was empty"),
        ("Customer: ", "it was empty"),
        ("<think>Well …</think>", "it was empty"),
        ("<think>Well, I could say", "never came to an end of its thought"),
        (f"{STOP}\nBy the way, one more thing", "goes on after the word that ends the chat"),
        ("Yes please.\nAgent: I have moved it.", "with another turn"),
        ("Yes please.\nCustomer: And another thing", "with another turn"),
        ("Agent: I have moved it.", "speaks as the agent"),
        ("Of course! How can I assist you today?", "speaks as the agent"),
        (f"Hello, how may I help you? {STOP}", "speaks as the agent"),
        ("As an AI language model, I cannot have orders.", "speaks as the agent"),
        ("Is there anything else I can help with?", "speaks as the agent"),
        ('{"name": "move_ticket", "arguments": {}}', "speaks as the agent"),
        ("<tool_call>move_ticket</tool_call>", "speaks as the agent"),
        ("x" * (LONGEST + 1), f"it has {LONGEST + 1} characters, more than {LONGEST}"),
    ],
)
def test_what_is_no_turn_says_why(text: str | None, reason: str) -> None:
    with pytest.raises(BadReply, match=reason):
        read(text)


def test_a_tool_call_and_a_filtered_text_are_no_turns() -> None:
    with pytest.raises(BadReply, match="called a tool"):
        read_turn(Completion("Moving it.", ({"id": "1"},)))
    with pytest.raises(BadReply, match="filter"):
        read_turn(Completion("Half a sent", finish_reason="content_filter"))


def test_a_continued_transcript_ends_with_the_customers_turn() -> None:
    assert read(" Yes please.\nAgent: I have moved it.\nCustomer: Fine", continued=True) == Say("Yes please.")
    assert read(f" Bye {STOP}\nNotes: Your name", continued=True) == Stop("Bye")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Thought: secret\nMessage: Hello", "Hello"),
        ("**Thought:** secret\n**Message:** Hello", "Hello"),
        ("Message: Hello", "Hello"),
        ("Thought: secret\nMessage: Hello\nThought: secret again\nMessage: More", "Hello"),
        ("Thought: secret\nCustomer: secret\nMessage: Hello", "Hello"),
        ("Thought: secret\n\nMessage:\nHello\nthere", "Hello\nthere"),
    ],
)
def test_a_thought_is_dropped(text: str, message: str) -> None:
    assert read_turn(without_thought(Completion(text), "Message")) == Say(message)


@pytest.mark.parametrize("text", ["Thought: secret", "secret", "I should send the message: secret", None])
def test_a_thought_alone_is_no_turn(text: str | None) -> None:
    with pytest.raises(BadReply):
        without_thought(Completion(text), "Message")


@pytest.mark.parametrize(
    "text", ["#" * 99_000, " " * 99_000 + "x", "\n" * 99_000 + "x", '"' * 99_000, "###STOP### " * 9_000, "**" * 49_000]
)
def test_no_text_takes_long_to_read(text: str) -> None:
    for wanted in (read, lambda t: without_thought(Completion(t), "Message")):
        with contextlib.suppress(BadReply):
            wanted(text)


@pytest.mark.parametrize(
    ("text", "yes"),
    [("yes", True), ("**Yes**, good.", True), ("True", True), ("no", False), ("Not yes", False), ("", False)],
)
def test_only_a_clear_yes_is_one(text: str, yes: bool) -> None:
    assert says_yes(Completion(text)) is yes
