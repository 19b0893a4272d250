"""What explanations read: record numbers, members, links; records are opened once the look is logged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from consent.access_log import AccessEntry
from consent.errors import UnknownSubjectError
from identity.comparable import Comparable
from identity.link_graph import Edge
from identity.records import RecordKey
from identity.source_store import declared
from identity.statements import Statement, slices

if TYPE_CHECKING:
    from api.auth import Caller
    from api.services import Services

PURPOSE: Final = "identity_linking"  # under which explanations are logged
EXPLAINED: Final = "explained"

_CHANNELS = Statement("SELECT record_no, channel FROM records WHERE record_no IN :record_nos")


def channels_of(conn: Connection, record_nos: Sequence[int]) -> dict[int, str]:
    """Return the channel of each of these records that is live."""
    found: dict[int, str] = {}
    for part in slices(record_nos):
        found.update(_CHANNELS.rows(conn, record_nos=part))
    return found


def declared_source(
    conn: Connection, channels: tuple[str, str], members: Sequence[Sequence[int]]
) -> str | None:
    """Return a channel declared to hold no duplicates that keeps two records apart, their own before others.

    `members` are the records of the golden ID of either.
    """
    unique = declared(conn)
    if not unique:
        return None
    if channels[0] == channels[1] and channels[0] in unique:
        return channels[0]
    if members[0] == members[1]:
        return None
    held = [set(channels_of(conn, numbers).values()) for numbers in members]
    return min(unique & held[0] & held[1], default=None)


def number_of(services: "Services", named: RecordKey | int) -> int:
    """Return the number of a record; one that is a number is taken as it is. Raises UnknownSubjectError."""
    number = named if isinstance(named, int) else services.lookup.record(named)
    if number is None:
        raise UnknownSubjectError("one of the two is no record of this home")
    return number


def members_of(services: "Services", conn: Connection, golden_no: int | None) -> list[int]:
    """Return the records of a golden ID; none if there is none."""
    if golden_no is None:
        return []
    return [member.record_no for member in services.memberships.members(conn, golden_no)]


def links_among(services: "Services", conn: Connection, record_nos: Sequence[int]) -> list[Edge]:
    """Return the stored links between two of these records."""
    known = set(record_nos)
    return [
        (link.record_a, link.record_b, link.weight)
        for link in services.memberships.links(conn, record_nos)
        if link.record_a in known and link.record_b in known
    ]


def log_look(
    services: "Services", caller: "Caller", golden_no: int | None, record_nos: Sequence[int]
) -> None:
    """Return once the look is on disk. Raises AccessLogError: then nothing may be opened."""
    entry = AccessEntry(
        services.clock(), caller.client_id, PURPOSE, EXPLAINED, (), golden_no, tuple(record_nos)
    )
    services.access_log.append(entry)


def opened_records(services: "Services", record_nos: Sequence[int]) -> dict[int, Comparable]:
    """Open the comparable forms of those records that may be linked."""
    batch = services.linkable.opened(record_nos)
    decoded = [Comparable.decode(encoded) for encoded in batch.comparables]
    return dict(zip(batch.record_nos, decoded, strict=True))
