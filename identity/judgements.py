"""A steward's verdicts about pairs of records: what stands, and what would contradict it. Pure.

`same` is transitive: whoever is said to be the same, through any chain, is one person. `different` holds
between all of one such person and all of another. A verdict that cannot stand beside the others is refused
with the judgements that it contradicts, so that the standing ones are satisfiable at any moment. `unsure`
keeps a pair out of the open queue and decides nothing; `undone` leaves the pair to its score again.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from identity.distinct import distinct
from identity.errors import ContradictionError

Verdict = Literal["same", "different", "unsure"]
VERDICTS: Final[tuple[Verdict, ...]] = ("same", "different", "unsure")

Pair = tuple[int, int]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One decision about two records, `record_a` < `record_b`. Only the newest of a pair counts."""

    number: int
    record_a: int
    record_b: int
    verdict: str  # a Verdict, or "undone"
    author: str  # a client id, or "operator"
    reason: str
    recorded_at: int  # ms since the epoch, UTC

    @property
    def pair(self) -> Pair:
        """The two records."""
        return (self.record_a, self.record_b)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Pairs that clustering has to join, and pairs it has to keep apart; satisfiable together."""

    same_a: Integers
    same_b: Integers
    different_a: Integers
    different_b: Integers

    @classmethod
    def of(cls, same: Iterable[Pair] = (), different: Iterable[Pair] = ()) -> "Judged":
        """Return these pairs as columns, in order of record numbers."""
        return cls(*_columns(same), *_columns(different))

    def __len__(self) -> int:
        return len(self.same_a) + len(self.different_a)

    def among(self, record_nos: npt.ArrayLike) -> "Judged":
        """Return what is said about pairs with both ends in `record_nos`."""
        ends = np.asarray(record_nos, dtype=np.int64)
        same = np.isin(self.same_a, ends) & np.isin(self.same_b, ends)
        different = np.isin(self.different_a, ends) & np.isin(self.different_b, ends)
        return Judged(
            self.same_a[same], self.same_b[same], self.different_a[different], self.different_b[different]
        )

    def records(self) -> Integers:
        """Return every record that something is said about, ascending."""
        return distinct(np.concatenate([self.same_a, self.same_b, self.different_a, self.different_b]))


def _columns(pairs: Iterable[Pair]) -> tuple[Integers, Integers]:
    rows = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def newest(judgements: Iterable[Judgement]) -> dict[Pair, Judgement]:
    """Return the newest judgement of every pair, without the pairs whose newest one is undone."""
    found: dict[Pair, Judgement] = {}
    for judgement in sorted(judgements, key=lambda each: each.number):
        found[judgement.pair] = judgement
    return {pair: each for pair, each in found.items() if each.verdict != "undone"}


def judged(standing: Iterable[Judgement]) -> Judged:
    """Return what standing judgements mean for clustering."""
    rows = list(standing)
    return Judged.of(
        (each.pair for each in rows if each.verdict == "same"),
        (each.pair for each in rows if each.verdict == "different"),
    )


def check(standing: Sequence[Judgement], pair: Pair, verdict: Verdict) -> None:
    """Raise ContradictionError if `verdict` about `pair` cannot stand beside the `standing` judgements.

    An earlier judgement of the same pair is none of them: the new one takes its place.
    """
    others = [each for each in standing if each.pair != tuple(sorted(pair))]
    sames = [each for each in others if each.verdict == "same"]
    if verdict == "different":
        chain = path(sames, *pair)
        if chain is not None:
            raise ContradictionError(_refusal(pair, verdict, chain), tuple(each.number for each in chain))
    elif verdict == "same":
        for apart in (each for each in others if each.verdict == "different"):
            for one, other in ((apart.record_a, apart.record_b), (apart.record_b, apart.record_a)):
                before, after = path(sames, pair[0], one), path(sames, pair[1], other)
                if before is not None and after is not None:
                    chain = [*before, apart, *after]
                    raise ContradictionError(
                        _refusal(pair, verdict, chain), tuple(each.number for each in chain)
                    )


def path(sames: Sequence[Judgement], start: int, end: int) -> list[Judgement] | None:
    """Return the shortest chain of `same` judgements from one record to another; None if there is none."""
    if start == end:
        return []
    near: dict[int, list[tuple[int, Judgement]]] = {}
    for each in sames:
        near.setdefault(each.record_a, []).append((each.record_b, each))
        near.setdefault(each.record_b, []).append((each.record_a, each))
    came: dict[int, tuple[int, Judgement] | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        node = waiting.popleft()
        for neighbour, by in near.get(node, []):
            if neighbour not in came:
                came[neighbour] = (node, by)
                waiting.append(neighbour)
    if end not in came:
        return None
    chain: list[Judgement] = []
    step = came[end]
    while step is not None:
        chain.append(step[1])
        step = came[step[0]]
    return chain[::-1]


def _refusal(pair: Pair, verdict: str, chain: Sequence[Judgement]) -> str:
    said = "; ".join(
        f"judgement {each.number} by {each.author}: records {each.record_a} and {each.record_b} are"
        f" {'one person' if each.verdict == 'same' else 'different people'}"
        for each in chain
    )
    means = "one person" if verdict == "same" else "different people"
    return (
        f"records {pair[0]} and {pair[1]} cannot be {means} while these stand: {said}. Undo one of them first"
    )
