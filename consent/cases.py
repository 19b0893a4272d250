"""What is known of a request before anything is opened, and what was decided of it (no I/O)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from consent.access_log import AccessEntry
from consent.ages import GROWN, of_age
from consent.answers import RevealRequest, Scattered, Withheld
from consent.lookup import Found, enters
from consent.people import NOBODY, Person
from consent.permission import Permission, permission
from consent.purposes import Purpose
from identity.store import GoldenView
from identity.tables import FOREVER

REVEALED: Final = "revealed"


@dataclass(frozen=True, slots=True)
class Case:
    """Everything known of a request before anything is opened."""

    why: str
    person: Person
    permission: Permission
    view: GoldenView | None

    @property
    def allowed(self) -> bool:
        """Whether the purpose may see the person."""
        return self.why == REVEALED


@dataclass(frozen=True, slots=True)
class Decided:
    """A request that is decided: what the log must say before `answer` is given, or else `case` opened."""

    request: RevealRequest
    entry: AccessEntry
    case: Case
    answer: Scattered | Withheld | None = None
    merged: bool = False

    @property
    def named(self) -> tuple[int, ...]:
        """The golden numbers that the answer names."""
        if isinstance(self.answer, Scattered):
            return self.answer.golden_nos
        return () if self.answer or self.case.view is None else (self.case.view.golden_no,)


@dataclass(frozen=True, slots=True)
class OfOnePurpose:
    """Whom several requests for one purpose ask for, and what was decided of them.

    Each person is decided once, however often asked for. Else whoever repeats one golden ID a thousand times
    could tell by the time whether somebody stands behind it, and how much that person ever said.
    """

    purpose: Purpose
    by_golden: Mapping[int, Person]
    permissions: dict[int, Permission] = field(default_factory=dict)
    by_id: dict[int, Case] = field(default_factory=dict)  # of golden numbers that were asked for by ID
    successors: dict[int, list[Case]] = field(default_factory=dict)  # of split golden numbers

    def permission(self, golden_no: int) -> Permission:
        """Decide on a person, once."""
        if golden_no not in self.permissions:
            person = self.by_golden[golden_no]
            self.permissions[golden_no] = permission(person.members, person.evidence, self.purpose)
        return self.permissions[golden_no]


def number_of(golden_no: int | None) -> int:
    """Return what is looked for, so that nobody costs what somebody does."""
    return NOBODY if golden_no is None else golden_no


def entry_of(request: RevealRequest, purpose: Purpose, case: Case, now: int) -> AccessEntry:
    """Return what the access log says of a decision."""
    return AccessEntry(
        time=now,
        client=request.client,
        purpose=purpose.name,
        decision=case.why,
        attributes=purpose.disclosed if case.allowed else (),
        golden_no=None if case.view is None else case.view.golden_no,
        record_nos=tuple(member.record_no for member in case.permission.view) if case.allowed else (),
    )


def ground(view: GoldenView | None, found: Found | None, granted: Permission, purpose: Purpose) -> str:
    """Say `revealed`, or the first ground on which nothing is."""
    if view is None:
        return "shared" if found is not None and found.shared else "unknown"
    if view.status != "active":
        return "erased"
    if purpose.binds == "record" or not granted.decision.allowed or not granted.view:
        return "not_permitted"
    if found is not None and not enters(found.matches, granted.view, purpose):
        return "entry"
    return REVEALED


def settled_until(person: Person, purpose: Purpose, now: int) -> int:
    """Return the first moment (ms) at which time alone could change what is decided of `person`.

    That is `now` where others have a say in it, whose moments are not looked for.
    """
    if purpose.household:
        return now
    moments = [person.linked_until]
    young = {each.born for each in person.members if each.born is not None and each.born != GROWN}
    ages = [years for years in (purpose.consent_age, purpose.opt_in_age) if years]
    moments += [of_age(born, years) for born in young for years in ages]
    for event in person.evidence.events:
        moments += [event.event_time, event.recorded_at]
        if event.expires_at is not None:
            moments.append(event.expires_at)
    return min(moment for moment in (*moments, FOREVER) if moment > now)
