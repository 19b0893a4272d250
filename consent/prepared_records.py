"""What passes between preparing records (any process, no lock) and writing them (one process, in order)."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from consent.blind_indexes import BlindIndex
from consent.evidence_store import EvidenceRow
from consent.imported_consents import Statement
from consent.key_store import KeyRow, KeyStore
from consent.ledger import Ledger, LedgerRow
from consent.purposes import Purposes
from consent.suppression import SuppressionList
from consent.vault import Vault
from identity.database import Database


class Outcome(IntEnum):
    """What becomes of a record. REPEATED: its key came earlier in the same batch, prepare it afterwards."""

    CREATED = 1
    UPDATED = 2
    UNCHANGED = 3
    SUPPRESSED = 4
    REPEATED = 5


class Stored(NamedTuple):
    """What the stores hold under a record key."""

    record_no: int
    key_id: int
    observed_at: int
    linking: bool
    content_mac: bytes


class RecordRow(NamedTuple):
    """A row of `records`, but for its change sequence."""

    record_no: int
    channel: str
    key_id: int
    observed_at: int
    recorded_at: int
    linking: int
    linking_until: int | None
    verified: str
    sealed: bytes
    comparable: bytes


class PreparedRecord(NamedTuple):
    """One record, ready to be written if the stores still hold what was seen."""

    outcome: Outcome
    token: bytes
    record_no: int
    stored: Stored | None
    observed_at: int
    row: RecordRow | None  # created or updated
    key_row: KeyRow | None
    evidence: EvidenceRow | None  # created with consent events
    entries: tuple[LedgerRow, ...]
    statements: tuple[Statement, ...]  # to be compared and recorded under the write lock
    contacts: tuple[bytes, ...]  # tokens of its contact points
    linking: bool
    unreadable: tuple[str, ...]
    released: tuple[int, ...] = ()  # suppression entries that the record's own grant releases


class PreparedBatch(NamedTuple):
    """Prepared records and what was seen of the stores before anything was looked up."""

    records: list[PreparedRecord]
    now: int
    change_sequence: int
    ledger_size: int
    suppression_mark: int = 0  # a larger one since: somebody was erased meanwhile


@dataclass(frozen=True, slots=True)
class RecordStores:
    """The stores and keys that records are written with. Built by the composition root or a worker."""

    db: Database
    keys: Database
    key_store: KeyStore
    vault: Vault
    index: BlindIndex
    ledger: Ledger
    purposes: Purposes
    default_region: str | None = None
    suppression: SuppressionList = field(init=False)

    def __post_init__(self) -> None:
        """Make the list of erased people over the same key store."""
        object.__setattr__(self, "suppression", SuppressionList(self.key_store, self.index))
