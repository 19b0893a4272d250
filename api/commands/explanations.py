"""`aurea explain`: why two records are one person or not, what holds a person together, plain words."""

import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.commands.frame import (
    AsClient,
    CommandError,
    Json,
    WrongUsageError,
    caller,
    from_argument,
    record_key,
    services,
    show,
)

if TYPE_CHECKING:
    from api.explanation_schemas import (
        GoldenExplanation,
        LinkOut,
        PairExplanation,
        PlainExplanation,
        WaterfallOut,
    )
    from identity.records import RecordKey

WIDTH: Final = 32  # characters of the widest bar
_LABEL: Final = 52


def explain(
    first: Annotated[str, typer.Argument(metavar="CHANNEL:SOURCE_ID")],
    second: Annotated[
        str | None, typer.Argument(metavar="CHANNEL:SOURCE_ID", help="Without it: the person of the first.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="For the person concerned: words, no figures, no third parties.")
    ] = False,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Tell why two records are, or are not, one person. A record is also named by its number alone."""
    from api.explanation import explain_pair
    from api.golden_explanation import explain_golden, explain_plainly, golden_of

    if plain and second is not None:
        raise WrongUsageError("--plain explains one person to that person: name one record")
    named = [_named(each) for each in (first, second) if each is not None]
    with services() as opened:
        who = caller(opened, as_client, "explain to people" if plain else "explain links")
        if second is not None:
            pair = explain_pair(opened, who, named[0], named[1])
            show(pair.model_dump(), as_json=as_json, text="\n".join(_pair(pair)))
            return
        golden_no = golden_of(opened, named[0])
        if golden_no is None:
            raise CommandError("this record has no golden ID yet: run `aurea link`")
        if plain:
            told = explain_plainly(opened, who, golden_no)
            show(told.model_dump(), as_json=as_json, text="\n".join(_plainly(told)))
        else:
            golden = explain_golden(opened, who, golden_no)
            show(golden.model_dump(), as_json=as_json, text="\n".join(_golden(golden)))


def _named(argument: str) -> "RecordKey | int":
    """Return the record that an argument names: by its key, or by the number that reports use."""
    said = from_argument(argument)
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else record_key(said)


def _pair(found: "PairExplanation") -> Iterator[str]:
    one, other = (f"{c} record {n}" for c, n in zip(found.channels, found.records, strict=True))
    names = " and ".join(dict.fromkeys(str(name or "no golden ID") for name in found.golden_ids))
    yield f"{one} and {other}: {'one person' if found.same_person else 'different people'} ({names})"
    yield from (f"  {reason}" for reason in found.reasons)
    if found.waterfall is not None:
        yield ""
        yield from _waterfall(found.waterfall)
        yield (
            f"  probability {found.waterfall.probability:.6f}; a link needs {found.threshold} bits,"
            f" a steward is asked from {found.review_threshold}"
        )
        if found.set_aside:
            yield f"Left out, a value of them is nobody's own: {', '.join(map(_title, found.set_aside))}"
        yield from _rules(found.rules)
    if found.guard is not None:
        yield f"Guard: the link is {found.guard.link:.2f} bits above the threshold; against it stand"
        for each in found.guard.contradictions:
            label = f"{_title(each.comparison)}, {each.pairs} pair(s) of records"
            yield f"  {label:<{_LABEL}} {each.cost:>8.2f}"
    if found.path:
        yield f"Path: {_path(found.path)}"
    if found.golden is not None:
        yield ""
        yield from _golden(found.golden)


def _rules(rules: Sequence[str]) -> Iterator[str]:
    yield f"Blocking rules that bring the two together: {', '.join(rules) or 'none'}"


def _waterfall(found: "WaterfallOut") -> Iterator[str]:
    """Yield a line a step: what it is, its bits, and a bar from the sum before to the sum after it."""
    rows = [("before anything is compared", found.prior)]
    rows += [(_step(step.comparison, step.level), step.weight) for step in found.steps if step.level]
    if found.households:
        rows.append(("a household may agree as much", found.households))
    if found.rarity:
        rows.append(("rarity of the values, as the run counted it", found.rarity))
    sums = [0.0]
    for _, bits in rows:
        sums.append(sums[-1] + bits)
    lowest = min(sums)
    scale = (WIDTH - 1) / ((max(sums) - lowest) or 1.0)
    places = [round((each - lowest) * scale) for each in sums]
    for (label, bits), before, after in zip(rows, places, places[1:], strict=False):
        yield f"  {label[:_LABEL]:<{_LABEL}} {bits:>8.2f}  {_bar(before, after)}"
    yield f"  {'= match weight, bits':<{_LABEL}} {found.match_weight:>8.2f}  {_bar(places[0], places[-1])}"
    absent = [_title(step.comparison) for step in found.steps if not step.level]
    if absent:
        yield f"  not given on both sides: {', '.join(absent)}"
    if found.against_household is not None:
        yield (
            f"  against strangers {found.against_strangers:.2f} bits,"
            f" against a household {found.against_household:.2f}"
        )


def _bar(before: int, after: int) -> str:
    rise, fall = ("█", "░") if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", "-")
    start, end = sorted((before, after))
    return " " * start + (rise if after >= before else fall) * max(end - start, 1)


def _title(comparison: str) -> str:
    from identity.explanation import title

    return title(comparison)


def _step(comparison: str, level: str | None) -> str:
    return f"{_title(comparison)}: {level}"


def _path(links: "Sequence[LinkOut]") -> str:
    walked = [str(links[0].records[0])]
    for link in links:
        walked += [f"--[{_bits(link.match_weight)}]--", str(link.records[1])]
    return " ".join(walked)


def _golden(found: "GoldenExplanation") -> Iterator[str]:
    yield f"{found.golden_id}: {found.records} record(s), {found.links} stored link(s)"
    if found.weakest is not None:
        a, b = found.weakest.records
        parts = " and ".join(map(str, found.weakest.parts))
        yield f"  weakest link: {a} --[{_bits(found.weakest.match_weight)}]-- {b}, between {parts} record(s)"
    for bridge in found.bridges:
        a, b = bridge.records
        parts = " and ".join(map(str, bridge.parts))
        yield f"  bridge: {a} --[{_bits(bridge.match_weight)}]-- {b}, all that holds {parts} records together"


def _plainly(found: "PlainExplanation") -> Iterator[str]:
    yield from wrap(found.logic, 100)
    yield ""
    yield (
        f"{found.records} record(s) were joined:" if found.links else "There is nothing to join: one record."
    )
    for link in found.links:
        one, other = link.channels
        yield f"  a record of {one} and one of {other}: {link.certainty} to be the same person"
        if link.speaks_for:
            yield f"    speaks for it: {', '.join(link.speaks_for)}"
        if link.speaks_against:
            yield f"    speaks against it: {', '.join(link.speaks_against)}"


def _bits(weight: float | None) -> str:
    return "judged" if weight is None else f"{weight:.2f}"
