"""What a check finds: contracts that are broken, and contracts that could not be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

from usersim_env.errors import ContractError, UsersimError, told

S = TypeVar("S")


class Broken(NamedTuple):
    """One broken contract: what was done, what came, what was expected, what to do."""

    done: str
    came: str
    expected: str
    advice: str


class NotChecked(UsersimError):
    """A contract cannot be looked at here; the message says why."""


Contract: TypeAlias = Callable[[S], Iterator[Broken]]
"""Its name is what reports call it; its docstring is the contract."""


@dataclass(frozen=True)
class Report:
    """What held.

    Attributes:
        checked: names of the contracts that were looked at.
        skipped: name → why it was not.
    """

    checked: tuple[str, ...]
    skipped: Mapping[str, str]


def hold(what: str, subject: S, contracts: tuple[Contract[S], ...]) -> Report:
    """Looks at all contracts, also after a broken one; the first is the one that the others stand on.

    Raises:
        ContractError: every broken one.
    """
    broken: list[str] = []
    checked: list[str] = []
    skipped: dict[str, str] = {}
    for contract in contracts:
        name = contract.__name__.replace("_", " ")
        try:
            for problem in contract(subject):  # one by one: what it found before it raised counts
                broken.append(_line(name, problem))
            checked.append(name)
        except NotChecked as reason:
            skipped[name] = str(reason)
        except Exception as error:  # of the thing that is checked, or it is a contract that nobody foresaw
            broken.append(_line(name, _raised(contract, error)))
        if broken and contract is contracts[0]:
            broken.append("The other contracts stand on this one and were not looked at.")
            break
    if broken:
        raise ContractError(what, broken)
    return Report(tuple(checked), skipped)


def _raised(contract: Contract[S], error: Exception) -> Broken:
    at, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        at, traceback = f"{code.co_filename}:{traceback.tb_lineno} ({code.co_name})", traceback.tb_next
    means = " ".join((contract.__doc__ or "").split())
    return Broken(
        f"while it was tried that {means[:1].lower()}{means[1:].rstrip('.')}",
        f"{told(error)} from {at}",
        "no exception",
        "Mend what raises there, or what it was given.",
    )


def _line(name: str, problem: Broken) -> str:
    done, came, expected, advice = (" ".join(text.split()) for text in problem)
    return f"[{name}] {done}: got {came:.600}, expected {expected}. {advice}"


def shown(value: object, most: int = 200) -> str:
    """A value in a message; never raises."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return text if len(text) <= most else f"{text[: most - 2]} …"
