"""The agenda-based user side: rule-based, offline, seeded, and synthetic.

`agenda_of` finds the checked `Agenda` of a test task or reads any other instruction by rules (`parse_instruction`);
`AgendaUser` plays it with a `Persona`.
"""

from usersim_env.users.agenda.checked import agenda_of
from usersim_env.users.agenda.describe import describe_agenda
from usersim_env.users.agenda.model import Agenda
from usersim_env.users.agenda.parser import parse_instruction
from usersim_env.users.agenda.persona import PERSONAS, Persona
from usersim_env.users.agenda.user import AgendaUser

__all__ = ["PERSONAS", "Agenda", "AgendaUser", "Persona", "agenda_of", "describe_agenda", "parse_instruction"]
