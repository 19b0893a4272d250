"""The review queue and judgements, between the border's vocabulary and `identity.judging`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from api.explanation_reading import channels_of
from api.review_schemas import (
    ConflictOut,
    ConflictReason,
    ConflictsOut,
    DecidedOut,
    JudgementIn,
    JudgementOut,
    JudgementsOut,
    PairOut,
    ReviewOut,
    ReviewsOut,
    ReviewState,
)
from api.times import rfc3339
from consent.errors import UnknownSubjectError
from identity import judgement_store, review_queue, source_store
from identity.judgements import Judgement, newest
from identity.judging import Decided
from identity.records import RecordKey
from identity.review_queue import Review

if TYPE_CHECKING:
    from api.auth import Caller
    from api.explanation_schemas import RecordRefIn
    from api.services import Services


def list_reviews(
    services: "Services", caller: "Caller", state: ReviewState, after: str | None, limit: int
) -> ReviewsOut:
    """Return a page of the queue. Raises CursorError."""
    with services.db.read() as conn:
        rows = review_queue.page(conn, state, after, limit + 1)
        count = review_queue.count(conn, state)
        shown = rows[:limit]
        return ReviewsOut(
            reviews=_reviews(services, caller, conn, _permitted(services, conn, shown)),
            next=shown[-1].cursor if len(rows) > limit else None,
            count=count,
        )


def list_conflicts(services: "Services", caller: "Caller", after: int, limit: int) -> ConflictsOut:
    """Return a page of the purposes on which people's records contradict each other."""
    found, following = services.conflicts.page(after, limit, services.clock())
    return ConflictsOut(
        conflicts=[
            ConflictOut(
                golden_id=services.names.shown(caller, each.golden_id),
                purpose=each.purpose,
                reasons=[ConflictReason(event=reason.event, text=reason.text) for reason in each.reasons],
            )
            for each in found
        ],
        next=following,
    )


def show_pair(services: "Services", caller: "Caller", pair: tuple[int, int]) -> PairOut:
    """Return what is known of two records. Raises UnknownSubjectError unless both exist."""
    one, other = sorted(pair)
    with services.db.read() as conn:
        if len(channels_of(conn, [one, other])) != 2:
            raise UnknownSubjectError("these are no two records of this home")
        said = [each for each in judgement_store.about(conn, [one]) if other in each.pair]
        review = review_queue.find(conn, (one, other))
        rows = [] if review is None else _permitted(services, conn, [review])
        asked = _reviews(services, caller, conn, rows)
        return PairOut(
            records=[one, other],
            golden_ids=_golden_ids(services, caller, conn, [one, other]),
            review=asked[0] if asked else None,
            judgements=_judgements(said, said),
        )


def list_judgements(services: "Services", after: int, limit: int) -> JudgementsOut:
    """Return up to `limit` decisions with numbers above `after`."""
    with services.db.read() as conn:
        rows = judgement_store.page(conn, after, limit + 1)
        shown = rows[:limit]
        ends = {number for each in shown for number in each.pair}
        known = judgement_store.about(conn, ends)
    return JudgementsOut(
        judgements=_judgements(shown, known), next=shown[-1].number if len(rows) > limit else None
    )


def decide(services: "Services", caller: "Caller", asked: JudgementIn) -> DecidedOut:
    """Judge two records; effective for every reader once this returns.

    Raises UnknownSubjectError, NotJudgeableError, ContradictionError.
    """
    pair = number_of(services, asked.first), number_of(services, asked.second)
    decided = services.judge.decide(
        pair, asked.verdict, author=caller.client_id, reason=asked.reason, now=services.clock()
    )
    return _decided(services, caller, decided)


def undo(services: "Services", caller: "Caller", number: int, reason: str) -> DecidedOut:
    """Take a judgement back. Raises NotJudgeableError unless it stands."""
    decided = services.judge.undo(number, author=caller.client_id, reason=reason, now=services.clock())
    return _decided(services, caller, decided)


def number_of(services: "Services", named: "RecordRefIn") -> int:
    """Return the number of a record. Raises UnknownSubjectError for a key that no record has."""
    if named.record is None:
        return named.number or 0  # the model lets nothing else through
    number = services.lookup.record(RecordKey(named.record.channel, named.record.source_id))
    if number is None:
        raise UnknownSubjectError("there is no such record")
    return number


def _decided(services: "Services", caller: "Caller", decided: Decided) -> DecidedOut:
    first, second = decided.golden_ids
    made = decided.judgement
    return DecidedOut(
        judgement=_judgement(made, standing=made.verdict != "undone"),
        golden_ids=[None if name is None else services.names.shown(caller, name) for name in (first, second)],
        same_person=first is not None and first == second,
        in_effect=decided.in_effect,
        overrides_source=_overridden(services, made) if made.verdict == "same" else None,
    )


def _overridden(services: "Services", made: Judgement) -> str | None:
    """Return the channel of both records if it is declared to hold no duplicates."""
    with services.db.read() as conn:
        channels = set(channels_of(conn, made.pair).values())
        return channels.pop() if len(channels) == 1 and channels <= source_store.declared(conn) else None


def _permitted(services: "Services", conn: Connection, rows: Sequence[Review]) -> list[Review]:
    """Leave out the open questions about records whose permission to be linked has run out since."""
    ends = {number for row in rows for number in (row.record_a, row.record_b)}
    facts = services.facts.facts(conn, ends, services.clock())
    linkable = {number for number, fact in facts.items() if fact.linkable}
    return [row for row in rows if row.state != "open" or {row.record_a, row.record_b} <= linkable]


def _reviews(
    services: "Services", caller: "Caller", conn: Connection, rows: Sequence[Review]
) -> list[ReviewOut]:
    ends = sorted({number for row in rows for number in (row.record_a, row.record_b)})
    channels = channels_of(conn, ends)
    names = dict(zip(ends, _golden_ids(services, caller, conn, ends), strict=True))
    return [
        ReviewOut(
            records=[row.record_a, row.record_b],
            channels=[channels.get(row.record_a), channels.get(row.record_b)],
            golden_ids=[names[row.record_a], names[row.record_b]],
            match_weight=row.weight,
            cause=row.cause,
            state=row.state,
            model_version=row.model_version,
            found_at=rfc3339(row.recorded_at),
            seen_at=rfc3339(row.seen_at),
        )
        for row in rows
    ]


def _golden_ids(
    services: "Services", caller: "Caller", conn: Connection, record_nos: Sequence[int]
) -> list[str | None]:
    """Return the golden ID of each record as the caller knows it, None if it has none yet."""
    owner = services.memberships.goldens_of(conn, record_nos)
    names = services.memberships.names(conn, owner.values())
    found = [names.get(owner.get(number, -1)) for number in record_nos]
    return [None if name is None else services.names.shown(caller, name) for name in found]


def _judgements(shown: Iterable[Judgement], known: Iterable[Judgement]) -> list[JudgementOut]:
    """Return `shown` as answers; `known` holds every judgement of the same pairs."""
    standing = {each.number for each in newest(known).values()}
    return [_judgement(each, standing=each.number in standing) for each in shown]


def _judgement(each: Judgement, *, standing: bool) -> JudgementOut:
    return JudgementOut.model_validate({
        "judgement": each.number,
        "records": list(each.pair),
        "verdict": each.verdict,
        "author": each.author,
        "reason": each.reason,
        "recorded_at": rfc3339(each.recorded_at),
        "standing": standing,
    })  # fmt: skip
