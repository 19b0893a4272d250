"""Which source value wins in a profile (pure).

Every rule is a total order over the candidates, so the outcome depends neither on the order in which
they come nor on the machine. A multi-valued attribute (e-mail, phone) has no winner: all its values
are kept, once each, the rule's best first. Values are compared as they are; nothing is rewritten.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

RuleName = Literal["most_recent", "most_frequent", "most_complete", "source_precedence"]
RULES: Final[tuple[RuleName, ...]] = get_args(RuleName)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One value as one source record has it. `observed_at` is ms since the epoch, UTC."""

    value: str = field(repr=False)
    record_no: int
    channel: str
    observed_at: int


@dataclass(frozen=True, slots=True)
class Survivorship:
    """The rule of every attribute and trait. `precedence` lists channels, the most trusted first."""

    default: RuleName = "most_recent"
    rules: Mapping[str, RuleName] = field(default_factory=dict)
    precedence: tuple[str, ...] = ()

    def ranked(self, name: str, candidates: Iterable[Candidate]) -> list[str]:
        """Return the distinct values of the attribute or trait `name`, the winner first.

        A single-valued attribute shows the first, a multi-valued one all of them. Empty values never
        survive. Ties fall to the later observation, then the smaller record number, then the value.
        """
        present = [candidate for candidate in candidates if candidate.value]
        merit = _MERITS[self.rules.get(name, self.default)](present, self.precedence)
        best: dict[str, tuple[int, int, int]] = {}
        for candidate in present:
            rank = (-merit(candidate), -candidate.observed_at, candidate.record_no)
            best[candidate.value] = min(rank, best.get(candidate.value, rank))
        return sorted(best, key=lambda value: (best[value], value))


_Merit = Callable[[Candidate], int]


def _recency(_candidates: list[Candidate], _precedence: tuple[str, ...]) -> _Merit:
    return lambda candidate: candidate.observed_at


def _frequency(candidates: list[Candidate], _precedence: tuple[str, ...]) -> _Merit:
    # Counted by record: a source that repeats a value within one record does not speak twice.
    holders = Counter(value for value, _ in {(each.value, each.record_no) for each in candidates})
    return lambda candidate: holders[candidate.value]


def _completeness(_candidates: list[Candidate], _precedence: tuple[str, ...]) -> _Merit:
    # Words before letters: "Ana García López" says more than "Anastasiaaaaaaaa".
    return lambda candidate: len(candidate.value.split()) * 10_000 + len(candidate.value)


def _precedence(_candidates: list[Candidate], precedence: tuple[str, ...]) -> _Merit:
    place = {channel: -position for position, channel in enumerate(precedence)}
    return lambda candidate: place.get(candidate.channel, -len(precedence))


_MERITS: Final[Mapping[RuleName, Callable[[list[Candidate], tuple[str, ...]], _Merit]]] = {
    "most_recent": _recency,
    "most_frequent": _frequency,
    "most_complete": _completeness,
    "source_precedence": _precedence,
}
