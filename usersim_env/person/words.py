"""What people read before they begin: Markdown of the study's owner, and the facts that nobody may leave out."""

from __future__ import annotations

import os
from pathlib import Path

from markdown_it import MarkdownIt

from usersim_env.errors import UsageError
from usersim_env.person.settings import StudySettings

_TEXTS = Path(__file__).parent / "texts"
# "js-default" makes no raw HTML and links only to http, https and mailto.
_MARKDOWN = MarkdownIt("js-default").disable("image")


def consent_html(settings: StudySettings) -> str:
    """The consent: the owner's text or ours, then the facts of this study."""
    return _consent_html(settings, facts(settings))


def rules_html(path: str | os.PathLike[str] | None = None) -> str:
    """What a participant should do: a Markdown file, or our own rules.

    Raises:
        UsageError: the file cannot be read as text.
    """
    return _html(path, "rules.md")


def earlier_consent_html(settings: StudySettings) -> str:
    """The consent as it was before people were asked about sharing; only a hash of it is in older files."""
    return _consent_html(settings, "\n".join(_facts(settings)))


def facts(settings: StudySettings) -> str:
    """What follows from the settings, as Markdown, so that no text can promise anything else."""
    sharing = "may" if settings.sharing else "may not"
    return "\n".join([*_facts(settings), f"- It {sharing} be passed on to others or published."])


def _facts(settings: StudySettings) -> list[str]:
    training = "may" if settings.training else "may not"
    left = {"delete": "what you wrote is deleted", "keep": "what you wrote until then is kept"}[settings.withdrawal]
    return [
        "- **The other side is an AI system, not a person.**",
        f"- What you write is stored by those who run this study, and sent to: **{_plain(settings.provider)}**.",
        f"- If you leave the study before the end, {left}.",
        f"- Your conversation is kept under a pseudonym. Terms of use: {_plain(settings.licence)}.",
        f"- AI models {training} be trained on it.",
    ]


def _consent_html(settings: StudySettings, listed: str) -> str:
    return _html(settings.consent, "consent.md") + str(_MARKDOWN.render(listed))


def _html(path: str | os.PathLike[str] | None, ours: str) -> str:
    source = _TEXTS / ours if path is None else Path(path)
    try:
        return str(_MARKDOWN.render(source.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read as Markdown: {error}. Give a text file in UTF-8.") from None


def _plain(text: str) -> str:
    """Words that Markdown leaves as they are."""
    return "".join("\\" + char if char in r"\`*_[]<>&#!|~" else char for char in " ".join(text.split()))
