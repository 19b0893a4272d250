"""Short ways to write consent events, members and purposes in tests."""

from dataclasses import replace
from typing import Any

from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.permission import Member
from consent.purposes import Purpose, Purposes

DAY = 86_400_000
NOW = 1_790_000_000_000  # September 2026

POLICY = Purposes.load()


def purpose(name: str = "personalization", **changes: Any) -> Purpose:
    return replace(POLICY[name], **changes)


def record(no: int) -> Subject:
    return Subject(RECORD, no)


def contact(no: int) -> Subject:
    return Subject(CONTACT, no)


def said(
    index: int,
    state: str,
    *,
    by: Subject | None = None,
    method: str = "direct",
    about: str = "personalization",
    at: int = NOW - DAY,
    begins: int | None = None,
    expires: int | None = None,
) -> ConsentEvent:
    return ConsentEvent(
        index=index,
        subject=by or record(1),
        purpose=about,
        state=state,
        method=method,
        source="channel:web",
        notice="n-1",
        event_time=at if begins is None else begins,
        recorded_at=at,
        expires_at=expires,
    )


def member(
    no: int,
    *,
    channel: str = "web",
    confidence: float = 1.0,
    verified: frozenset[str] = frozenset(),
    contacts: frozenset[int] = frozenset(),
    born: int | None = None,
) -> Member:
    return Member(no, channel, confidence, verified, contacts, born)
