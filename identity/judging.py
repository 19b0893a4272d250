"""A steward decides about two records: checked, written down, and effective when the call returns.

One write transaction: the judgement is refused if it contradicts others, else added; then everybody whom
the two records are tied to is clustered again, from the stored scores and what stands now. A run under way
sees the judgement before it publishes (`identity.catching_up`). The permission to link is not a steward's
to give: a judgement about a record that may not be linked is kept, and holds from when it may.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from identity import judgement_store, review_queue
from identity.database import Database
from identity.errors import NotJudgeableError
from identity.judgements import Judgement, Verdict, check
from identity.online import OnlineResolver
from identity.records import GoldenId, RecordFacts
from identity.store import MembershipReader

MOST_LETTERS: Final = 500  # of a reason


@dataclass(frozen=True, slots=True)
class Decided:
    """What a judgement led to. `golden_ids`: of the two records now; None where no run has met it yet.

    `in_effect` is False where one of them may not be linked, or has no golden ID yet.
    """

    judgement: Judgement
    golden_ids: tuple[GoldenId | None, GoldenId | None]
    in_effect: bool


class Judge:
    """Takes decisions about pairs of records, and takes them back."""

    def __init__(self, db: Database, facts: RecordFacts, online: OnlineResolver) -> None:
        self._db = db
        self._facts = facts
        self._online = online
        self._reader = MembershipReader()

    def decide(
        self, pair: tuple[int, int], verdict: Verdict, *, author: str, reason: str, now: int
    ) -> Decided:
        """Judge two records; an earlier judgement of them counts no more.

        Raises NotJudgeableError unless they are two live records, ContradictionError if the verdict cannot
        stand beside others.
        """
        one, other = sorted(pair)
        with self._db.write() as conn:
            live = self._facts.facts(conn, (one, other), now)
            if one == other or len(live) != 2:
                raise NotJudgeableError("a judgement is about two different records that exist")
            check(judgement_store.standing_around(conn, (one, other)), (one, other), verdict)
            made = judgement_store.add(conn, (one, other), verdict, author=author, reason=reason, now=now)
            review_queue.settle(conn, (one, other), verdict)
            decided = self._effect(conn, made, now)
            if verdict == "different":
                review_queue.close_between(conn, *(self._together(conn, number) for number in (one, other)))
            return decided

    def undo(self, number: int, *, author: str, reason: str, now: int) -> Decided:
        """Take back the judgement of this number: the two records are left to their score again.

        Raises NotJudgeableError unless it is the one that stands for its pair.
        """
        with self._db.write() as conn:
            known = judgement_store.one(conn, number)
            if known is None:
                raise NotJudgeableError("there is no such judgement")
            standing = {each.number for each in judgement_store.standing(conn, known.pair)}
            if number not in standing:
                raise NotJudgeableError(f"judgement {number} was undone or replaced by a later one")
            made = judgement_store.add(conn, known.pair, "undone", author=author, reason=reason, now=now)
            review_queue.settle(conn, known.pair, "open")
            return self._effect(conn, made, now)

    def _together(self, conn: Connection, record_no: int) -> list[int]:
        """Return the records of a record's golden ID."""
        golden_no = self._reader.golden_of(conn, record_no)
        members = [] if golden_no is None else self._reader.members(conn, golden_no)
        return [member.record_no for member in members]

    def _effect(self, conn: Connection, made: Judgement, now: int) -> Decided:
        """Resolve again around the two records, and tell what came of it."""
        self._online.resolve_in(conn, made.pair, now)
        owner = self._reader.goldens_of(conn, made.pair)
        names = self._reader.names(conn, owner.values())
        facts = self._facts.facts(conn, made.pair, now)
        first, second = (names.get(owner.get(number, -1)) for number in made.pair)
        effective = all(number in owner and facts[number].linkable for number in made.pair)
        return Decided(made, (first, second), effective)
