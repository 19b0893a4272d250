"""`aurea evaluate` for people: the figures with their intervals, then where they come from. Pure."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from identity.evaluation import Score
from identity.evaluation_detail import Detail
from identity.evaluation_groups import GoldenSize, GroupScore, PersonSize
from identity.resampling import Interval, ScoreInterval

_FIRST: Final = 26  # characters of the first column
_OTHERS: Final = 12
_SCORES: Final = ("precision", "recall", "F1")


def render(found: Detail) -> str:
    """Return the page: a sentence, then one small table for each question."""
    whole, wrong = found.metrics, found.mistakes
    lines = [
        f"{whole.records:,} records of {whole.true_entities:,} people under {whole.golden_ids:,} golden IDs.",
        f"Golden IDs that mix people: {wrong.mixed:,} ({wrong.mixed_people:,} people).",
        f"People under several golden IDs: {wrong.split_people:,}.",
        "",
        _line("", _SCORES),
        *_scores("pairs of records", whole.pairwise, found.pairwise_interval),
        *_scores("records (B-cubed)", whole.bcubed, found.bcubed_interval),
        "",
        _line("pairs with a record of", ("records", *_SCORES)),
        *chain.from_iterable(_channel(name, part) for name, part in found.by_channel.items()),
        "",
        _line("golden IDs by records", ("golden IDs", "mixed", "precision")),
        *chain.from_iterable(
            _size(name, (part.golden_ids, part.mixed), part) for name, part in found.by_golden_size.items()
        ),
        "",
        _line("people by records", ("people", "split", "recall")),
        *chain.from_iterable(
            _size(name, (part.people, part.split), part) for name, part in found.by_person_size.items()
        ),
        "",
        "Below a figure: its 95% interval, had other people of the same kind been drawn.",
    ]
    return "\n".join(lines) + "\n"


def _channel(name: str, part: GroupScore) -> Iterable[str]:
    ends = part.intervals.pairwise
    return (
        _line(f"  {_short(name)}", (f"{part.records:,}", *_figures(part.pairwise))),
        _line("", ("", *(_interval(one) for one in (ends.precision, ends.recall, ends.f1)))),
    )


def _size(name: str, counts: tuple[int, int], part: GoldenSize | PersonSize) -> Iterable[str]:
    return (
        _line(f"  {name}", (*(f"{count:,}" for count in counts), f"{part.pairwise:.3f}")),
        _line("", ("", "", _interval(part.intervals.pairwise))),
    )


def _scores(name: str, score: Score, interval: ScoreInterval) -> Iterable[str]:
    ends = (interval.precision, interval.recall, interval.f1)
    return (_line(name, _figures(score)), _line("", [_interval(one) for one in ends]))


def _figures(score: Score) -> tuple[str, ...]:
    return tuple(f"{value:.3f}" for value in (score.precision, score.recall, score.f1))


def _interval(ends: Interval) -> str:
    return f"{ends.low:.3f}-{ends.high:.3f}"


def _short(name: str) -> str:
    return name if len(name) < _FIRST - 2 else name[: _FIRST - 5] + "..."


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_FIRST}}" + "".join(f"{cell:>{_OTHERS}}" for cell in cells)
