"""`AgendaUser`: a rule-based, offline, seeded user side over a τ-bench instruction and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from usersim_env.scene import Scene
from usersim_env.users.agenda.parser import parse_instruction
from usersim_env.users.agenda.persona import Persona, persona_of
from usersim_env.users.agenda.session import AgendaSession
from usersim_env.users.base import User


@dataclass(frozen=True)
class AgendaUser(User):
    """The classical agenda-based simulator (Schatzmann et al. 2007) on written instructions. Synthetic: it claims no
    fidelity to people, with any persona.

    It says its wish, answers what it is asked from its slots, says that it does not know what the instruction does
    not say, accepts a proposal unless that contradicts a slot of the same type or an only or don't sentence (which it
    then repeats), and leaves when satisfied or fed up. Conditions, directives and secrets are never spoken.

    Args:
        persona: a name of `PERSONAS`, or numbers of your own.

    Raises:
        UnknownName: no persona of that name.
    """

    kind: ClassVar[str] = "agenda"

    persona: Persona | str = "cooperative"

    def __post_init__(self) -> None:
        persona_of(self.persona)

    def begin(self, scene: Scene) -> AgendaSession:
        """Reads the instruction (once per process) and starts."""
        return AgendaSession(parse_instruction(scene.instruction), persona_of(self.persona), scene)

    def describe(self) -> dict[str, Any]:
        """The persona's name, or its numbers."""
        return {"persona": self.persona if isinstance(self.persona, str) else asdict(self.persona)}
