"""Recording what people say about purposes, and answering what is permitted.

One statement is one transaction of the operational store: its events in the ledger, and where linking is
concerned the records' permission to be linked and their leaving the golden ID. A crash before it leaves
evidence keys that nothing uses; after it there is nothing left to do.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection

from consent.decisions import CLOCK_SKEW_MS, Decision, Reason, decide, rule_of
from consent.errors import RecordRejectedError, UnknownSubjectError
from consent.events import (
    DENIALS,
    IN_PERSON_METHODS,
    METHODS,
    NOT_A_NOTICE,
    NOTICE,
    RECORD,
    STATES,
    VERIFIED_METHODS,
    ConsentEvent,
    StatedEvidence,
    Subject,
)
from consent.key_store import KeyStore
from consent.linking_permission import EventSource, LinkingPermission
from consent.permission import HELD, Evidence, Member, Outside, outside, permission
from consent.purposes import Purpose, Purposes
from consent.statement_evidence import check_evidence
from consent.subjects import GoldenRef, Named, SubjectRef, Subjects
from consent.vault import EvidenceKey, Vault
from identity.database import Database
from identity.statements import Statement, slices

_LIVE = Statement("SELECT record_no FROM records WHERE record_no IN :record_nos")


class EventLedger(EventSource, Protocol):
    """What recording needs of `consent.ledger.Ledger`."""

    def prepare(self, event: ConsentEvent, evidence_key: EvidenceKey) -> Any:
        """Seal an event and compute its leaf."""
        ...

    def append(self, conn: Connection, entries: Sequence[Any]) -> int:
        """Append prepared entries in the caller's write transaction; return the first one's index."""
        ...


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said about a subject. `event_time`: when, as claimed (ms); None means now.

    `begun`: the same request may have recorded it since then (ms), and have lost the answer.
    """

    purpose: str
    state: str
    method: str
    source: str  # `channel:<name>` or `client:<id>`
    notice: str | None = None
    event_time: int | None = None
    evidence: StatedEvidence | None = None
    begun: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is permitted, why, and every event that it rests on.

    `outside` are the records of the person that the purpose does not see: for officers only.
    """

    state: str
    allowed: bool
    reasons: tuple[Reason, ...]
    events: tuple[ConsentEvent, ...]
    outside: tuple[Outside, ...] = ()
    rule: str = ""


class ConsentRecorder:
    """Records statements and answers queries about them.

    `detach` takes records that may no longer be linked out of their golden IDs, in the transaction it is
    given (`identity.online.OnlineResolver.detach_in`). `tell` notes, there too, whom a denial concerns.
    """

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        vault: Vault,
        ledger: EventLedger,
        purposes: Purposes,
        subjects: Subjects,
        detach: Callable[[Connection, Sequence[int], int], None],
        tell: Callable[[Connection, Sequence[int], str | None, int], None] | None = None,
    ) -> None:
        self._db, self._keys, self._key_store, self._vault = db, keys, key_store, vault
        self._ledger, self._purposes, self._subjects, self._detach = ledger, purposes, subjects, detach
        self._tell = tell
        self._linking = LinkingPermission(ledger, purposes)

    def record(self, ref: SubjectRef, saying: Saying, now: int) -> tuple[ConsentEvent, ...]:
        """Record `saying` and return its events, one for each piece of evidence it attaches to.

        An import that only repeats what its source last said makes none, nor does a request that repeats
        itself: then the earlier events are returned.

        Raises UnknownSubjectError, UnknownPurposeError and RecordRejectedError.
        """
        purpose = self._purposes[saying.purpose]
        _validate(saying, now)
        check_evidence(saying.evidence, saying.state, saying.method, purpose, now)
        named = self._subjects.named(ref, now)
        with self._keys.write() as conn:
            targets = self._targets(conn, named, purpose, saying)
            evidence_keys = self._key_store.evidence.open_or_create(conn, targets, self._vault)
        if len(evidence_keys) < len(targets):
            raise UnknownSubjectError("the subject has been erased")
        with self._db.write() as conn:
            _refuse_gone(conn, targets)
            if self._unsure_of_session(ref, named, saying):
                evidence_keys = self._without_denied(conn, purpose, evidence_keys, now)
            said = self._append(conn, purpose, saying, evidence_keys, now)
            if self._tell is not None and saying.state in DENIALS:
                record_nos = [member.record_no for member in named.person.members]
                self._tell(conn, record_nos, None if saying.state == "restricted" else purpose.name, now)
            if self._linking.concerns(purpose.name, saying.state):
                self._project_linking(conn, named, targets, now)
        return said

    def query(self, ref: SubjectRef, purpose_name: str, now: int, *, as_of: int | None = None) -> Answer:
        """Return what `purpose_name` may do with the subject now, or could by what was recorded by `as_of`.

        The past is replayed over the records that the subject has now.
        """
        purpose = self._purposes[purpose_name]
        named = self._subjects.named(ref, now)
        person = named.person if named.token is None else self._subjects.carriers(named, now)
        evidence = person.evidence if as_of is None else _replay(person.evidence, as_of)
        unseen: tuple[Outside, ...] = ()
        if named.token is None:
            permitted = permission(person.members, evidence, purpose)
            decision, unseen = permitted.decision, outside(person.members, permitted.view, purpose)
        else:
            evidence, decision = _of_address(named.contact, person.members, evidence, purpose)
        events = tuple(
            event for event in evidence.events if event.purpose == purpose.name or event.state == "restricted"
        )
        return Answer(
            decision.state, decision.allowed, decision.reasons, events, unseen, rule_of(decision, purpose)
        )

    def _project_linking(self, conn: Connection, named: Named, targets: Sequence[Subject], now: int) -> None:
        members = [_with_contact(member, named, targets) for member in named.person.members]
        lost = self._linking.project(conn, members, now)
        if lost:
            self._detach(conn, lost, now)

    def _targets(
        self, conn: Connection, named: Named, purpose: Purpose, saying: Saying
    ) -> tuple[Subject, ...]:
        denial = saying.state in DENIALS
        contacts = self._key_store.evidence.contacts(conn, sorted(named.tokens(purpose, denial=denial)))
        targets = named.targets(purpose, contacts, denial=denial)
        if not targets:
            raise RecordRejectedError("subject", f"has no address that {purpose.name} could use")
        return targets

    def _unsure_of_session(self, ref: SubjectRef, named: Named, saying: Saying) -> bool:
        """Whether it is a grant in person of which nobody knows by whose record the person came.

        It is one record's word. Where the records are not surely one person's, as surely as a data-subject
        request asks for, it would re-open what another person denied.
        """
        checked = saying.method not in IN_PERSON_METHODS or saying.method in VERIFIED_METHODS
        if checked or saying.state != "granted" or not isinstance(ref, GoldenRef):
            return False
        sure = self._purposes.requests.minimum_confidence
        return any(member.confidence < sure for member in named.person.members)

    def _without_denied(
        self, conn: Connection, purpose: Purpose, evidence_keys: dict[Subject, EvidenceKey], now: int
    ) -> dict[Subject, EvidenceKey]:
        """Leave out what denies the purpose. Raises RecordRejectedError where nothing is left."""
        events = self._ledger.events_for(conn, sorted(evidence_keys))
        kept = {}
        for subject, key in evidence_keys.items():
            alone = frozenset({subject})
            state = decide(events, in_view=alone, everyone=alone, purpose=purpose, now=now).state
            if state not in DENIALS:
                kept[subject] = key
        if not kept:
            raise RecordRejectedError(
                "subject",
                "has records that may be several people's, which all deny it: name the record",
            )
        return kept

    def _append(
        self,
        conn: Connection,
        purpose: Purpose,
        saying: Saying,
        evidence_keys: dict[Subject, EvidenceKey],
        now: int,
    ) -> tuple[ConsentEvent, ...]:
        repeated = self._repeated(conn, saying, evidence_keys)
        new = [
            _event(subject, purpose, saying, now)
            for subject in sorted(evidence_keys)
            if subject not in repeated
        ]
        if not new:
            return tuple(repeated.values())
        first = self._ledger.append(
            conn, [self._ledger.prepare(event, evidence_keys[event.subject]) for event in new]
        )
        return tuple(replace(event, index=first + place) for place, event in enumerate(new))

    def _repeated(
        self, conn: Connection, saying: Saying, subjects: Collection[Subject]
    ) -> dict[Subject, ConsentEvent]:
        """Return the subjects for which nothing new is said, with what was said before.

        By an import, which repeats what its source said last, or by a request that repeats itself: whatever
        was said since is not to be undone by that.
        """
        if saying.method != "import" and saying.begun is None:
            return {}
        earlier = [
            event
            for event in self._ledger.events_for(conn, sorted(subjects))
            if event.purpose == saying.purpose and event.source == saying.source
        ]
        last = {event.subject: event for event in earlier if saying.method == "import"}
        same = {subject: event for subject, event in last.items() if event.state == saying.state}
        return same | {event.subject: event for event in earlier if _by_itself(saying, event)}


def _of_address(
    contact: Subject | None, members: Sequence[Member], evidence: Evidence, purpose: Purpose
) -> tuple[Evidence, Decision]:
    """Decide about an address, given all records of the people who carry it; return what it rests on too.

    What was said about their other addresses is no part of it.
    """
    itself = frozenset() if contact is None else frozenset({contact})
    everyone = itself | {Subject(RECORD, member.record_no) for member in members}
    about = [event for event in evidence.events if event.subject in everyone]
    evidence = replace(evidence, events=about)
    if any(member.held for member in members):
        return evidence, HELD
    return evidence, evidence.about(purpose, members).decide(purpose, itself, everyone)


def _validate(saying: Saying, now: int) -> None:
    if saying.state not in STATES:
        raise RecordRejectedError("state", "is none of " + ", ".join(STATES))
    if saying.method not in METHODS:
        raise RecordRejectedError("method", "is none of " + ", ".join(METHODS))
    if saying.notice is not None and not NOTICE.fullmatch(saying.notice):
        raise RecordRejectedError("notice", NOT_A_NOTICE)
    if saying.event_time is not None and saying.event_time > now + CLOCK_SKEW_MS:
        raise RecordRejectedError("event_time", "is more than 5 minutes in the future")


def _event(subject: Subject, purpose: Purpose, saying: Saying, now: int) -> ConsentEvent:
    said_at = now if saying.event_time is None else saying.event_time
    return ConsentEvent(
        index=None,
        subject=subject,
        purpose=purpose.name,
        state=saying.state,
        method=saying.method,
        source=saying.source,
        notice=saying.notice,
        event_time=said_at,
        recorded_at=now,
        expires_at=purpose.expires_at(min(said_at, now)) if saying.state == "granted" else None,
        evidence=saying.evidence,
    )


def _by_itself(saying: Saying, event: ConsentEvent) -> bool:
    """Whether the request that says it may have recorded the event before."""
    return (
        saying.begun is not None
        and event.recorded_at >= saying.begun
        and (event.state, event.method, event.notice) == (saying.state, saying.method, saying.notice)
        and saying.event_time in (None, event.event_time)
    )


def _refuse_gone(conn: Connection, targets: Sequence[Subject]) -> None:
    """Raise UnknownSubjectError if a record was deleted since it was looked up."""
    wanted = [subject.no for subject in targets if subject.kind == RECORD]
    live = sum(len(_LIVE.rows(conn, record_nos=part)) for part in slices(wanted))
    if live < len(wanted):
        raise UnknownSubjectError("there is no such golden ID or record any more")


def _with_contact(member: Member, named: Named, targets: Sequence[Subject]) -> Member:
    """Add the contact point just spoken of, which may be new, to a record that carries it."""
    if named.token is None:
        return member
    return replace(member, contacts=member.contacts | {subject.no for subject in targets})


def _replay(evidence: Evidence, as_of: int) -> Evidence:
    """Return the evidence as it was recorded by `as_of`."""
    events = tuple(event for event in evidence.events if event.recorded_at <= as_of)
    return Evidence(events, as_of)
