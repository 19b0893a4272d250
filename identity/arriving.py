"""A record that is about to be resolved: what was found of it before, and what of that counts. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from identity.contradictions import Evidence
from identity.records import RecordFact

MOST_TOGETHER: Final = 16
"""Arrivals that are resolved by the same statements: with their neighbours they make a small step still."""

ANY: Final = -1
"""No golden number: whatever golden ID the record has, or none."""


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """A record that the arriving one was compared with, and the match weight in bits."""

    record_no: int
    weight: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new or updated record, and what was found before it is resolved.

    `candidates` are those worth a steward's look or more. `sequence` is the store's change sequence read
    before they were opened: one that changed, left or lost its permission since counts no more.

    `evidence` is what the record and its candidates say against each other; without it, links decide.
    `owners` are the golden numbers that records in it had then: it may lack what two of one golden ID say of
    each other. `was` is the record's golden number (None: none) when the candidates were looked for.
    """

    record_no: int
    candidates: Sequence[ScoredCandidate]
    sequence: int
    threshold: float  # bits
    model_version: str | None = None
    evidence: Evidence | None = None
    owners: Mapping[int, int] | None = None
    was: int | None = ANY

    def heard(self) -> set[int]:
        """Return the records that the evidence is about."""
        if self.evidence is None:
            return set()
        return {*self.evidence.record_a.tolist(), *self.evidence.record_b.tolist()}

    def touched(self) -> set[int]:
        """Return every record on which its decision rests, itself among them."""
        return {self.record_no, *(candidate.record_no for candidate in self.candidates), *self.heard()}


@dataclass(frozen=True, slots=True)
class Judged:
    """An arrival that still counts: its candidates that count, and those of them that it is joined with."""

    arrival: Arrival
    own: RecordFact
    usable: Sequence[ScoredCandidate]
    strong: Sequence[ScoredCandidate]

    def fresh(self, owner: Mapping[int, int]) -> set[int]:
        """Return who gets a golden ID now: the record, and matches that arrived at the same time."""
        return {self.arrival.record_no, *(c.record_no for c in self.strong if c.record_no not in owner)}

    def links(self) -> list[tuple[int, int, float]]:
        """Return the links of the record, with weights in bits."""
        return [(self.arrival.record_no, c.record_no, c.weight) for c in self.strong]


def unrelated(arrivals: Iterable[Arrival], owner: Mapping[int, int]) -> Iterator[list[Arrival]]:
    """Cut a line of arrivals so that those of one part touch no record and no golden ID in common.

    `owner` is the golden number of every record touched that has one.
    """
    part: list[Arrival] = []
    records: set[int] = set()
    goldens: set[int] = set()
    for arrival in arrivals:
        touched = arrival.touched()
        owners = {owner[number] for number in touched if number in owner}
        if part and (
            len(part) == MOST_TOGETHER or not records.isdisjoint(touched) or not goldens.isdisjoint(owners)
        ):
            yield part
            part, records, goldens = [], set(), set()
        part.append(arrival)
        records |= touched
        goldens |= owners
    if part:
        yield part
