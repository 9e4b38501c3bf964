"""`AgendaUser`: a rule-based, offline, seeded user side over a τ-bench instruction and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.users.agenda.checked import Agendas, agenda_of, check_agendas
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
        agendas: ``"checked"``, the agendas written for the test tasks one by one and a rule-based draft for every other
            text; ``"draft"``, drafts only; or a mapping of task ids to agendas of your own.

    Raises:
        UnknownName: no persona or source of agendas of that name.
    """

    kind: ClassVar[str] = "agenda"

    persona: Persona | str = "cooperative"
    agendas: Agendas = "checked"

    def __post_init__(self) -> None:
        persona_of(self.persona)
        check_agendas(self.agendas)

    def begin(self, scene: Scene) -> AgendaSession:
        """Looks up or reads the agenda (once per process) and starts."""
        agenda = agenda_of(scene.task_id, scene.instruction, self.agendas)
        return AgendaSession(agenda, persona_of(self.persona), scene)

    def describe(self) -> dict[str, Any]:
        """The persona's name or its numbers, and where the agendas come from (``custom`` for a mapping)."""
        return {
            "persona": self.persona if isinstance(self.persona, str) else asdict(self.persona),
            "agendas": self.agendas if isinstance(self.agendas, str) else "custom",
        }
