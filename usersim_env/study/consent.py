"""What a person agreed to. It belongs to them and to that moment, whatever the settings of the study are later."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from usersim_env.person.settings import StudySettings
from usersim_env.person.words import consent_html, earlier_consent_html
from usersim_env.study.records import Sitting
from usersim_env.traces.trace import Terms

UNKNOWN_LICENCE = "not known: agreed to in a version of the consent that is not on record"


@dataclass(frozen=True)
class Consent:
    """One version of a consent.

    Attributes:
        version: the first twelve hex digits of ``hash``.
        hash: SHA-256 of the text.
        text: what people read, as HTML, with the facts that follow from the settings.
        licence: terms of use, in words.
        training: whether models may be trained on the conversation.
        sharing: whether it may be passed on to others.
        withdrawal: what leaving the study does to it.
        provider: who receives it beside the study's server.
        known: false where only a hash is on record, so that nothing is taken to be allowed.
    """

    version: str
    hash: str
    text: str
    licence: str
    training: bool
    sharing: bool
    withdrawal: Literal["delete", "keep"]
    provider: str
    known: bool = True

    @property
    def terms(self) -> Terms:
        """Of the traces of who agreed."""
        return Terms(self.licence, self.training, self.sharing)

    def line(self) -> str:
        """What it allows, in one line."""
        if not self.known:
            return "not on record: no training, no sharing, and leaving deletes"
        training, sharing = ("allowed" if yes else "not allowed" for yes in (self.training, self.sharing))
        return (
            f"licence {self.licence!r}, training {training}, sharing {sharing}, leaving {self.withdrawal}s, "
            f"text to {self.provider}"
        )


def consent_of(settings: StudySettings) -> Consent:
    """What people agree to under these settings."""
    text = consent_html(settings)
    s = settings
    return Consent(*_hash(text), text, s.licence, s.training, s.sharing, s.withdrawal, s.provider)


def unknown_consent(version: str) -> Consent:
    """A version of which nothing but its number is on record."""
    return Consent(version, "", "", UNKNOWN_LICENCE, False, False, "delete", "not known", known=False)


def _hash(text: str) -> tuple[str, str]:
    found = hashlib.sha256(text.encode()).hexdigest()
    return found[:12], found


class Consents:
    """The versions that a study's people have agreed to.

    Args:
        connection: to the study's file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT version, consent FROM consents").fetchall()
        self._known = {version: found for version, text in rows if (found := _read(text)) is not None}

    def of(self, sitting: Sitting) -> Consent:
        """What the person of a sitting agreed to when it began."""
        return self.version(sitting.consent)

    def version(self, version: str) -> Consent:
        """A version; one that is not on record allows nothing."""
        return self._known.get(version) or unknown_consent(version)

    def add(self, consent: Consent) -> None:
        """A version that is on record now."""
        self._known[consent.version] = consent


def put_consent(connection: sqlite3.Connection, consent: Consent) -> None:
    """Puts a version on record."""
    row = (consent.version, json.dumps(asdict(consent)))
    connection.execute("INSERT OR IGNORE INTO consents VALUES (?, ?)", row)


def adopt(connection: sqlite3.Connection, settings: StudySettings) -> None:
    """Gives the sittings of an older file, which holds a hash of the consent only, what they agreed to.

    Where the hash is the one of today's text, today's settings are what people read. All others keep their number,
    and nothing is taken to be allowed.
    """
    connection.execute(
        "UPDATE sittings SET consent = (SELECT consent FROM people WHERE pseudonym = sittings.person), "
        "agreed = (SELECT consented FROM people WHERE pseudonym = sittings.person) "
        "WHERE consent = '' AND person IN (SELECT pseudonym FROM people)"
    )
    text = earlier_consent_html(settings)
    version, full = _hash(text)
    count = connection.execute("SELECT COUNT(*) FROM sittings WHERE consent = ?", (version,)).fetchone()[0]
    if count:
        put_consent(connection, replace(consent_of(settings), version=version, hash=full, text=text))


def counted(sittings: Iterable[Sitting], consents: Consents, current: Consent) -> list[str]:
    """How many people agreed to which version, one line each; for whoever starts the server."""
    people: dict[str, set[str]] = {}
    for sitting in sittings:
        if sitting.person:
            people.setdefault(sitting.consent, set()).add(sitting.person)
    lines = []
    for version, found in people.items():
        who = "1 person" if len(found) == 1 else f"{len(found)} people"
        now = " (the present one)" if version == current.version else ""
        lines.append(
            f"{who} agreed to consent {version or 'without a number'}{now}: {consents.version(version).line()}"
        )
    return lines


def stamped(trace: Mapping[str, Any], consent: Consent, agreed: Any) -> dict[str, Any]:
    """A trace, as JSON values, with the terms and the consent of its person in place of any other."""
    known = trace.get("terms") if not consent.known else None
    licence = known["licence"] if isinstance(known, Mapping) and "licence" in known else consent.licence
    user = trace["user"]
    known_time = isinstance(agreed, int | float) and 0 <= agreed < 32e9
    at = datetime.fromtimestamp(agreed, timezone.utc).isoformat(timespec="seconds") if known_time else None
    notes = {**user["notes"], "consent": {"version": consent.version, "agreed": at, "on_record": consent.known}}
    return {**trace, "user": {**user, "notes": notes}, "terms": {**asdict(consent.terms), "licence": licence}}


def _read(text: str) -> Consent | None:
    """A stored version; ``None`` for one that cannot be read, which then allows nothing."""
    try:
        return _adapter().validate_json(text, strict=True)
    except (ValueError, TypeError, RecursionError):  # pydantic's own error is a ValueError
        return None


@cache
def _adapter() -> TypeAdapter[Consent]:
    return TypeAdapter(Consent)
