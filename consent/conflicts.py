"""Where the records of one person contradict each other about a purpose: a task for a steward.

One record denied, and later another was granted in person: who is right no rule can say, so the purpose stays
denied (`consent.decisions`, rule 2) until somebody asks the person, and an officer records the answer as
`verified`. Nothing is stored: the tasks are read off the ledger, so that none is stale and none can be lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from consent.decisions import Reason
from consent.people import People
from consent.permission import permission
from consent.purposes import Purposes
from consent.tables import IN_PERSON
from identity.database import Database
from identity.records import GoldenId
from identity.statements import Statement
from identity.store import PUBLISHED, MembershipReader

# Of whom one record denied a purpose before another was granted it in person; the rules decide the rest.
_CANDIDATES: Final = Statement(f"""
    SELECT DISTINCT mine.golden_no
    FROM ledger AS given
    JOIN memberships AS mine ON mine.record_no = given.subject_no
        AND mine.valid_from <= {PUBLISHED} AND mine.valid_to > {PUBLISHED}
    JOIN members AS theirs ON theirs.golden_no = mine.golden_no AND theirs.record_no <> given.subject_no
        AND theirs.valid_from <= {PUBLISHED} AND theirs.valid_to > {PUBLISHED}
    JOIN ledger AS denied ON denied.subject_kind = 1 AND denied.subject_no = theirs.record_no
        AND denied.purpose = given.purpose AND denied.state <> 'granted' AND denied.idx < given.idx
    WHERE given.{str(IN_PERSON).replace(" AND ", " AND given.")} AND given.subject_kind = 1
        AND mine.golden_no > :after
    ORDER BY mine.golden_no
    LIMIT :limit
""")  # noqa: S608 - constants of ours


@dataclass(frozen=True, slots=True)
class Conflict:
    """One purpose on which a person's records contradict each other, and the events that do."""

    golden_no: int
    golden_id: GoldenId
    purpose: str
    reasons: tuple[Reason, ...]


class Conflicts:
    """Finds the open conflicts. Opens nothing."""

    def __init__(
        self, *, db: Database, memberships: MembershipReader, people: People, purposes: Purposes
    ) -> None:
        self._db, self._memberships = db, memberships
        self._people, self._purposes = people, purposes

    def page(self, after: int, limit: int, now: int) -> tuple[list[Conflict], int | None]:
        """Return the conflicts of at most `limit` candidates beyond golden number `after`.

        And the number to go on after, None at the end.
        """
        with self._db.read() as conn:
            found = [number for (number,) in _CANDIDATES.rows(conn, after=after, limit=limit + 1)]
            names = self._memberships.names(conn, found[:limit])
        conflicts = [
            conflict for number in found[:limit] for conflict in self._of(number, names[number], now)
        ]
        return conflicts, found[limit - 1] if len(found) > limit else None

    def _of(self, golden_no: int, golden_id: GoldenId, now: int) -> Iterator[Conflict]:
        person = self._people.of_golden(golden_no, now)
        for purpose in self._purposes:
            if purpose.binds != "person":
                continue
            decision = permission(person.members, person.evidence, purpose).decision
            if decision.state == "conflict":
                yield Conflict(golden_no, golden_id, purpose.name, decision.reasons)
