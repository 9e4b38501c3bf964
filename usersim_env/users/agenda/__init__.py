"""The agenda-based user side: rule-based, offline, seeded, and synthetic.

`parse_instruction` reads an instruction into a typed `Agenda`, `AgendaUser` plays it with a `Persona`.
"""

from usersim_env.users.agenda.describe import describe_agenda
from usersim_env.users.agenda.model import Agenda
from usersim_env.users.agenda.parser import parse_instruction
from usersim_env.users.agenda.persona import PERSONAS, Persona
from usersim_env.users.agenda.user import AgendaUser

__all__ = ["PERSONAS", "Agenda", "AgendaUser", "Persona", "describe_agenda", "parse_instruction"]
