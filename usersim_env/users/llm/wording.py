"""What the model is told about its part, where it is not this package's text: τ-bench's own, or a template of yours."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from string import Template

from usersim_env.conversation.scene import Scene
from usersim_env.domains.user_prompt import user_prompt
from usersim_env.errors import UsageError
from usersim_env.users.llm.prompts import STOP, as_text, fill, seen

TAU_BENCH = "tau-bench"
FIELDS = ("instruction", "persona", "stop", "chat")
"""Blanks of a template; ``instruction`` must be there, and ``chat`` with the adapter ``transcript`` (and only then)."""

_SLOT = "\0"


@dataclass(frozen=True)
class Wording:
    """A template of the system message, or with the adapter ``transcript`` of the text to be continued.

    Attributes:
        name: ``tau-bench``, or the file's name.
        text: in the notation of `string.Template`.
        thinking: the same for the strategy ``react``.
        label: what the message begins with after a thought.
    """

    name: str
    text: str
    thinking: str
    label: str = "Message"

    @property
    def sha256(self) -> str:
        """Of the text, for traces."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def filled(self, scene: Scene, character: str, react: bool) -> str:
        """The text of one turn."""
        chat = as_text(seen(scene)) + ("\nThought:" if react else "\nCustomer:")
        values = {"instruction": scene.instruction, "persona": character, "stop": STOP, "chat": chat}
        return Template(self.thinking if react else self.text).substitute(values)


def wording_of(prompt: str | os.PathLike[str], adapter: str, character: str) -> Wording:
    """The wording that an `LLMUser` is given.

    Args:
        prompt: ``tau-bench``, or a file.
        adapter: ``chat`` or ``transcript``.
        character: persona and traits, which must have a place in it.

    Raises:
        UsageError: no such file, a blank that there is not, one that is missing.
        InstallError: τ-bench is not installed.
    """
    if str(prompt) == TAU_BENCH:
        if adapter != "chat":
            raise UsageError(f"prompt={TAU_BENCH!r} goes with adapter='chat', got {adapter!r}.")
        if character:
            raise UsageError(f"prompt={TAU_BENCH!r} has no place for a persona or traits. Leave them out.")
        return Wording(TAU_BENCH, _upstream(react=False), _upstream(react=True), "User Response")
    text = _read(Path(prompt))
    _check(text, str(prompt), adapter, character)
    return Wording(Path(prompt).name, text, text + (fill("react").replace("$", "$$") if adapter == "chat" else ""))


def _upstream(react: bool) -> str:
    return user_prompt(_SLOT, react).replace("$", "$$").replace(_SLOT, "${instruction}")


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UsageError(
            f"prompt is a file with a template or {TAU_BENCH!r}; {path} cannot be read: {why}. Its blanks: {_blanks()}."
        ) from None
    return text


def _check(text: str, where: str, adapter: str, character: str) -> None:
    found = set()
    for match in Template.pattern.finditer(text):
        if match["invalid"] is not None:
            line = text.count("\n", 0, match.start()) + 1
            raise UsageError(f"{where}, line {line}: a dollar sign that begins no blank. Write it as $$.")
        found.add(match["named"] or match["braced"])
    found.discard(None)
    odd = sorted(found - set(FIELDS))
    if odd:
        raise UsageError(f"{where}: no blank is called ${odd[0]}. There are {_blanks()}; a dollar sign is written $$.")
    needed = {"instruction"} | ({"chat"} if adapter == "transcript" else set()) | ({"persona"} if character else set())
    if missing := sorted(needed - found):
        why = {"persona": "a persona or traits are given", "chat": "the adapter is 'transcript'"}.get(missing[0])
        raise UsageError(f"{where}: the blank ${missing[0]} is missing{f', and {why}' if why else ''}.")
    if adapter == "chat" and "chat" in found:
        raise UsageError(f"{where}: $chat goes with adapter='transcript'; with 'chat' the turns follow as messages.")


def _blanks() -> str:
    return ", ".join(f"${name}" for name in FIELDS)
