"""Consent events + purpose + time -> Decision with its reasons (pure).

The rules, in the order that wins:

1. Denials are collected over *all* members of the person, grants over the members in the purpose's
   view only: a purpose that sees less is never permitted more.
2. A denial stands unless a later grant of the same purpose re-opens it: by method `direct` on the same
   record or contact point, or by method `verified` (an officer's word that the requester was checked
   against the whole person) on any member in the view. Nothing else does: no import, no API call, no
   direct grant elsewhere.
3. A restriction (GDPR 18), recorded for whatever purpose, denies every purpose, by contract too. It ends
   for a purpose by a later `verified` grant of that purpose alone, never by a `direct` one.
4. Opt-in needs an active grant: given, not before its time, not expired. Unknown is never granted.
5. Opt-out needs nothing but the absence of denials; contract and legal obligation heed restrictions only.

6. Below the purpose's age of consent (`consent.ages`) a grant counts only if a guardian gave it, for as long
   as the person is below it; what a person granted as a minor never counts, and re-opens nothing. A denial
   always does, whoever it is from. Where an opt-out purpose needs a minor's opt-in, rule 4 holds.

Later means a higher ledger index; a claimed time never widens anything, but a grant that claims to be older
than a denial does not re-open it, however late it is delivered. Expiry is judged by the later of the wall
clock and the last time the ledger has seen, so that a clock set back revives nothing.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast

from consent.ages import ANY_AGE, Ages
from consent.events import (
    DENIALS,
    GUARDIAN_METHODS,
    IN_PERSON_METHODS,
    VERIFIED_METHODS,
    ConsentEvent,
    Subject,
)
from consent.purposes import Purpose

DecisionState = Literal[
    "granted", "refused", "withdrawn", "objected", "restricted", "expired", "unknown", "conflict"
]

CLOCK_SKEW_MS: Final = 5 * 60 * 1000  # how far in the future a claimed time may lie (the contract)

_PERMITTING: Final = {
    "opt_in": "4: opt-in needs an active grant",
    "opt_out": "5: opt-out needs only that nobody denied",
    "none": "6: contract and legal obligation need nothing",
}
_DAY_MS: Final = 86_400_000


class Reason(NamedTuple):
    """One ground of a decision: the ledger index of the event it rests on, if any, and a sentence."""

    event: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a purpose is permitted, what state the events leave it in, and why. Holds no values."""

    allowed: bool
    state: DecisionState
    reasons: tuple[Reason, ...]
    by_age: bool = False  # denied, and a grant was left out for the person's age


def decide(
    events: Iterable[ConsentEvent],
    *,
    in_view: AbstractSet[Subject],
    everyone: AbstractSet[Subject],
    purpose: Purpose,
    now: int,
    ledger_time: int = 0,
    ages: Ages = ANY_AGE,
) -> Decision:
    """Decide `purpose` over the evidence `everyone`, of which the purpose sees `in_view`.

    `events` may hold others; those about other subjects or purposes are ignored. `now` is wall-clock
    time and `ledger_time` the last time recorded in the ledger, both in ms since the epoch. `ages` says
    whose grants count.
    """
    relevant = _relevant(events, everyone, purpose)
    active, denials = _active_and_standing(relevant, in_view, purpose, now, ledger_time, ages)
    if denials:
        return _denied(denials, active, in_view)
    grants = [event for event in active if event.subject in in_view]
    if grants:
        return Decision(True, "granted", tuple(_because(event) for event in grants))
    if purpose.regime != "opt_in" and ages.opt_in_until <= now:
        basis = purpose.legal_basis.replace("_", " ")
        limit = "only a restriction denies" if purpose.regime == "none" else "nobody has objected"
        return Decision(True, "unknown", (Reason(None, f"{purpose.name} rests on {basis}: {limit}"),))
    clock = _clock(relevant, now, ledger_time)
    return _not_granted([event for event in relevant if event.subject in in_view], purpose, clock, ages)


def standing(
    events: Iterable[ConsentEvent],
    *,
    everyone: AbstractSet[Subject],
    purpose: Purpose,
    now: int,
    ledger_time: int = 0,
    ages: Ages = ANY_AGE,
) -> list[ConsentEvent]:
    """Return the denials among `events` that no later grant of the same subject re-opens, in order.

    A decision over these and a subject's own events is the decision over all of them and its own, since a
    grant elsewhere permits nothing to a subject, and re-opens another's denial only from within the view.
    """
    relevant = _relevant(events, everyone, purpose)
    return _active_and_standing(relevant, frozenset(), purpose, now, ledger_time, ages)[1]


def _active_and_standing(  # noqa: PLR0917 - what decide() was given
    relevant: list[ConsentEvent],
    in_view: AbstractSet[Subject],
    purpose: Purpose,
    now: int,
    ledger_time: int,
    ages: Ages,
) -> tuple[list[ConsentEvent], list[ConsentEvent]]:
    """Return the active grants, and the denials that none of them re-opens."""
    clock = _clock(relevant, now, ledger_time)
    active = [
        event
        for event in relevant
        if event.state == "granted"
        and _is_active(event, now=now, clock=clock)
        and (ages is ANY_AGE or _is_of_age(event, ages, clock))
    ]
    reopening = [grant for grant in active if grant.method in IN_PERSON_METHODS]
    denials = [
        denial
        for denial in relevant
        if denial.state != "granted"
        and _denies(denial, purpose)
        and not any(_reopens(grant, denial, in_view) for grant in reopening)
    ]
    return active, denials


def _clock(relevant: list[ConsentEvent], now: int, ledger_time: int) -> int:
    return max((now, ledger_time, *(event.recorded_at for event in relevant)))


def denying(events: Iterable[ConsentEvent], now: int) -> frozenset[Subject]:
    """Return the subjects of which some denial stands: no later grant of their own re-opens it."""
    known = list(events)
    grants = [
        each
        for each in known
        if each.state == "granted"
        and each.method in IN_PERSON_METHODS
        and _is_active(each, now=now, clock=now)
    ]
    return frozenset(
        denial.subject
        for denial in known
        if denial.state in DENIALS
        and not any(
            grant.purpose == denial.purpose
            and grant.subject == denial.subject
            and _reopens(grant, denial, frozenset({denial.subject}))
            for grant in grants
        )
    )


def rule_of(decision: Decision, purpose: Purpose) -> str:
    """Return the rule that decided, by its number in docs/purposes.md."""
    if decision.state == "restricted":
        return "3: a restriction denies every purpose"
    if decision.state == "conflict":
        return "2: deny beats allow, and a grant in person for another record leaves a conflict"
    if decision.by_age:
        return "7: below the age of consent a guardian grants, and nobody else"
    if not decision.allowed and decision.state not in ("unknown", "expired"):
        return "2: deny beats allow"
    if not decision.allowed and purpose.regime != "opt_in":
        return "1: nothing lies in the purpose's view"
    return _PERMITTING[purpose.regime]


def may_link(events: Iterable[ConsentEvent], purpose: Purpose, now: int) -> tuple[bool, int | None]:
    """Whether one record may be linked, and until when (ms; None: without end).

    `events` are those of the record and of its contact points, and no others: linking is decided
    record by record. Times claimed up to CLOCK_SKEW_MS ahead count as now, since nothing looks again
    when they arrive.
    """
    known = list(events)
    subjects = frozenset(event.subject for event in known)

    def allowed(at: int) -> bool:
        return decide(known, in_view=subjects, everyone=subjects, purpose=purpose, now=at).allowed

    started = max((now, *(event.event_time for event in known if event.event_time <= now + CLOCK_SKEW_MS)))
    if not allowed(started):
        return False, None
    ends = sorted({event.expires_at for event in known if event.expires_at and event.expires_at > started})
    return True, next((end for end in ends if not allowed(end)), None)


def _relevant(
    events: Iterable[ConsentEvent], everyone: AbstractSet[Subject], purpose: Purpose
) -> list[ConsentEvent]:
    name = purpose.name
    about = {  # by place in the ledger, which costs a tenth of hashing the event
        event if event.index is None else event.index: event
        for event in events
        if (event.purpose == name or event.state == "restricted") and event.subject in everyone
    }
    return sorted(about.values(), key=_index)


def _index(event: ConsentEvent) -> int:
    # An event not yet appended is later than every event that is.
    return 2**63 if event.index is None else event.index


def _denies(event: ConsentEvent, purpose: Purpose) -> bool:
    if purpose.regime == "none":
        return event.state == "restricted"
    return event.state in DENIALS


def _is_active(event: ConsentEvent, *, now: int, clock: int) -> bool:
    # A time claimed ahead waits for the wall clock alone: were it to follow the ledger's, a later denial
    # could start an earlier grant. Its own recording time bounds the skew between two hosts' clocks.
    if event.event_time > now and event.event_time > event.recorded_at:
        return False
    return event.expires_at is None or clock < event.expires_at


def _is_of_age(grant: ConsentEvent, ages: Ages, clock: int) -> bool:
    if grant.method in GUARDIAN_METHODS:
        return clock < ages.guardian_until
    return min(grant.event_time, grant.recorded_at) >= ages.own_from


def _is_later(grant: ConsentEvent, denial: ConsentEvent) -> bool:
    """Whether a grant is later by the ledger, and does not say itself that it was given before."""
    if _index(grant) <= _index(denial):
        return False
    return grant.event_time >= min(denial.event_time, denial.recorded_at)


def _reopens(grant: ConsentEvent, denial: ConsentEvent, in_view: AbstractSet[Subject]) -> bool:
    if not _is_later(grant, denial):
        return False
    itself = grant.subject == denial.subject
    if grant.method in VERIFIED_METHODS:
        return itself or grant.subject in in_view
    # `direct` is the channel's word for its own session: too little to undo what an officer restricts.
    return itself and denial.state != "restricted"


def _denied(
    standing: list[ConsentEvent], active: list[ConsentEvent], in_view: AbstractSet[Subject]
) -> Decision:
    """Deny; where somebody later granted in person but not for the record that denied: a conflict."""
    reasons = tuple(_because(event) for event in standing)
    if any(event.state == "restricted" for event in standing):
        return Decision(False, "restricted", reasons)
    latest = standing[-1]
    elsewhere = tuple(
        Reason(grant.index, "granted later by somebody not verified for the record that denied")
        for grant in active
        if grant.method in IN_PERSON_METHODS and grant.subject in in_view and _is_later(grant, latest)
    )
    if elsewhere:
        return Decision(False, "conflict", reasons + elsewhere)
    return Decision(False, cast("DecisionState", latest.state), reasons)


def _not_granted(events: list[ConsentEvent], purpose: Purpose, clock: int, ages: Ages) -> Decision:
    """Deny a purpose without an active grant: lapsed, not begun, given by the wrong one, or never given."""
    grants = [event for event in events if event.state == "granted"]
    wrong = [event for event in grants if not _is_of_age(event, ages, clock)]
    if wrong and len(wrong) == len(grants):
        return _of_wrong_age(wrong)
    if purpose.regime != "opt_in" and not grants:
        why = Reason(None, f"nobody has granted {purpose.name}, as its opt_in_age asks")
        return Decision(False, "unknown", (why,), by_age=True)
    lapsed = [event for event in grants if event.expires_at is not None and event.expires_at <= clock]
    if lapsed:
        reasons = (Reason(event.index, f"{_because(event).text}, has expired") for event in lapsed)
        return Decision(False, "expired", tuple(reasons))
    if grants:
        reasons = (Reason(event.index, f"{_because(event).text}, has not begun") for event in grants)
        return Decision(False, "unknown", tuple(reasons))
    return Decision(False, "unknown", (Reason(None, f"nobody has granted {purpose.name}"),))


def _of_wrong_age(grants: list[ConsentEvent]) -> Decision:
    ended = [event for event in grants if event.method in GUARDIAN_METHODS]
    reasons = [Reason(event.index, f"{_because(event).text}, ended with coming of age") for event in ended]
    reasons += [
        Reason(event.index, f"{_because(event).text}, is not a guardian's")
        for event in grants
        if event.method not in GUARDIAN_METHODS
    ]
    return Decision(False, "expired" if ended else "unknown", tuple(reasons), by_age=True)


def _because(event: ConsentEvent) -> Reason:
    day = _date(event.recorded_at // _DAY_MS)
    return Reason(event.index, f"{event.purpose} {event.state} on {day}, event {event.index}")


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_MS / 1000, UTC).date().isoformat()
