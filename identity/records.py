"""The vocabulary of identity resolution and what it asks of the privacy side.

`identity` never sees a sealed value or a key. Where it needs plaintext it asks a `RecordReader`, which
`consent.linkable` implements: only records whose linking is permitted come out of it.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NewType, Protocol

from sqlalchemy import Connection

GoldenId = NewType("GoldenId", str)
"""Opaque and random: `g_` and 26 characters of base32 (128 random bits). Says nothing about the person."""

RecordNo = NewType("RecordNo", int)
"""Internal number of a source record, assigned once at its first ingest, never reused."""

CHANNEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

RECTIFICATION: Final = "rectification"
"""The channel of records that correct what others say, on request of the person; no sender may use it."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 base32, lower case
_LETTER_OF_BYTE = (_ALPHABET * 8).encode("ascii")  # 256 = 8 * 32: every letter is equally likely


def new_golden_id() -> GoldenId:
    """Return a fresh golden ID: 26 random base32 characters carry 130 bits, so none ever comes twice."""
    return new_golden_ids(1)[0]


def new_golden_ids(count: int) -> list[GoldenId]:
    """Return `count` fresh golden IDs from one draw of the operating system's random bytes."""
    letters = secrets.token_bytes(26 * count).translate(_LETTER_OF_BYTE).decode("ascii")
    return [GoldenId("g_" + letters[start : start + 26]) for start in range(0, len(letters), 26)]


@dataclass(frozen=True, slots=True)
class RecordKey:
    """The key of a source record: which channel, and that channel's own identifier for it."""

    channel: str
    source_id: str

    def __repr__(self) -> str:  # a source_id may be personal data
        return f"RecordKey({self.channel}:<source id>)"


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """Comparable forms of some permitted records, aligned by position (see `identity.normalise`)."""

    record_nos: Sequence[int]
    channels: Sequence[str]
    comparables: Sequence[bytes]

    def __repr__(self) -> str:
        return f"OpenedBatch({len(self.record_nos)} records)"


class RecordReader(Protocol):
    """What the privacy side lets identity see: records that may be linked, opened, in record order."""

    def sequence(self) -> int:
        """Return the store's current change sequence; every record or permission change increments it."""
        ...

    def live(self) -> Iterator[tuple[int, bool]]:
        """Every live record number, ascending, with whether it may be linked now."""
        ...

    def permitted(self, *, batch_size: int = 20_000) -> Iterator[OpenedBatch]:
        """All records that may be linked now, opened, ascending by record number."""
        ...

    def opened(self, record_nos: Iterable[int]) -> OpenedBatch:
        """Those of `record_nos` that are live and may be linked, opened, ascending."""
        ...

    def changed_since(self, sequence: int) -> set[int]:
        """Record numbers created, updated, deleted or changed in linking permission after `sequence`."""
        ...


@dataclass(frozen=True, slots=True)
class RecordFact:
    """What golden IDs need to know about a live record; nothing of its content."""

    linkable: bool  # identity_linking is permitted now
    standing: int  # 0 anonymous, 1 known, 2 holds a verified identifier, 3 locked by a steward
    change_sequence: int  # of its last change in content or permission
    channel: str = ""


class RecordFacts(Protocol):
    """The store's records, as seen inside a transaction that is about to decide who they belong to."""

    def facts(self, conn: Connection, record_nos: Iterable[int], now: int) -> dict[int, RecordFact]:
        """Return the facts of those of `record_nos` that are live."""
        ...

    def standings(self, conn: Connection) -> dict[int, int]:
        """Return the standing of every live record that is not 1 (known): few of very many."""
        ...
