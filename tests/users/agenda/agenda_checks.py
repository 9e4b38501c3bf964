"""What a checked agenda must hold, against its instruction; also a command: ``python agenda_checks.py FILE``."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

from usersim_env.domains import get_task
from usersim_env.users.agenda.model import Agenda, Entry, Goal, Rule
from usersim_env.users.agenda.slots import ACTIONS, content_words, slots_in

VALUES = frozenset("email user_id payment_id order_id item_id number flight reservation_id amount zip quote".split())
"""Slots whose values must come through whole; beside them, every run of digits."""

SPOKEN_FREELY = frozenset("thing reason help sorry actually because after before during ask".split())
"""Words that a first-person sentence may need though the instruction has another form of them."""


def instruction_hash(instruction: str) -> str:
    """Sixteen hex digits that tie an agenda to the text that it was read from."""
    return hashlib.sha256(instruction.encode()).hexdigest()[:16]


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
    known = content_words(instruction)
    stems = {word[:4] for word in known if len(word) >= 4}
    found = []
    for entry in agenda.entries:
        texts = [entry.text, getattr(entry, "condition", ""), *(slot.value for slot in entry.slots)]
        for word in sorted({w for text in texts for w in content_words(text)} - known - SPOKEN_FREELY):
            if word[:4] not in stems and word.lower() not in instruction.lower():
                found.append(f"{word!r} in {' '.join(filter(None, texts))!r:.100} is not in the instruction")
    return found


def read(path: Path) -> dict[str, tuple[str, Agenda]]:
    """Task id → (hash, agenda) of a file of checked agendas."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return {task: (record["instruction"], Agenda.from_dict(record["agenda"])) for task, record in data.items()}


def main(path: Path) -> int:
    """Prints every fault of a file; the exit code is their number."""
    faults = []
    for task_id, (key, agenda) in read(path).items():
        instruction = get_task(task_id).instruction
        if key != instruction_hash(instruction):
            faults.append(f"{task_id}: hash is {key}, the instruction's is {instruction_hash(instruction)}")
        faults += [f"{task_id}: {fault}" for fault in problems(instruction, agenda)]
    print("\n".join(faults) or "sound")
    return min(len(faults), 100)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
