"""A home with real stores in a temporary folder, seen from the privacy side: no HTTP, no linkage.

Who belongs to whom is stated by the test (`person`), as a linkage run would have published it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.event import listen, remove

from api.settings import Settings
from api.stores import load_keyring, open_keys, open_operational
from consent.access_log import AccessLog
from consent.answers import Profile, RevealRequest, Scattered, Withheld
from consent.birth_facts import birth_facts
from consent.blind_indexes import BlindIndex
from consent.enforcement import Door
from consent.events import ConsentEvent
from consent.incoming import IncomingConsent, IncomingRecord
from consent.kept_answers import KeptAnswers
from consent.key_store import KeyStore
from consent.ledger import Ledger
from consent.lookup import Identifier, Lookup
from consent.people import People
from consent.prepared_records import RecordStores
from consent.purposes import Purposes
from consent.recording import ConsentRecorder, Saying
from consent.records import RecordWriter
from consent.sealed_records import SealedRecords
from consent.subjects import GoldenRef, RecordRef, SubjectRef, Subjects
from consent.vault import Vault
from identity.read_snapshots import ReadSnapshot
from identity.records import RECTIFICATION, RecordKey, new_golden_id
from identity.store import MembershipReader
from identity.tables import (
    FOREVER,
    former_members,
    golden_ids,
    golden_names,
    golden_states,
    lineage,
    members,
    memberships,
)
from identity.tables import links as stored_links
from tests.homes import new_home
from tests.stores import environment

NOW = 1_790_000_000_000


class Home:
    """Everything the privacy side is made of, over real stores."""

    def __init__(self, folder: Path, purposes: Purposes | None = None, *, keeps: int = 0) -> None:
        settings = Settings.from_environment(environment(folder / "home"))
        new_home(settings)
        self.now = NOW
        self.log_folder = settings.access_log_dir
        self.db, self.keys = open_operational(settings), open_keys(settings)
        keyring = load_keyring(settings)
        self.purposes = purposes or Purposes.load()
        self.vault, self.index = Vault(keyring), BlindIndex(keyring.index_root())
        self.key_store, self.memberships = KeyStore(self.keys), MembershipReader()
        self.ledger = Ledger(
            self.db, self.vault, self.key_store, keyring.signing_key(), "aurea.test", policy="00"
        )
        stores = RecordStores(
            self.db, self.keys, self.key_store, self.vault, self.index, self.ledger, self.purposes
        )
        self.writer = RecordWriter(stores)
        self.lookup = Lookup(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            index=self.index,
            memberships=self.memberships,
        )
        self.people = People(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            memberships=self.memberships,
            events=self.ledger,
            births=birth_facts(self.vault, self.purposes),
        )
        self.access_log = AccessLog(self.log_folder, "test")
        self.opener = SealedRecords(self.db, self.keys, self.key_store, self.vault)
        self.kept = KeptAnswers(self.db, self.keys, self.vault, most=keeps)
        self.door = Door(
            db=self.db,
            memberships=self.memberships,
            people=self.people,
            lookup=self.lookup,
            opener=self.opener,
            purposes=self.purposes,
            access_log=self.access_log,
            kept=self.kept,
        )
        self.detached: list[int] = []
        self.recorder = ConsentRecorder(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            vault=self.vault,
            ledger=self.ledger,
            purposes=self.purposes,
            subjects=Subjects(
                db=self.db,
                keys=self.keys,
                key_store=self.key_store,
                memberships=self.memberships,
                people=self.people,
                lookup=self.lookup,
            ),
            detach=lambda _conn, record_nos, _now: self.detached.extend(record_nos),
        )
        self._next_golden = 1

    def add(
        self,
        source_id: str,
        *,
        channel: str = "web",
        attributes: Mapping[str, str | Sequence[str]] | None = None,
        traits: Mapping[str, str] | None = None,
        verified: tuple[str, ...] = (),
        consents: Mapping[str, str] | None = None,
        observed_at: int | None = None,
    ) -> int:
        """Store a record and return its number."""
        record = IncomingRecord(
            channel=channel,
            source_id=source_id,
            observed_at=observed_at,
            attributes={
                name: [value] if isinstance(value, str) else list(value)
                for name, value in (attributes or {}).items()
            },
            traits=dict(traits or {}),
            verified=verified,
            consents=tuple(IncomingConsent(purpose, state) for purpose, state in (consents or {}).items()),
        )
        (result,) = self.writer.write([record], now=self.now)
        assert result.record_no is not None, result
        return result.record_no

    def correct(self, request_id: str, attributes: Mapping[str, str]) -> int:
        """Store what an officer corrects on request and return its number."""
        said = {name: [value] for name, value in attributes.items()}
        record = IncomingRecord(RECTIFICATION, request_id, attributes=said)
        (result,) = self.writer.write([record], now=self.now, correcting=True)
        assert result.record_no is not None, result
        return result.record_no

    def person(
        self,
        *record_nos: int,
        confidences: Sequence[float] = (),
        links: Sequence[tuple[int, int, float]] = (),
    ) -> str:
        """Publish a golden ID with these records, which leave the one they had; the first is its anchor."""
        number, name = self._next_golden, new_golden_id()
        self._next_golden += 1
        sure = confidences or [1.0] * len(record_nos)
        forever = {"valid_from": 0, "valid_to": FOREVER}
        both_ways = [row for a, b, bits in links for row in ((a, b, bits), (b, a, bits))]
        with self.db.write() as conn:
            for one, other, bits in both_ways:
                conn.execute(
                    insert(stored_links).values(record_no=one, other_no=other, weight=bits, **forever)
                )
            anchor = record_nos[0] if record_nos else 0
            conn.execute(
                insert(golden_ids).values(
                    golden_no=number, golden_id=name, created_version=0, anchor_no=anchor
                )
            )
            conn.execute(insert(golden_names).values(golden_no=number, golden_id=name))
            for table in (memberships, members):
                conn.execute(delete(table).where(table.c.record_no.in_(record_nos)))
            for no, confidence in zip(record_nos, sure, strict=True):
                conn.execute(insert(memberships).values(record_no=no, golden_no=number, **forever))
                conn.execute(
                    insert(members).values(golden_no=number, record_no=no, confidence=confidence, **forever)
                )
        return name

    def retire(
        self, golden_id: str, status: str, *, into: Sequence[str] = (), former: Sequence[int] = ()
    ) -> None:
        """Make a golden ID merged, split or erased; `former` are the records it had when it merged."""
        numbers = {each: self._number(each) for each in (golden_id, *into)}
        with self.db.write() as conn:
            conn.execute(update(members).where(members.c.golden_no == numbers[golden_id]).values(valid_to=0))
            conn.execute(
                insert(golden_states).values(
                    golden_no=numbers[golden_id],
                    valid_from=0,
                    valid_to=FOREVER,
                    status=status,
                    redirect_no=numbers[into[0]] if status == "merged" else None,
                )
            )
            for no in former:
                conn.execute(
                    insert(former_members).values(
                        golden_no=numbers[golden_id], record_no=no, valid_from=0, valid_to=FOREVER
                    )
                )
            for other in into if status == "split" else ():
                conn.execute(
                    insert(lineage).values(
                        golden_no=numbers[golden_id],
                        other_no=numbers[other],
                        version=0,
                        relation="split_into",
                    )
                )

    def say(
        self, subject: SubjectRef | str, state: str, purpose: str, method: str = "direct", **more: Any
    ) -> ConsentEvent:
        """Record a statement about a subject, or about the golden ID of that name."""
        ref = GoldenRef(subject) if isinstance(subject, str) else subject
        saying = Saying(purpose, state, method, "client:c_1", **more)
        return self.recorder.record(ref, saying, self.now)[-1]

    def read(self, golden_id: str, purpose: str = "personalization") -> Profile | Scattered | Withheld:
        """Read a profile by golden ID."""
        return self.door.reveal(RevealRequest(purpose, "c_1", golden_id=golden_id), self.now)

    def profile(self, golden_id: str, purpose: str = "personalization") -> Profile:
        """Read a profile that must be answered."""
        answer = self.read(golden_id, purpose)
        assert isinstance(answer, Profile), answer
        return answer

    def why(self, golden_id: str, purpose: str = "personalization") -> str:
        """Return why nothing is answered."""
        answer = self.read(golden_id, purpose)
        assert isinstance(answer, Withheld), answer
        return answer.why

    def look_up(self, *identifiers: tuple[str, str], purpose: str = "personalization") -> Profile | str:
        """Look a person up; return the profile, or why there is none."""
        request = RevealRequest(
            purpose, "c_1", identifiers=tuple(Identifier(kind, value) for kind, value in identifiers)
        )
        answer = self.door.reveal(request, self.now)
        assert not isinstance(answer, Scattered)
        return answer.why if isinstance(answer, Withheld) else answer

    def close(self) -> None:
        """Release the stores."""
        self.access_log.close()
        self.db.close()
        self.keys.close()

    def _number(self, golden_id: str) -> int:
        with self.db.read() as conn:
            view = self.memberships.resolve(conn, golden_id)
        assert view is not None
        return view.golden_no


def record_ref(source_id: str, channel: str = "web") -> RecordRef:
    return RecordRef(RecordKey(channel, source_id))


@contextmanager
def a_home(folder: Path, purposes: Purposes | None = None, *, keeps: int = 0) -> Iterator[Home]:
    """A home for the length of a block; its door keeps so many answers."""
    home = Home(folder, purposes, keeps=keeps)
    try:
        yield home
    finally:
        home.close()


@contextmanager
def counted(home: Home) -> Iterator[list[str]]:
    """The texts of the statements that both stores are asked."""
    asked: list[str] = []

    def note(*event: Any) -> None:
        asked.append(event[2])

    def on_driver(snapshot: ReadSnapshot, sql: str, values: Sequence[Any]) -> list[Any]:
        asked.append(sql)
        return run(snapshot, sql, values)

    run = ReadSnapshot.rows
    engines = (home.db.engine, home.keys.engine)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ReadSnapshot, "rows", on_driver)
        for engine in engines:
            listen(engine, "before_cursor_execute", note)
        yield asked
        for engine in engines:
            remove(engine, "before_cursor_execute", note)
