"""The job of an erasure: whose records, and how far it got. Sealed under a key that is destroyed at the end.

While it runs the job knows which records were one person's. Afterwards nothing does but the receipt, which
holds numbers that stand for nothing any more.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from consent.errors import KeyUnavailableError
from consent.events import ERASURE, Subject
from consent.evidence_store import EvidenceRow
from consent.prepared_records import RecordStores
from consent.vault import EvidenceKey
from identity.statements import Statement

_PLACE: Final = b"erasure job"

_INSERT: Final = Statement("""
    INSERT INTO erasures (erasure_no, request_id, started_at, sealed)
    VALUES (:erasure_no, :request_id, :started_at, :sealed)
""")
_SAVE: Final = Statement("UPDATE erasures SET sealed = :sealed WHERE erasure_no = :erasure_no")
_SIGNED: Final = Statement("UPDATE erasures SET receipt = :receipt WHERE erasure_no = :erasure_no")
_FINISH: Final = Statement("""
    UPDATE erasures SET sealed = NULL, finished_at = :now WHERE erasure_no = :erasure_no
""")
_ONE: Final = Statement("SELECT sealed, receipt, finished_at FROM erasures WHERE erasure_no = :erasure_no")
_BY_REQUEST: Final = Statement("SELECT erasure_no FROM erasures WHERE request_id = :request_id")
_OPEN: Final = Statement("SELECT erasure_no FROM erasures WHERE finished_at IS NULL ORDER BY erasure_no")


@dataclass(frozen=True, slots=True)
class Job:
    """One erasure under way. `step` is the last step that is done; what later steps add starts empty."""

    erasure_no: int
    request_id: str | None
    started_at: int
    records: tuple[int, ...]  # approved
    keys: tuple[int, ...]  # that sealed them when it started
    goldens: tuple[int, ...]
    step: int = 1
    entries: int = 0  # suppression entries
    contacts: tuple[int, ...] = ()  # contact points that nobody else carries
    contacts_gone: tuple[int, ...] = ()  # those of them that carry no standing denial
    destroyed: tuple[int, ...] = ()  # key ids
    outcome: dict[str, Any] = field(default_factory=dict)  # what the receipt will state
    proofs: dict[str, dict[str, Any]] = field(default_factory=dict)  # entry type -> index, salt, said

    def __repr__(self) -> str:
        return f"<erasure {self.erasure_no}, step {self.step}>"

    @property
    def subject(self) -> Subject:
        """Whom the job's key and its ledger entries belong to."""
        return Subject(ERASURE, self.erasure_no)


class Jobs:
    """Stores jobs. Functions that take a connection run in the caller's transaction."""

    def __init__(self, stores: RecordStores) -> None:
        self._stores = stores

    def new_key(self) -> tuple[int, EvidenceKey]:
        """Return a number for a job and its key. If nothing comes of it, the key opens nothing."""
        stores = self._stores
        with stores.keys.write() as conn:
            number = stores.key_store.next_erasure(conn)
            key, epoch, wrapped = stores.vault.new_evidence_key(ERASURE, number)
            stores.key_store.evidence.insert(conn, [EvidenceRow(Subject(ERASURE, number), epoch, wrapped)])
        return number, key

    def key(self, erasure_no: int) -> EvidenceKey | None:
        """Return a job's key while it exists."""
        subject = Subject(ERASURE, erasure_no)
        with self._stores.keys.read() as conn:
            row = self._stores.key_store.evidence.fetch(conn, [subject]).get(subject)
        if row is None:
            return None
        return self._stores.vault.open_evidence_key(subject.kind, subject.no, row.epoch, row.wrapped)

    def insert(self, conn: Connection, job: Job, key: EvidenceKey) -> None:
        """Store a new job."""
        _INSERT.run(
            conn,
            erasure_no=job.erasure_no,
            request_id=job.request_id,
            started_at=job.started_at,
            sealed=_seal(job, key),
        )

    def save(self, conn: Connection, job: Job, key: EvidenceKey, *, since: int) -> None:
        """Store how far a job got, unless another process brought it beyond step `since` meanwhile."""
        current = self.load(conn, job.erasure_no, key)
        if current is None or current.step > since:
            return
        _SAVE.run(conn, erasure_no=job.erasure_no, sealed=_seal(job, key))

    def load(self, conn: Connection, erasure_no: int, key: EvidenceKey) -> Job | None:
        """Return a job that is under way."""
        ((sealed, _, _),) = _ONE.rows(conn, erasure_no=erasure_no)
        return None if sealed is None else _open(sealed, key)

    def sign(self, conn: Connection, erasure_no: int, receipt: bytes) -> None:
        """Store a job's receipt: from here on only its key and its entries remain to be destroyed."""
        _SIGNED.run(conn, erasure_no=erasure_no, receipt=receipt.decode())

    def finish(self, conn: Connection, erasure_no: int, now: int) -> None:
        """Forget the job but for its receipt."""
        _FINISH.run(conn, erasure_no=erasure_no, now=now)

    def receipt(self, conn: Connection, erasure_no: int) -> dict[str, Any] | None:
        """Return the receipt of a job that got as far as that."""
        ((_, receipt, _),) = _ONE.rows(conn, erasure_no=erasure_no)
        return None if receipt is None else orjson.loads(receipt)

    def of_request(self, conn: Connection, request_id: str | None) -> int | None:
        """Return the job that fulfils a request."""
        rows = _BY_REQUEST.rows(conn, request_id=request_id) if request_id is not None else ()
        return int(rows[0][0]) if rows else None

    def unfinished(self, conn: Connection) -> list[int]:
        """Return the jobs that a crash or a reader has left under way, oldest first."""
        return [number for (number,) in _OPEN.rows(conn)]


def _seal(job: Job, key: EvidenceKey) -> bytes:
    return key.seal(_PLACE, orjson.dumps(asdict(job)))


def _open(sealed: bytes, key: EvidenceKey | None) -> Job:
    if key is None:
        raise KeyUnavailableError("the key of an erasure that is under way is gone")
    said: dict[str, Any] = orjson.loads(key.open(_PLACE, sealed))
    lists = ("records", "keys", "goldens", "contacts", "contacts_gone", "destroyed")
    said |= {name: tuple(said[name]) for name in lists}
    return Job(**said)
