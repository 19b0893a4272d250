"""Consent events: what was said about one record or contact point, in the order of the ledger (pure)."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

SubjectKind = Literal[1, 2]
RECORD: Final[SubjectKind] = 1
CONTACT: Final[SubjectKind] = 2
ERASURE: Final = 3
"""Not a kind that consent is about: the job of an erasure, whose key seals it (consent.erasure)."""
REQUEST: Final = 4
"""A data-subject request: has a key among the evidence keys, and no events."""

State = Literal["granted", "refused", "withdrawn", "objected", "restricted"]
STATES: Final[tuple[State, ...]] = ("granted", "refused", "withdrawn", "objected", "restricted")
DENIALS: Final[frozenset[str]] = frozenset(("refused", "withdrawn", "objected", "restricted"))

Method = Literal["import", "api", "direct", "verified", "guardian", "verified_guardian"]
METHODS: Final[tuple[Method, ...]] = (
    "import", "api", "direct", "verified", "guardian", "verified_guardian",
)  # fmt: skip
"""How it was said. `direct`: in the subject's own session; `verified`: by a requester proven to be them.
`guardian`: by whoever holds parental responsibility, as the channel says; `verified_guardian`: as an officer
has checked.
"""
VERIFIED_METHODS: Final[frozenset[str]] = frozenset(("verified", "verified_guardian"))
"""An officer's word: no other role records these."""
GUARDIAN_METHODS: Final[frozenset[str]] = frozenset(("guardian", "verified_guardian"))
IN_PERSON_METHODS: Final[frozenset[str]] = frozenset(("direct", "verified", "guardian", "verified_guardian"))
"""What may re-open a denial; everything else is hearsay."""


RENEWAL_DAYS: Final = 30
"""How long before its end a grant is asked for again; a grant from then on renews it."""

NOTICE: Final = re.compile(r"[A-Za-z0-9_.:/ -]{1,64}")
"""The version of a notice. The ledger keeps it in clear, so it has no room for what people write."""
NOT_A_NOTICE: Final = "is not 1 to 64 letters, digits, spaces or any of _.:/-"


EvidenceType = Literal["iab_tcf", "guardian"]


class StatedEvidence(NamedTuple):
    """What proves a statement: a TC string, or where a guardian's authority is on file.

    Sealed with the event, stated in its receipt.
    """

    type: str
    value: str

    def __repr__(self) -> str:
        return f"<evidence of type {self.type}>"


class Subject(NamedTuple):
    """Whom an event is about: a source record (by record_no) or a contact point (by contact_no)."""

    kind: int
    no: int


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One statement about one purpose. Times are ms since the epoch, UTC.

    `index` is the place in the ledger, None until appended; it alone decides order, never a claimed
    `event_time`. `source` is who said it: `channel:<name>` or `client:<id>`. `evidence` is kept in the
    sealed payload alone: an event read from the ledger's columns has none.
    """

    index: int | None
    subject: Subject
    purpose: str
    state: str
    method: str
    source: str
    notice: str | None
    event_time: int
    recorded_at: int
    expires_at: int | None
    evidence: StatedEvidence | None = field(default=None, repr=False, compare=False)
