"""Which source value wins in a profile (pure).

Every rule is a total order over the candidates, so the outcome depends neither on the order in which
they come nor on the machine. A multi-valued attribute (e-mail, phone) has no winner: all its values
are kept, once each, the rule's best first. Values are shown as they came; nothing is rewritten.

A value that the person had corrected (channel `rectification`) outranks all others, which are not shown
beside it: the newest correction of an attribute stands alone, whatever its rule.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from identity.records import RECTIFICATION

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

    def ranked(
        self, name: str, candidates: Iterable[Candidate], *, form: Callable[[str], str] = str
    ) -> list[str]:
        """Return the distinct values of the attribute or trait `name`, the winner first.

        A single-valued attribute shows the first, a multi-valued one all of them. Values of one `form`
        (two spellings of one address) are one value, shown as its best candidate has it. Empty values
        never survive. Ties fall to the later observation, the smaller record number, then the value.
        """
        present = [(form(candidate.value), candidate) for candidate in _corrected(candidates)]
        # Counted by record: a source that repeats a value within one record does not speak twice.
        holders = Counter(key for key, _ in {(key, each.record_no) for key, each in present})
        merit = _MERITS[self.rules.get(name, self.default)]
        best: dict[str, tuple[int, int, int, str]] = {}
        for key, each in present:
            merits = merit(each, holders[key], self.precedence)
            rank = (-merits, -each.observed_at, each.record_no, each.value)
            best[key] = min(rank, best.get(key, rank))
        return [value for *_, value in sorted(best.values())]


def _corrected(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that have a value: of corrections, if there are any, the newest record's."""
    present = [candidate for candidate in candidates if candidate.value]
    corrections = [candidate for candidate in present if candidate.channel == RECTIFICATION]
    if not corrections:
        return present
    newest = max((each.observed_at, each.record_no) for each in corrections)
    return [each for each in corrections if (each.observed_at, each.record_no) == newest]


_Merit = Callable[[Candidate, int, tuple[str, ...]], int]


def _recency(candidate: Candidate, _holders: int, _precedence: tuple[str, ...]) -> int:
    return candidate.observed_at


def _frequency(_candidate: Candidate, holders: int, _precedence: tuple[str, ...]) -> int:
    return holders


def _completeness(candidate: Candidate, _holders: int, _precedence: tuple[str, ...]) -> int:
    # Words before letters: "Ana García López" says more than "Anastasiaaaaaaaa".
    return len(candidate.value.split()) * 10_000 + len(candidate.value)


def _trust(candidate: Candidate, _holders: int, precedence: tuple[str, ...]) -> int:
    channel = candidate.channel
    return -precedence.index(channel) if channel in precedence else -len(precedence)


_MERITS: Final[Mapping[RuleName, _Merit]] = {
    "most_recent": _recency,
    "most_frequent": _frequency,
    "most_complete": _completeness,
    "source_precedence": _trust,
}
