"""Which records a data-subject request is about: how surely each is the requester's own (pure).

A false merge here would disclose or destroy another person's data. So a record counts as the requester's
only if links of at least the policy's `[requests] minimum_confidence` join it to the record through which the
requester was recognised, whatever the golden ID's own anchor is. All others are doubtful: left out unless an
officer takes them in, and shown with the evidence in numbers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from consent.permission import Member
from identity.views import APART, Scored, confidences


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record of the golden ID that the identifiers found. Holds no value.

    `confidence`: that it is the same person's as the entry, a probability; below 0 where nothing joins them.
    `carries`: which of the identifier types that the requester gave it carries with the same value.
    """

    record_no: int
    channel: str
    confidence: float
    carries: tuple[str, ...]
    entry: bool  # the requester was recognised by this record
    certain: bool


def candidates(
    members: Sequence[Member],
    carried: Mapping[int, Collection[str]],
    links: Iterable[Scored],
    minimum: float,
    *,
    lapsed: Collection[int] = (),
) -> tuple[Candidate, ...]:
    """Judge every record of a person, ascending by number.

    `carried` maps records to the identifier types they share with the requester. `links` are scored pairs in
    bits; those of `lapsed` records, which may no longer be linked, join nothing.
    """
    if not members:
        return ()
    entry = entry_of(members, carried)
    known = {member.record_no for member in members} - set(lapsed)
    between = [link for link in links if link[0] in known and link[1] in known]
    sure = confidences(between, entry)
    return tuple(
        Candidate(
            record_no=member.record_no,
            channel=member.channel,
            confidence=sure.get(member.record_no, APART),
            carries=tuple(sorted(carried.get(member.record_no, ()))),
            entry=member.record_no == entry,
            certain=sure.get(member.record_no, APART) >= minimum,
        )
        for member in sorted(members, key=lambda member: member.record_no)
    )


def with_tied(judged: Sequence[Candidate], elsewhere: Mapping[int, tuple[str, int]]) -> tuple[Candidate, ...]:
    """Add what an officer tied to one of the records (`consent.correction_ties`): as surely the person's."""
    of = {each.record_no: each for each in judged}
    added = [
        replace(of[through], record_no=number, channel=channel, carries=(), entry=False)
        for number, (channel, through) in elsewhere.items()
    ]
    return tuple(sorted((*judged, *added), key=lambda each: each.record_no))


def entry_of(members: Sequence[Member], carried: Mapping[int, Collection[str]]) -> int:
    """Return the record through which the requester is recognised.

    It carries the most of the identifiers given; of several, one whose channel has verified one of them, then
    the surest member, then the smallest number. Only one: two records that share a household's telephone
    may be a mother's and her daughter's, and the links between them have to tell.
    """

    def rank(member: Member) -> tuple[int, bool, float, int]:
        types = set(carried.get(member.record_no, ()))
        return (-len(types), not types & member.verified, -member.confidence, member.record_no)

    return min(members, key=rank).record_no
