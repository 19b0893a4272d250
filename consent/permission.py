"""What a purpose may see of a person: members -> view -> decision (pure).

The one place that puts a person's members and their consent events together. Reading a profile,
answering a query and explaining a decision all start here, so that they cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from consent.ages import ANY_AGE, Ages, ages_of
from consent.decisions import Decision, DecisionState, Reason, decide, standing
from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.purposes import Purpose
from identity.records import RECTIFICATION

# Which of several records' states is told for all of them: the gravest, whatever the order of the records.
_SEVERITY: Final[tuple[DecisionState, ...]] = (
    "restricted", "conflict", "withdrawn", "objected", "refused", "expired", "unknown", "granted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """What a decision needs to know of one record of the person."""

    record_no: int
    channel: str
    confidence: float  # of its membership
    verified: frozenset[str] = frozenset()  # identifier types that its channel has verified
    contacts: frozenset[int] = frozenset()  # numbers of the contact points it carries
    held: bool = False  # an erasure left it out as doubtful, and nobody has settled whose it is
    born: int | None = None  # what it says of the person's birth (consent.ages), where the policy asks

    @property
    def subjects(self) -> frozenset[Subject]:
        """The evidence of this record: itself and its contact points."""
        return frozenset({Subject(RECORD, self.record_no), *(Subject(CONTACT, no) for no in self.contacts)})


@dataclass(frozen=True, slots=True)
class Permission:
    """The decision, the records it lets the purpose see, and for a contact-bound purpose the addresses.

    `contacts` is None where the purpose does not bind to contact points: then every address of the
    view may be seen.
    """

    decision: Decision
    view: tuple[Member, ...]
    contacts: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Outside:
    """A record of the person that the purpose does not see, and why: confidence, channel or entry."""

    record_no: int
    confidence: float
    why: Literal["confidence", "channel", "entry"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The events that could matter and the time they are judged at (ms since the epoch, UTC)."""

    events: Sequence[ConsentEvent]
    now: int
    ledger_time: int = 0  # the last time recorded in the ledger
    ages: Ages = ANY_AGE  # whose grants count

    def about(self, purpose: Purpose, members: Sequence[Member] = ()) -> "Evidence":
        """Return what could matter to `purpose`, so that many decisions need not look through the rest.

        `members` are all records of the person, whose age they tell.
        """
        name = purpose.name
        events = [event for event in self.events if event.purpose == name or event.state == "restricted"]
        return Evidence(events, self.now, self.ledger_time, _ages(members, purpose))

    def decide(self, purpose: Purpose, in_view: frozenset[Subject], everyone: frozenset[Subject]) -> Decision:
        """Apply the rules of `consent.decisions`."""
        return decide(
            self.events,
            in_view=in_view,
            everyone=everyone,
            purpose=purpose,
            now=self.now,
            ledger_time=self.ledger_time,
            ages=self.ages,
        )


HELD: Final = Decision(
    False, "restricted", (Reason(None, "an erasure left a record in doubt: an officer settles whose it is"),)
)
"""What holds for every purpose, whatever anybody says, while the erased might live on in a record."""


def permission(members: Sequence[Member], evidence: Evidence, purpose: Purpose) -> Permission:
    """Decide what `purpose` may see of the person whose records are `members`, all of them."""
    if any(member.held for member in members):
        return Permission(HELD, (), frozenset())
    evidence = evidence.about(purpose, members)
    if purpose.binds == "record":
        return Permission(_record_by_record(members, evidence, purpose), tuple(members), None)
    view = _carried(_view(members, purpose), evidence, purpose)
    if purpose.binds == "contact":
        return _contact_by_contact(members, view, evidence, purpose)
    everyone = _subjects(members)
    in_view = everyone if len(view) == len(members) else _subjects(view)
    decision = evidence.decide(purpose, in_view, everyone)
    if decision.allowed and not view:
        why = Reason(None, f"no record of this person lies in the view of {purpose.name}")
        decision = Decision(False, decision.state, (why,))
    return Permission(decision, view, None)


def outside(members: Sequence[Member], view: Sequence[Member], purpose: Purpose) -> tuple[Outside, ...]:
    """Return the members that are not in the `view` which `permission` gave of them."""
    seen = {member.record_no for member in view}
    return tuple(
        Outside(member.record_no, member.confidence, _why_outside(member, purpose))
        for member in members
        if member.record_no not in seen
    )


def _why_outside(member: Member, purpose: Purpose) -> Literal["confidence", "channel", "entry"]:
    if member.confidence < purpose.minimum_confidence:
        return "confidence"
    return "entry" if purpose.channels is None or member.channel in purpose.channels else "channel"


def _ages(members: Sequence[Member], purpose: Purpose) -> Ages:
    if not purpose.age_matters:
        return ANY_AGE
    telling = [member for member in members if member.born is not None]
    corrected = [member for member in telling if member.channel == RECTIFICATION]
    seen = _view(corrected or telling, purpose) if purpose.unknown_age == "minor" else telling
    return ages_of(_births(corrected or telling), _births(seen), purpose)


def _births(members: Sequence[Member]) -> list[int]:
    return [member.born for member in members if member.born is not None]


def _subjects(members: Sequence[Member]) -> frozenset[Subject]:
    records = {Subject(RECORD, member.record_no) for member in members}
    contacts = frozenset[int]().union(*(member.contacts for member in members))  # often shared
    return frozenset(records | {Subject(CONTACT, no) for no in contacts})


def _view(members: Sequence[Member], purpose: Purpose) -> tuple[Member, ...]:
    """Return the members that the policy lets the purpose see: by channel and by confidence.

    A correction is a part of what it corrects: whoever sees the person through any channel sees it too.
    """
    sure = [member for member in members if member.confidence >= purpose.minimum_confidence]
    if purpose.channels is None:
        return tuple(sure)
    seen = [member for member in sure if member.channel in purpose.channels]
    return tuple(each for each in sure if each in seen or (seen and each.channel == RECTIFICATION))


def _carried(view: tuple[Member, ...], evidence: Evidence, purpose: Purpose) -> tuple[Member, ...]:
    """Narrow the view where `entry = "verified"` to the records that somebody entitled has granted for.

    A stranger who signs up with a victim's e-mail joins the victim's records and could then grant for
    them. So a record whose channel has verified nothing of it grants for its own channel only.
    """
    if purpose.entry == "any" or purpose.regime != "opt_in":
        return view
    granting = [
        member for member in view if evidence.decide(purpose, member.subjects, member.subjects).allowed
    ]
    if any(member.verified for member in granting):
        return view
    channels = {member.channel for member in granting}
    channels |= {RECTIFICATION} if channels else set()
    return tuple(member for member in view if member.channel in channels)


def _record_by_record(members: Sequence[Member], evidence: Evidence, purpose: Purpose) -> Decision:
    """Every record decides for itself; together they permit only what each of them permits."""
    if not members:
        return Decision(False, "unknown", (Reason(None, f"nobody has granted {purpose.name}"),))
    decisions = [evidence.decide(purpose, member.subjects, member.subjects) for member in members]
    denied = [decision for decision in decisions if not decision.allowed]
    telling = sorted(denied or decisions, key=lambda decision: _SEVERITY.index(decision.state))
    reasons = dict.fromkeys(reason for decision in telling for reason in decision.reasons)
    return Decision(not denied, telling[0].state, tuple(sorted(reasons, key=_place)))


def _place(reason: Reason) -> tuple[int, str]:
    return (-1 if reason.event is None else reason.event), reason.text


def _contact_by_contact(
    members: Sequence[Member], view: tuple[Member, ...], evidence: Evidence, purpose: Purpose
) -> Permission:
    """Permission to write to one address is none to write to another.

    Only grants on the contact point itself count. A denial on it or on any record of the person denies
    it; a denial on another address does not.
    """
    about, of_records = _by_contact(evidence)
    everyone = _subjects(members)
    clock = max((evidence.ledger_time, *(event.recorded_at for event in evidence.events)))
    # what a record granted permits no address, so of the records' events the denials alone matter here
    denials = standing(
        of_records,
        everyone=everyone,
        purpose=purpose,
        now=evidence.now,
        ledger_time=clock,
        ages=evidence.ages,
    )
    decisions: dict[int, Decision] = {}
    silent: Decision | None = None  # of a contact point without events: the same for each of them
    for no in sorted({no for member in view for no in member.contacts}):
        contact = Subject(CONTACT, no)
        own = about.get(contact, [])
        if not own and silent is not None:
            decisions[no] = silent
            continue
        decisions[no] = decide(
            [*denials, *own],
            in_view=frozenset({contact}),
            everyone=everyone,
            purpose=purpose,
            now=evidence.now,
            ledger_time=clock,
            ages=evidence.ages,
        )
        silent = silent if own else decisions[no]
    permitted = frozenset(no for no, decision in decisions.items() if decision.allowed)
    return Permission(_summary(list(decisions.values()), purpose), view, permitted)


def _by_contact(evidence: Evidence) -> tuple[dict[Subject, list[ConsentEvent]], list[ConsentEvent]]:
    """Return the events of each contact point, and those of records."""
    about: dict[Subject, list[ConsentEvent]] = {}
    of_records = []
    for event in evidence.events:
        if event.subject.kind == CONTACT:
            about.setdefault(event.subject, []).append(event)
        else:
            of_records.append(event)
    return about, of_records


def _summary(decisions: Sequence[Decision], purpose: Purpose) -> Decision:
    """One decision for several addresses: the first that allows, else that denies, else the first."""
    none = Decision(False, "unknown", (Reason(None, f"no address that {purpose.name} could use"),))
    said = [decision for decision in decisions if decision.state not in ("unknown", "expired")]
    allowed = [decision for decision in decisions if decision.allowed]
    return (*allowed, *said, *decisions, none)[0]
