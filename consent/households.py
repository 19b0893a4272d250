"""Which household ID a purpose is shown of a person. Opens nothing.

That two people live together is a fact about both. So a household ID is shown only if

1. the policy says so: `household = true` for the purpose;
2. the person permits the purpose and has not objected to it, not even where it rests on a contract, which
   an objection does not end: nobody needs to know who lives with whom to fulfil it;
3. a record that the purpose may see, and that may still be linked, gave the evidence of the household;
4. 2 and 3 hold for at least one more person of that household. Whoever permits nothing is not in it, as far
   as this purpose can tell, and two people's consents disclose a third to nobody.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from consent.people import People, Person
from consent.permission import Member, Permission, permission
from consent.purposes import Purpose
from consent.record_facts import StoredFacts
from identity.database import Database
from identity.household_store import HouseholdReader
from identity.statements import Reading
from identity.store import MembershipReader


class Households:
    """Answers for one person at a time."""

    def __init__(self, *, db: Database, memberships: MembershipReader, people: People) -> None:
        self._db, self._memberships, self._people = db, memberships, people
        self._households, self._facts = HouseholdReader(), StoredFacts()

    def shown(self, person: Person, granted: Permission, purpose: Purpose, now: int) -> str | None:
        """Return the ID of the household that most records of the view are of; None if none is shown.

        `granted` is what `purpose` may see of `person`.
        """
        if not purpose.household or not _agrees(person, granted, purpose):
            return None
        for household_no in self._of(granted.view, now):
            with self._db.snapshot() as conn:
                members = self._linkable(conn, self._households.records(conn, household_no), now)
                goldens = self._memberships.goldens_of(conn, members)
                name = self._households.name(conn, household_no) if members else None
            own = {goldens.get(member.record_no) for member in person.members}
            if any(
                self._is_seen(golden_no, frozenset(members), purpose, now)
                for golden_no in sorted(set(goldens.values()) - own)
            ):
                return name
        return None

    def _of(self, view: Sequence[Member], now: int) -> list[int]:
        """Return the households that the records of a view give, the one of most records first."""
        with self._db.snapshot() as conn:
            linkable = self._linkable(conn, [member.record_no for member in view], now)
            found = self._households.of_records(conn, linkable)
        counted = Counter(found.values())
        return sorted(counted, key=lambda household_no: (-counted[household_no], household_no))

    def _linkable(self, conn: Reading, record_nos: Sequence[int], now: int) -> list[int]:
        """Return those that may be linked now: a permission that ran out leaves the household unasked."""
        facts = self._facts.facts(conn, record_nos, now)
        return sorted(record_no for record_no, fact in facts.items() if fact.linkable)

    def _is_seen(self, golden_no: int, members: frozenset[int], purpose: Purpose, now: int) -> bool:
        """Whether the purpose may know that this person is of the household that `members` gave."""
        person = self._people.of_golden(golden_no, now)
        granted = permission(person.members, person.evidence, purpose)
        return _agrees(person, granted, purpose) and any(
            member.record_no in members for member in granted.view
        )


def _agrees(person: Person, granted: Permission, purpose: Purpose) -> bool:
    """Whether the person permits `purpose` and, where only a restriction would deny it, never objected."""
    if not granted.decision.allowed or purpose.regime != "none":
        return granted.decision.allowed
    heeding = replace(purpose, regime="opt_out")
    return permission(person.members, person.evidence, heeding).decision.allowed
