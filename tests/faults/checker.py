"""What must hold of a home whatever broke: no acknowledged write lost, nothing doubled, no denial served.

The checker is told what was acknowledged and what was merely begun. Of what was begun either nothing or all
may be there; of what was acknowledged, all of it. It looks through the service's own doors, and counts rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import text

from api.auth import Caller
from api.problems import NOT_FOUND, ProblemError
from api.profiles import find_profile
from api.services import Services
from consent.key_store import ORPHAN_AGE_MS
from consent.lookup import Identifier
from consent.record_contents import record_token
from identity.records import RecordKey
from tests.world import ALL_PURPOSES

READER = Caller("c_reader", "consumer", frozenset(ALL_PURPOSES), pairwise=False, expires_at=2**62)

Name = tuple[str, str]  # channel, source_id

_PUBLISHED = "(SELECT value FROM counters WHERE name = 'published_version')"
# What there may be once at most; the columns make one of it.
ONCE = {
    "record of one key": "SELECT key_id FROM records GROUP BY key_id HAVING COUNT(*) > 1",
    "membership": f"""
        SELECT record_no FROM memberships WHERE valid_from <= {_PUBLISHED} AND valid_to > {_PUBLISHED}
        GROUP BY record_no HAVING COUNT(*) > 1
    """,  # noqa: S608 - a constant of this file
    "place in the ledger": "SELECT idx FROM ledger GROUP BY idx HAVING COUNT(*) > 1",
    "statement of a channel": """
        SELECT MIN(idx) FROM ledger WHERE purpose IS NOT NULL AND source LIKE 'channel:%'
        GROUP BY subject_kind, subject_no, purpose, state, source HAVING COUNT(*) > 1
    """,
}


@dataclass
class Expected:
    """Who is there, by e-mail address, and who denies what. `None` for an address: nobody of that key."""

    acknowledged: dict[Name, str | None] = field(default_factory=dict)
    begun: dict[Name, list[str | None]] = field(default_factory=dict)
    denied: set[tuple[Name, str]] = field(default_factory=set)  # acknowledged denials of a purpose
    permitted: set[tuple[Name, str]] = field(default_factory=set)  # who must be served: else nothing is shown

    def begin(self, name: Name, email: str | None) -> None:
        """Note a write that is under way."""
        self.begun.setdefault(name, []).append(email)

    def acknowledge(self, name: Name) -> None:
        """Note that the write under way was answered for."""
        self.acknowledged[name] = self.begun.pop(name)[-1]

    def possible(self, name: Name) -> set[str | None]:
        """Return what may be found under `name`."""
        return {self.acknowledged.get(name), *self.begun.get(name, [])}


def problems(services: Services, expected: Expected) -> list[str]:
    """Return what is wrong with a home; nothing is what a test asks for."""
    return [*_lost(services, expected), *_doubled(services, expected), *_served(services, expected)]


def _lost(services: Services, expected: Expected) -> Iterator[str]:
    for name in sorted(expected.acknowledged.keys() | expected.begun):
        found = stored_email(services, name)
        if found not in expected.possible(name):
            yield f"{name}: {'nothing' if found is None else 'another content'} is stored"


def stored_email(services: Services, name: Name) -> str | None:
    """Return the address of a record, opened with its key; None where there is no record."""
    number = services.writer.find(RecordKey(*name))
    if number is None:
        return None
    opened = services.sealed.open_fields([number], ["email"])
    return opened[number].attributes["email"][0] if number in opened else None


def _doubled(services: Services, expected: Expected) -> Iterator[str]:
    names = sorted(expected.acknowledged.keys() | expected.begun)
    there = sum(stored_email(services, name) is not None for name in names)
    with services.db.read() as conn:
        records = conn.execute(text("SELECT COUNT(*) FROM records")).scalar_one()
        if records != there:
            yield f"{records} records are stored, and {there} can be found"
        for what, sql in ONCE.items():
            if found := conn.execute(text(sql)).all():
                yield f"{len(found)} {what} twice"
        size, last = conn.execute(text("SELECT COUNT(*), COALESCE(MAX(idx), -1) FROM ledger")).one()
        if size != last + 1:
            yield f"the ledger holds {size} entries and ends at {last}"
    report = services.ledger.verify()
    if not report.ok:
        yield f"the ledger does not verify: {report.reason}"
    yield from _keys(services, names)


def _keys(services: Services, names: list[Name]) -> Iterator[str]:
    """Find keys under one token that two records use."""
    tokens = {record_token(services.stores.index, RecordKey(*name)): name for name in names}
    with services.db.read() as conn, services.keys.read() as keys_conn:
        used = set(conn.execute(text("SELECT key_id FROM records")).scalars())
        rows = services.key_store.find_many(keys_conn, tokens)
    for token, found in rows.items():
        if len([row for row in found if row.key_id in used]) > 1:
            yield f"{tokens[token]} has two records"


def _served(services: Services, expected: Expected) -> Iterator[str]:
    for name, purpose in sorted(expected.denied):
        if serves(services, name, purpose):
            yield f"{name} is served for {purpose}, which was denied"
    for name, email in sorted(expected.acknowledged.items()):
        if email is None and serves(services, name, "service"):
            yield f"{name} is served, and is gone"
    for name, purpose in sorted(expected.permitted - expected.denied):
        if expected.acknowledged.get(name) and not serves(services, name, purpose):
            yield f"{name} permits {purpose} and is not served"


def serves(services: Services, name: Name, purpose: str) -> bool:
    """Whether a consumer is told anything of the person of this record."""
    try:
        find_profile(services, READER, [Identifier("record", ":".join(name))], purpose)
    except ProblemError as error:
        if error.problem is not NOT_FOUND:
            raise
        return False
    return True


def unused_keys(services: Services, now: int) -> int:
    """Return how many keys live that no record uses, once what a crash leaves was swept as it is in time."""
    services.key_store.sweep_orphans(services.db, now + 2 * ORPHAN_AGE_MS)
    with services.db.read() as conn, services.keys.read() as keys_conn:
        records = conn.execute(text("SELECT COUNT(*) FROM records")).scalar_one()
        keys = keys_conn.execute(text("SELECT COUNT(*) FROM record_keys WHERE length(wrapped) > 0"))
        return int(keys.scalar_one() - records)
