"""From what a model wrote to a turn: a stop only where it really stops, no thought, no words of the agent."""

from __future__ import annotations

import re

from usersim_env.errors import BadReply
from usersim_env.llm import Completion, Unreadable, read_written
from usersim_env.messages import Say, Stop

LONGEST = 10_000
"""Characters of one turn; more is a model that does not find the end."""

MOST_READ = 100_000
"""Characters of an answer, thoughts included, that are looked at."""

# Every repetition is bounded or anchored: the texts come from a model, and none may take long to read.
_WORD = r"#{2,6} ?STOP ?#{2,6}"
_AT_END = re.compile(rf"{_WORD}\Z", re.IGNORECASE)
_ALONE_ON_A_LINE = re.compile(rf"^[ \t]*{_WORD}[ \t]*$", re.MULTILINE | re.IGNORECASE)
_QUOTES = "\"'“”‘’«»`"
_LABEL = r"[ \t]*(?:\*\*)?(?:{})(?:\*\*)?[ \t]?:(?:\*\*)?"
_OWN_LABEL = re.compile(r"\A" + _LABEL.format("customer|user|message"), re.IGNORECASE)
_NEXT_TURN = re.compile(r"\n" + _LABEL.format("agent|assistant|customer|message|notes|thought"), re.IGNORECASE)
_THOUGHT = re.compile(r"\n" + _LABEL.format("thought"), re.IGNORECASE)

_AGENT_LIKE = re.compile(
    r"^\s*(?:\*\*)?(?:agent|assistant|representative)(?:\*\*)?\s*:"
    r"|\bhow (?:can|may|could) (?:i|we) (?:help|assist) you(?: today| now| with [^.?!\"”]{1,40})?\?"
    r"|\banything else (?:that )?(?:i|we) can (?:help|assist)"
    r"|\b(?:as|i am|i'm|i’m) an? (?:ai|artificial intelligence|language model|chatbot|virtual|automated)\b"
    r"|^\s*<?tool_?calls?\b|^\s*\{\s*\"(?:name|tool|function|arguments)\"",
    re.IGNORECASE,
)


def read_turn(answer: Completion, continued: bool = False) -> Say | Stop:
    """The turn in an answer.

    Args:
        answer: what the model wrote.
        continued: the answer continues a transcript: what follows the customer's turn is not part of it.

    Raises:
        BadReply: nothing, a tool call, the agent's words, too long, or a stop word that is followed by more.
    """
    if answer.tool_calls:
        raise BadReply("it called a tool, which a customer cannot")
    if answer.finish_reason == "content_filter":
        raise BadReply("the provider's filter held the text back", "content_policy")
    said = _OWN_LABEL.sub("", words_of(answer), count=1)
    if following := _NEXT_TURN.search(said):
        if not continued:
            raise BadReply("it goes on after the customer's message, with another turn")
        said = said[: following.start()]
    said = said.strip()
    if len(said) > LONGEST:
        raise BadReply(f"it has {len(said)} characters, more than {LONGEST}")
    if not said:
        raise BadReply("it was empty")
    turn = _stop_or_words(said)
    if _AGENT_LIKE.search(turn.content):
        raise BadReply("it speaks as the agent, not as the customer")
    return turn


def words_of(answer: Completion) -> str:
    """The answer's words without its thoughts, however its model marks them.

    Raises:
        BadReply: it is too long, or the two cannot be told apart.
    """
    text = answer.text or ""
    if len(text) > MOST_READ:
        raise BadReply(f"it has {len(text)} characters, more than {LONGEST}")
    try:
        return read_written(text).words
    except Unreadable as error:
        raise BadReply(str(error)) from None


def _stop_or_words(said: str) -> Say | Stop:
    """A stop stands alone or at the end; quoted, or in the middle of a sentence, it is words."""
    if _AT_END.fullmatch(said.strip(_QUOTES + " \t\n.!*_")):
        return Stop()
    rest, stopped = said, False
    while found := _AT_END.search(rest.rstrip(" \t\n.!*_")):
        rest, stopped = rest[: found.start()].rstrip(), True
    if stopped and not rest.endswith(tuple(_QUOTES)):
        return Stop(rest)
    if _ALONE_ON_A_LINE.search(said):
        raise BadReply("it goes on after the word that ends the chat")
    return Say(said)


def without_thought(answer: Completion, label: str) -> Completion:
    """The answer reduced to its message; the thought is dropped for good.

    Args:
        answer: thought and message.
        label: what the message begins with: ``Message`` or ``Customer``.

    Raises:
        BadReply: there is no message beside the thought, so nothing may be passed on.
    """
    text = "\n" + words_of(answer)
    if not text.strip():
        raise BadReply("it was empty")
    found = re.search(r"\n" + _LABEL.format(label), text, re.IGNORECASE)
    if found is None:
        raise BadReply(f"it has no part that begins with {label}:, so the thought cannot be told from the message")
    message = text[found.end() :]
    if later := _THOUGHT.search(message):
        message = message[: later.start()]
    return Completion(message, answer.tool_calls, answer.finish_reason)


def says_yes(answer: Completion) -> bool:
    """A supervisor's yes, after its thoughts and a label such as ``Answer:``; whatever is not clearly one is a no."""
    try:
        words = words_of(answer)
    except BadReply:
        return False
    first = re.match(r"\W*(?:(?:final[ _]?)?(?:answer|verdict|message|response)\W+)?(\w+)", words, re.IGNORECASE)
    return first is not None and first[1].lower() in ("yes", "true")
