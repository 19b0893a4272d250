"""Whom a data-subject request is about: its identifiers opened and looked up, every record judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from consent.correction_ties import tied
from consent.errors import RequestBlockedError, RequestStateError
from consent.events import REQUEST, Subject
from consent.key_store import KeyStore
from consent.lookup import Found, Identifier, Lookup
from consent.people import People
from consent.request_members import Candidate, candidates, with_tied
from consent.request_opening import Opening
from consent.request_store import StoredRequest
from consent.vault import EvidenceKey, Vault
from identity.database import Database
from identity.store import MembershipReader

CONTENT: Final = b"request content"
"""The place for which what a request says is sealed."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whom the identifiers of a request find now, and how surely each record is theirs."""

    golden_no: int | None
    shared: bool  # several people fit
    members: tuple[Candidate, ...] = ()
    waiting: bool = False  # a record that carries an identifier came from a file since the last linkage run

    def refuse_waiting(self) -> None:
        """Raise RequestBlockedError where a record that may be theirs is in no golden ID yet.

        An answer would leave it out: an erasure would be attested, and the next run would serve the record.
        """
        if self.waiting:
            raise RequestBlockedError(
                "a record with one of the identifiers came since the last linkage run: run `aurea link`, "
                "then repeat this"
            )


class Recognition:
    """Recognises requesters. `minimum` is the policy's: from which confidence a record is certain."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        vault: Vault,
        memberships: MembershipReader,
        people: People,
        lookup: Lookup,
        minimum: float,
    ) -> None:
        self._db, self._keys, self._key_store, self._vault = db, keys, key_store, vault
        self._memberships, self._people, self._lookup = memberships, people, lookup
        self._minimum = minimum

    def found(self, identifiers: Sequence[Identifier]) -> int | None:
        """Return the golden number of the one person whom all identifiers fit."""
        return self._lookup.find(identifiers).golden_no

    def of(self, request: StoredRequest, now: int) -> Recognised:
        """Return whom the identifiers find now. Raises RequestStateError once the request is forgotten."""
        found = self._lookup.find(self.content(request).identifiers)
        waiting = self._waiting(found)
        if found.golden_no is None:
            return Recognised(None, found.shared, waiting=waiting)
        person = self._people.of_golden(found.golden_no, now)
        carried: dict[int, set[str]] = {}
        for match in found.matches:
            for record_no in match.record_nos:
                carried.setdefault(record_no, set()).add(match.type)
        numbers = [member.record_no for member in person.members]
        with self._db.read() as conn:
            links = self._memberships.links(conn, numbers)
            elsewhere = tied(conn, numbers)
        scored = [(link.record_a, link.record_b, link.weight) for link in links]
        judged = candidates(person.members, carried, scored, self._minimum, lapsed=person.lapsed)
        return Recognised(found.golden_no, False, with_tied(judged, elsewhere), waiting)

    def _waiting(self, found: Found) -> bool:
        """Whether a record that carries one of the identifiers has no golden ID yet: it may be theirs."""
        carriers = sorted(set().union(*(match.record_nos for match in found.matches)))
        with self._db.read() as conn:
            return len(self._memberships.goldens_of(conn, carriers)) < len(carriers)

    def content(self, request: StoredRequest) -> Opening:
        """Open what the request says. Raises RequestStateError once it is forgotten."""
        content = self.key(request).open(CONTENT, request.sealed)
        return Opening.of_content(content, asked=request.asked, jurisdiction=request.jurisdiction)

    def key(self, request: StoredRequest) -> EvidenceKey:
        """Open the request's own key. Raises RequestStateError once it is destroyed."""
        subject = Subject(REQUEST, request.request_no)
        with self._keys.read() as conn:
            row = self._key_store.evidence.fetch(conn, [subject]).get(subject)
        if row is None:
            raise RequestStateError("what the request said is destroyed; only its outcome is kept")
        return self._vault.open_evidence_key(*subject, row.epoch, row.wrapped)
