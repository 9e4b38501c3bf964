"""How numbers read: the same in the terminal, on the page and in an appendix."""

from __future__ import annotations

from usersim_env.gap.bootstrap import Interval
from usersim_env.visible import visible

MISSING = "—"


def signed(value: float) -> str:
    """A difference with its sign, to three places; to one digit where those would hide the sign. Zero has none."""
    if abs(value) < 1e-9:
        return "0.000"
    text = f"{value:+.3f}"
    return (f"{value:+.1g}" if float(text) == 0 else text).replace("-", "−")


def span(interval: Interval, sign: bool = True) -> str:
    """The interval in brackets, or the word for why there is none."""
    if interval.low is None or interval.high is None:
        return f"{MISSING} ({interval.word})"
    ends = [signed(x) if sign else f"{x:.3f}" for x in (interval.low, interval.high)]
    return f"[{ends[0]}, {ends[1]}]" + (f" ({interval.word})" if interval.word else "")


def gap_cell(gap: Interval) -> str:
    """A difference with its interval, or with the word for why there is none worth the name."""
    return f"{signed(gap.estimate)} {f'({gap.word})' if gap.word else span(gap)}"


def rate_cell(rate: Interval) -> str:
    """A mean in [0, 1] with its interval, or with the word for why there is none worth the name."""
    return f"{rate.estimate:.3f} {f'({rate.word})' if rate.word else span(rate, sign=False)}"


def percent(level: float) -> str:
    """A coverage for headings: ``95 %``."""
    return f"{100 * level:g} %"


def p_text(p: float | None) -> str:
    """A p-value to three places; a dash where there is no test."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


_LONGEST = 50  # characters of a signal's name


def signal_label(name: str) -> str:
    """A signal's name as readers want it: ``rule reward``, ``survey: overall score``."""
    if name == "rule":
        return "rule reward"
    text = visible(name).replace(".", ": ", 1).replace("_", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"  # or a plot has no room left beside it
