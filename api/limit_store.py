"""Tables of the operational store that hold what clients used of their limits, and how workers share them.

No row names a person: golden IDs are bits by number, addresses of callers are keyed hashes.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, Text, text

from identity.statements import Statement, slices
from identity.tables import metadata

rate_buckets = Table(
    "rate_buckets",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("full_at", BigInteger, nullable=False),  # us since the epoch; when the bucket is full again
    sqlite_with_rowid=False,
)

# Which golden numbers a client was told on a day: one bit each, in parts of 4,096.
people_told = Table(
    "people_told",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("day", BigInteger, primary_key=True),  # days since the epoch, UTC
    Column("part", BigInteger, primary_key=True),
    Column("bits", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

people_days = Table(
    "people_days",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("day", BigInteger, primary_key=True),
    Column("told", BigInteger, nullable=False),  # bits set in `people_told`
    Column("reserved", BigInteger, nullable=False),  # in the hands of workers, to be told
    sqlite_with_rowid=False,
)

_BUCKET: Final = text("SELECT full_at FROM rate_buckets WHERE bucket = :bucket")
_SET_BUCKET: Final = text("""
    INSERT INTO rate_buckets (bucket, full_at) VALUES (:bucket, :full_at)
    ON CONFLICT (bucket) DO UPDATE SET full_at = excluded.full_at
""")
_FORGET_FULL: Final = text("DELETE FROM rate_buckets WHERE full_at < :now")


def spend(conn: Connection, spent: Mapping[str, tuple[int, int]], now: int, longest: int) -> dict[str, int]:
    """Take what a worker has spent (bucket -> since when, how much; us) out of the buckets.

    Return when each is full again: no further ahead of `now` than `longest`. One that is was filled by a
    clock that has been set back since, and counts as full.
    """
    conn.execute(_FORGET_FULL, {"now": now})
    found: dict[str, int] = {}
    for bucket, (since, amount) in spent.items():
        stored = conn.execute(_BUCKET, {"bucket": bucket}).scalar_one_or_none() or 0
        before = stored if stored <= now + longest else 0
        found[bucket] = min(max(before, since) + amount, now + longest)
        conn.execute(_SET_BUCKET, {"bucket": bucket, "full_at": found[bucket]})
    return found


_DAY: Final = text("SELECT told, reserved FROM people_days WHERE client_id = :client_id AND day = :day")
_SET_DAY: Final = text("""
    INSERT INTO people_days (client_id, day, told, reserved) VALUES (:client_id, :day, :told, :reserved)
    ON CONFLICT (client_id, day) DO UPDATE SET told = excluded.told, reserved = excluded.reserved
""")
_PARTS: Final = Statement("""
    SELECT part, bits FROM people_told WHERE client_id = :client_id AND day = :day AND part IN :parts
""")
_SET_PART: Final = text("""
    INSERT INTO people_told (client_id, day, part, bits) VALUES (:client_id, :day, :part, :bits)
    ON CONFLICT (client_id, day, part) DO UPDATE SET bits = excluded.bits
""")
_FORGET_DAYS: Final = (
    text("DELETE FROM people_told WHERE day < :day"),
    text("DELETE FROM people_days WHERE day < :day"),
)


def day_of(conn: Connection, client_id: str, day: int) -> tuple[int, int]:
    """Return how many people the client was told that day, and how many more workers hold in hand."""
    row = conn.execute(_DAY, {"client_id": client_id, "day": day}).one_or_none()
    if row is not None:
        return int(row.told), int(row.reserved)
    for statement in _FORGET_DAYS:  # its first of this day
        conn.execute(statement, {"day": day})
    return 0, 0


def set_day(conn: Connection, client_id: str, day: int, told: int, reserved: int) -> None:
    """Store the same."""
    row = {"client_id": client_id, "day": day, "told": told, "reserved": reserved}
    conn.execute(_SET_DAY, row)


def merge_people(
    conn: Connection, client_id: str, day: int, people: Mapping[int, int]
) -> tuple[dict[int, int], int]:
    """Add people (part -> bits) to those told; return all of these parts, and how many are new."""
    stored = {
        part: int.from_bytes(bits, "little")
        for some in slices(sorted(people))
        for part, bits in _PARTS.rows(conn, client_id=client_id, day=day, parts=some)
    }
    merged = {part: stored.get(part, 0) | bits for part, bits in people.items()}
    changed = {part: bits for part, bits in merged.items() if bits != stored.get(part, 0)}
    if changed:
        key = {"client_id": client_id, "day": day}
        conn.execute(
            _SET_PART, [{**key, "part": part, "bits": _packed(bits)} for part, bits in changed.items()]
        )
    return merged, sum((bits ^ stored.get(part, 0)).bit_count() for part, bits in changed.items())


def _packed(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")
