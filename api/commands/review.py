"""`aurea review`: the pairs that wait for a steward, and what was decided about them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from api.commands.frame import (
    AsClient,
    Json,
    caller,
    checked,
    from_argument,
    record_key,
    services,
    show,
)

if TYPE_CHECKING:
    from api.review_schemas import DecidedOut, JudgementOut, ReviewOut

app = typer.Typer(help="Pairs of records that scores do not decide.", no_args_is_help=True)

First = Annotated[str, typer.Argument(metavar="RECORD", help="Its number, or CHANNEL:SOURCE_ID.")]
Second = Annotated[str, typer.Argument(metavar="RECORD")]
Why = Annotated[str, typer.Option("--reason", help="Kept with the decision: no personal data.")]


@app.callback()
def group() -> None:
    """Decide about pairs of records that scores do not decide."""


@app.command("list")
def list_open(
    state: Annotated[Literal["open", "same", "different", "unsure"], typer.Option("--state")] = "open",
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List the pairs that wait for a decision, the most likely matches first."""
    from api.reviewing import list_reviews

    with services() as opened:
        page = list_reviews(opened, caller(opened, as_client, "review links"), state, after, limit)
    lines = [_review(row) for row in page.reviews]
    lines.append(f"{page.count:,} pair(s) {'wait' if state == 'open' else 'were judged ' + state}")
    lines += [f"more: --after {page.next}"] if page.next else []
    show(page.model_dump(), as_json=as_json, text="\n".join(lines))


@app.command("show")
def show_two(first: First, second: Second, as_client: AsClient = None, as_json: Json = False) -> None:
    """Show the question about two records and every decision so far. `aurea explain` has the evidence."""
    from api.reviewing import number_of, show_pair

    with services() as opened:
        who = caller(opened, as_client, "review links")
        found = show_pair(opened, who, (number_of(opened, _named(first)), number_of(opened, _named(second))))
    lines = [_review(found.review) if found.review is not None else _pair(found.records, found.golden_ids)]
    lines += [_judgement(each) for each in found.judgements]
    show(found.model_dump(), as_json=as_json, text="\n".join(lines))


@app.command()
def conflicts(
    after: Annotated[int, typer.Option("--after", min=0, help="`next` of the page before.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List the purposes that stay denied because records of one person contradict each other."""
    from api.reviewing import list_conflicts

    with services() as opened:
        page = list_conflicts(opened, caller(opened, as_client, "review links"), after, limit)
    lines = []
    for each in page.conflicts:
        lines += [f"{each.golden_id}  {each.purpose}", *(f"    {reason.text}" for reason in each.reasons)]
    lines += [f"more: --after {page.next}"] if page.next else []
    show(page.model_dump(), as_json=as_json, text="\n".join(lines or ["no conflict waits"]))


@app.command()
def decide(
    first: First,
    second: Second,
    verdict: Annotated[Literal["same", "different", "unsure"], typer.Argument()],
    reason: Why,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Decide about two records: effective at once and in every rerun."""
    from api.review_schemas import JudgementIn
    from api.reviewing import decide as judge

    said = {"first": _reference(first), "second": _reference(second), "verdict": verdict, "reason": reason}
    asked = checked(JudgementIn, said)
    with services() as opened:
        answer = judge(opened, caller(opened, as_client, "review links"), asked)
    show(answer.model_dump(), as_json=as_json, text=_decided(answer))


@app.command()
def undo(
    judgement: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Of the judgement.")],
    reason: Why,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Take a decision back: the two records are left to their score again."""
    from api.review_schemas import UndoIn
    from api.reviewing import undo as take_back

    asked = checked(UndoIn, {"reason": reason})
    with services() as opened:
        answer = take_back(opened, caller(opened, as_client, "review links"), judgement, asked.reason)
    show(answer.model_dump(), as_json=as_json, text=_decided(answer))


@app.command()
def history(
    after: Annotated[int, typer.Option("--after", min=0, help="Number of the last one known.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List decisions in the order in which they were made."""
    from api.reviewing import list_judgements

    with services() as opened:
        caller(opened, as_client, "read judgements")
        page = list_judgements(opened, after, limit)
    lines = [_judgement(each) for each in page.judgements] or ["nothing was decided"]
    show(page.model_dump(), as_json=as_json, text="\n".join(lines))


def _reference(argument: str) -> dict[str, Any]:
    said = from_argument(argument)
    if said.isascii() and said.isdigit() and len(said) < 19:
        return {"number": int(said)}
    key = record_key(said)
    return {"record": {"channel": key.channel, "source_id": key.source_id}}


def _named(argument: str) -> Any:
    from api.explanation_schemas import RecordRefIn

    return checked(RecordRefIn, _reference(argument))


def _pair(records: Sequence[int], golden_ids: Sequence[str | None]) -> str:
    names = " and ".join(name or "no golden ID yet" for name in dict.fromkeys(golden_ids))
    return f"records {records[0]} and {records[1]} ({names})"


_DOUBTS: Final = {
    "uncertain": "below the threshold",
    "guarded": "refused by a guard",
    "request": "asked by a data-subject request",
}


def _review(row: "ReviewOut") -> str:
    doubt = _DOUBTS[row.cause]
    channels = " and ".join(channel or "deleted" for channel in row.channels)
    pair = _pair(row.records, row.golden_ids)
    return f"{row.match_weight:>7.2f} bits, {doubt}, {row.state}: {pair} of {channels}"


def _judgement(each: "JudgementOut") -> str:
    stands = "" if each.standing or each.verdict == "undone" else " (no longer)"
    one, other = each.records
    return (
        f"judgement {each.judgement}{stands}: {each.verdict}, records {one} and {other},"
        f" by {each.author}, {each.recorded_at}: {each.reason}"
    )


def _decided(answer: "DecidedOut") -> str:
    people = "one person" if answer.same_person else "different golden IDs"
    waits = "" if answer.in_effect else "; without effect while one of them may not be linked or awaits a run"
    pair = _pair(answer.judgement.records, answer.golden_ids)
    told = f"{_judgement(answer.judgement)}\n{pair}: {people}{waits}"
    if answer.overrides_source is None:
        return told
    return f"{told}\nthis overrides that {answer.overrides_source} is declared to hold no duplicates"
