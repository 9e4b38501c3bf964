"""Personas as numbers. No fidelity to people is claimed for any of them.

Where the numbers come from: the four ``…_share`` of `humanlike` are levels that people showed in a published study
(arXiv:2603.11245: polite turns 15.3 %, turns of three words or fewer 29.0 %, uncertain turns 7.3 %, turns that pivot
8.4 %; also 2.6 identifier-like tokens a turn, which ``verbosity`` was set by). The polite and short shares of
`cooperative` are those that the same study reports for a language model in the user's seat (49 %, 1 %). **Every other
number, of both personas, is an assumption.**
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from usersim_env.errors import UsageError, unknown


@dataclass(frozen=True)
class Persona:
    """How an agenda user behaves. Shares and chances are from 0 to 1; the rest says its unit.

    Attributes:
        patience: annoyance that it bears before it leaves, in the unit of the ``annoyed_by_…`` numbers.
        disclosure: how much it says unasked: 0 one thing and only when asked, 1 everything at once.
        verbosity: chance that it says the circumstances with a wish, and names what its yes is to.
        polite_share: share of turns with a word of politeness.
        short_share: share of turns of three words or fewer.
        uncertain_share: share of turns that sound unsure.
        pivot_share: share of turns that change direction in the wording (``what about …``).
        typos: chance per turn that two letters of a word change places.
        slips: chance per identifier that it comes out wrong.
        hedging: chance per yes that it is no clear yes.
        attention: chance per proposal that a contradiction in it is noticed.
        persistence: how often it reminds the agent of a wish that was not served.
        leaving: chance that it leaves once all that it asked for is done, without being asked for more.
        annoyed_by_repeats: for a question that it has answered, or a turn that says the same again.
        annoyed_by_errors: for an error or a refusal.
        annoyed_by_waiting: for each agent step beyond four that it waits for a turn.
        leniency: moves every answer of the survey; -1 the worst answers, 0 as experienced, 1 the best.
        human_like: where its answer about the agent's human-likeness is centred.
        max_turns: turns after which it leaves in any case.
    """

    patience: float = 12.0
    disclosure: float = 0.8
    verbosity: float = 1.0
    polite_share: float = 0.49
    short_share: float = 0.01
    uncertain_share: float = 0.04
    pivot_share: float = 0.02
    typos: float = 0.0
    slips: float = 0.0
    hedging: float = 0.0
    attention: float = 1.0
    persistence: int = 1
    leaving: float = 0.0
    annoyed_by_repeats: float = 1.0
    annoyed_by_errors: float = 0.5
    annoyed_by_waiting: float = 0.0
    leniency: float = 0.25
    human_like: float = 0.9
    max_turns: int = 60

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, int | float) or value != value:
                raise UsageError(f"{f.name} of a persona is a number, got {value!r}.")
            if f.name in _CHANCES and not 0.0 <= value <= 1.0:
                raise UsageError(f"{f.name} of a persona is from 0 to 1, got {value!r}.")
        if self.max_turns < 1 or self.patience <= 0:
            raise UsageError(
                "patience is above 0 and max_turns at least 1, "
                f"got patience={self.patience!r}, max_turns={self.max_turns!r}."
            )


_CHANCES = frozenset(
    "disclosure verbosity polite_share short_share uncertain_share pivot_share typos slips "
    "hedging attention leaving "
    "human_like".split()
)

PERSONAS: Mapping[str, Persona] = MappingProxyType(
    {
        "cooperative": Persona(),
        "humanlike": Persona(
            patience=3.5,
            disclosure=0.4,
            verbosity=0.9,
            polite_share=0.153,
            short_share=0.29,
            uncertain_share=0.073,
            pivot_share=0.084,
            typos=0.05,
            slips=0.1,
            hedging=0.4,
            attention=0.6,
            persistence=0,
            leaving=0.4,
            annoyed_by_repeats=1.5,
            annoyed_by_errors=1.0,
            annoyed_by_waiting=0.15,
            leniency=-0.2,
            human_like=0.35,
            max_turns=30,
        ),
    }
)
"""The presets: ``cooperative``, how model-played users behave, and ``humanlike``."""


def persona_of(persona: Persona | str) -> Persona:
    """A persona by name, or as it is; an unknown name lists those that exist."""
    if isinstance(persona, Persona):
        return persona
    if not isinstance(persona, str) or persona not in PERSONAS:
        raise unknown("persona", persona, PERSONAS)
    return PERSONAS[persona]
