"""What a checked agenda must hold, against its instruction; also a command: ``python agenda_checks.py``."""

from __future__ import annotations

import re
import sys

from usersim_env.domains import get_task
from usersim_env.users.agenda.checked import checked_agendas, instruction_hash
from usersim_env.users.agenda.measures import stems
from usersim_env.users.agenda.model import Agenda, Entry, Goal, Rule
from usersim_env.users.agenda.slots import ACTIONS, slots_in

VALUES = frozenset("email user_id payment_id order_id item_id number flight reservation_id amount zip quote".split())
"""Slots whose values must come through whole; beside them, every run of digits."""

FUNCTION_WORDS = stems(
    "a about actually after again all also am an and another any are as ask asked asking asks at be "
    "because been before being both but by can can't cannot could did do does don't done during each "
    "either else for from get give given go had has have help her him his how i i'd i'm i've if in "
    "instead into is isn't it it's its just know like make may me more most my myself no not of off on "
    "one only or order orders other our out over own please possible prefer rather reason said same say "
    "she should so some sorry tell than that that's the their them then there these they thing things "
    "this those to too two up us use uses very want was we were what when where whether which who why "
    "will with without would yet you your"
)
"""Words that say nothing about the task: any sentence in the first person may have them."""


def problems(instruction: str, agenda: Agenda) -> list[str]:
    """One sentence per fault; empty for an agenda that is sound."""
    found = [*_values(instruction, agenda), *_words(instruction, agenda)]
    if agenda.draft:
        found.append("draft is true")
    if not any(isinstance(e, Goal | Rule) for e in agenda.entries):
        found.append("it wants nothing: no goal and no rule")
    for entry in agenda.entries:
        if isinstance(entry, Goal) and (entry.action not in ACTIONS or not entry.text):
            found.append(f"goal without text or with an unknown action: {entry}")
        if isinstance(entry, Rule) and not entry.text:
            found.append(f"rule without text: {entry}")
    return found


def _values(instruction: str, agenda: Agenda) -> list[str]:
    values = {slot.value for slot in slots_in(instruction) if slot.name in VALUES}
    covered = " ".join(values)
    values |= {n for n in re.findall(r"\d+", instruction) if not re.search(rf"{n}", covered)}
    found = []
    for value in sorted(values):
        holders = [entry for entry in agenda.entries if _holds(entry, value)]
        mentions = max(1, len(re.findall(re.escape(value.lstrip("#")), instruction)))
        if not 1 <= len(holders) <= mentions:
            found.append(f"{value!r} is in {len(holders)} entries, the instruction has it {mentions} times")
    return found


def _holds(entry: Entry, value: str) -> bool:
    texts = [entry.text, getattr(entry, "condition", ""), *(slot.value for slot in entry.slots)]
    bare = value.lstrip("#").lower()
    return any(re.search(rf"(?<!\w){re.escape(bare)}(?!\w)|{re.escape(bare)}(?=\D|$)", t.lower()) for t in texts)


def _words(instruction: str, agenda: Agenda) -> list[str]:
    """Words that may be spoken and that the instruction has in no form; conditions are held, never spoken."""
    known = stems(instruction)
    beginnings = {word[:4] for word in known if len(word) >= 4}
    found = []
    for entry in agenda.entries:
        text = " ".join([entry.text, *(slot.value for slot in entry.slots)])
        for word in sorted(stems(text) - known - FUNCTION_WORDS):
            if word[:4] not in beginnings and word not in instruction.lower():
                found.append(f"{word!r} in {text!r:.100} is not in the instruction")
    return found


def faults() -> list[str]:
    """Every fault of the package's checked agendas, with the task's id."""
    found = []
    for task_id, (key, agenda) in checked_agendas().items():
        instruction = get_task(task_id).instruction
        if key != instruction_hash(instruction):
            found.append(f"{task_id}: hash is {key}, the instruction's is {instruction_hash(instruction)}")
        found += [f"{task_id}: {fault}" for fault in problems(instruction, agenda)]
    return found


if __name__ == "__main__":
    print("\n".join(faults()) or f"{len(checked_agendas())} agendas are sound")
    sys.exit(bool(faults()))
