"""The typed agenda: what a τ-bench instruction tells the user side to want, to know, to hold back and to be like.

Every entry has ``text`` (first person; what may be spoken, where the kind may be spoken at all) and ``slots`` (the
values in it that a question can ask for). The kinds follow the agenda of Schatzmann et al. 2007, "Agenda-based user
simulation for bootstrapping a POMDP dialogue system", with the additions that written instructions need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

from usersim_env.errors import UsageError, unknown

SLOTS: tuple[str, ...] = (
    *("name", "email", "zip", "user_id", "residence"),
    *("order_id", "reservation_id", "item_id", "number", "flight", "quote"),
    *("payment_id", "payment", "amount", "reason", "date", "place", "address"),
    *("item", "from_option", "to_option"),
)
"""The names of slots."""

IDENTITY: tuple[str, ...] = ("name", "email", "zip", "user_id", "residence")
"""The slots that say who speaks."""

TRIGGERS: tuple[str, ...] = ("if", "only", "dont", "when_asked", "on_confirmation")
"""What brings up a rule: a refusal or another thing that the agent says, a proposal that goes beyond it, a proposal
that does what it forbids, a question, a request for a yes."""


class Slot(NamedTuple):
    """One value that can be asked for; ``name`` is one of `SLOTS`."""

    name: str
    value: str


@dataclass(frozen=True)
class Entry:
    """What all entries share."""

    kind: ClassVar[str] = ""

    text: str = ""
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Fact(Entry):
    """What the user knows. Identity has no text, only a slot; ``sure`` is false for what it only guesses."""

    kind: ClassVar[str] = "fact"

    sure: bool = True


@dataclass(frozen=True)
class Goal(Entry):
    """A wish; ``action`` is one of `usersim_env.users.agenda.slots.ACTIONS`."""

    kind: ClassVar[str] = "goal"

    action: str = "other"


@dataclass(frozen=True)
class Preference(Entry):
    """What it would rather have; said when asked, or with the wish by a user that tells all at once."""

    kind: ClassVar[str] = "preference"


@dataclass(frozen=True)
class Rule(Entry):
    """What to say when ``trigger`` comes. ``condition`` is held, never spoken; ``text`` is spoken then."""

    kind: ClassVar[str] = "rule"

    trigger: str = "if"
    condition: str = ""


@dataclass(frozen=True)
class Secret(Entry):
    """Held and never spoken."""

    kind: ClassVar[str] = "secret"


@dataclass(frozen=True)
class Manner(Entry):
    """How to be or to talk; never spoken."""

    kind: ClassVar[str] = "manner"


@dataclass(frozen=True)
class Order(Entry):
    """In which order the wishes are said; never spoken. ``pace`` (how many at a time) is ``all``, ``one`` or empty."""

    kind: ClassVar[str] = "order"

    pace: str = ""


KINDS: Mapping[str, type[Entry]] = {c.kind: c for c in (Fact, Goal, Preference, Rule, Secret, Manner, Order)}
"""Entry classes by their kind."""

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Agenda:
    """All entries in the order of the instruction.

    Attributes:
        entries: see the classes of entries.
        draft: true for the rule-based reading of a free instruction, which nobody has checked.
    """

    entries: tuple[Entry, ...]
    draft: bool = True
    _by_name: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            for name, value in () if entry.kind == "secret" else entry.slots:
                values = found.setdefault(name, [])
                if value not in values:
                    values.append(value)
        self._by_name.update({name: tuple(values) for name, values in found.items()})

    def of(self, kind: type[E]) -> Iterator[E]:
        """The entries of one class."""
        return (entry for entry in self.entries if isinstance(entry, kind))

    def values(self, *names: str) -> tuple[str, ...]:
        """Values of the named slots that may be said (those of secrets may not), each once, in order."""
        return tuple(value for name in names for value in self._by_name.get(name, ()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads it back."""
        return {"draft": self.draft, "entries": [_entry_to_dict(entry) for entry in self.entries]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Agenda:
        """Reads what `to_dict` wrote.

        Raises:
            UsageError: a kind, slot, trigger or field that does not exist, or a value of the wrong type.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("entries"), list):
            raise UsageError('An agenda is a dict {"draft": bool, "entries": [...]}, as Agenda.to_dict gives it.')
        draft = data.get("draft", True)
        if not isinstance(draft, bool):
            raise UsageError(f"'draft' of an agenda is true or false, got {draft!r}.")
        return cls(tuple(_entry_from_dict(entry, at) for at, entry in enumerate(data["entries"])), draft)


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    return {"kind": entry.kind, **asdict(entry), "slots": [list(slot) for slot in entry.slots]}


def _entry_from_dict(data: Any, at: int) -> Entry:
    if not isinstance(data, Mapping):
        raise UsageError(f"Entry {at} of the agenda is a dict, got {type(data).__name__}.")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown("kind of agenda entry", kind, KINDS)
    values = {name: value for name, value in data.items() if name not in ("kind", "slots")}
    allowed = {f.name: f.type for f in fields(KINDS[kind])}
    for name, value in values.items():
        if name not in allowed:
            raise unknown(f"field of a {kind} (entry {at})", name, allowed)
        wanted = bool if allowed[name] == "bool" else str
        if not isinstance(value, wanted):
            raise UsageError(f"{name!r} of entry {at} ({kind}) is a {wanted.__name__}, got {value!r}.")
    if "trigger" in values and values["trigger"] not in TRIGGERS:
        raise unknown("trigger of a rule", values["trigger"], TRIGGERS)
    return KINDS[kind](slots=_slots(data.get("slots", []), at), **values)


def _slots(data: Any, at: int) -> tuple[Slot, ...]:
    found = []
    for pair in data if isinstance(data, list) else [data]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(x, str) for x in pair):
            raise UsageError(f"A slot of entry {at} is a pair [name, value] of texts, got {pair!r}.")
        if pair[0] not in SLOTS:
            raise unknown("slot", pair[0], SLOTS)
        found.append(Slot(*pair))
    return tuple(found)
