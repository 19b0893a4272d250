"""`aurea link`, `memberships`, `evaluate`, `explain`: who is the same person."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from api.commands.frame import (
    AsClient,
    CommandError,
    Json,
    acting,
    hint_before_first_link,
    interruptible,
    note,
    record_key,
    services,
    show,
    steps,
)


def link(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
    ] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train the model anew.")] = False,
    engine: Annotated[Literal["duckdb", "spark"], typer.Option("--engine")] = "duckdb",
    seed: Annotated[int, typer.Option(help="Of the training's samples; same seed, same result.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all; the result is the same.")] = None,
    as_json: Json = False,
) -> None:
    """Link all permitted records into golden IDs and publish the difference."""
    from api.linkage import LinkRequest, run_link

    if engine == "spark":
        raise CommandError("the Spark engine is not part of this version; use --engine duckdb")
    with interruptible("interrupted; nothing changed"), services() as opened:
        opened.recover()
        request = LinkRequest(dry_run=dry_run, retrain=retrain, seed=seed, threads=threads)
        with steps("aurea link") as progress:
            summary = run_link(opened, request, progress)
    if summary["records"] and not summary["linkable"]:
        note(
            "aurea: no record may be linked, so each is a person of its own. State the basis with "
            "`aurea ingest FILE --grant identity_linking`, or map a consent column to identity_linking."
        )
    if summary["uncompared"]:
        note(
            f"aurea: the records hold {', '.join(summary['uncompared'])}, which the model was made without: "
            "run `aurea link --retrain` to compare it."
        )
    show(summary, as_json=as_json)


def memberships(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet|.csv", help="Where to write.")],
    as_json: Json = False,
) -> None:
    """Write channel, source_id, golden_id and confidence of every record, sorted."""
    from api.memberships import MembershipsError, rows, write

    with services() as opened:
        found = rows(opened)
        try:
            write(found, out)
        except MembershipsError as error:
            raise CommandError(str(error)) from None
        hint_before_first_link(opened)
    show({"records": len(found), "file": str(out)}, as_json=as_json)


def evaluate(
    truth: Annotated[Path, typer.Option("--truth", metavar="FILE", help="channel, source_id, person")],
    as_json: Json = False,
) -> None:
    """Compare the golden IDs with the truth, over the records in both: in all, by channel and by size."""
    from api.evaluation_table import render
    from api.memberships import MembershipsError, by_key, read_truth
    from identity.evaluation_detail import evaluate_in_detail

    try:
        known = read_truth(truth)
    except MembershipsError as error:
        raise CommandError(str(error)) from None
    with services() as opened:
        found = by_key(opened)
    if found.keys().isdisjoint(known):
        raise CommandError(
            "no record of the truth has a golden ID here: compare channel and source_id, and run `aurea link`"
        )
    detail = evaluate_in_detail(found, known, lambda key: key.channel)
    show(detail.as_dict(), as_json=as_json, text=render(detail))


def explain(
    first: Annotated[str, typer.Argument(metavar="CHANNEL:SOURCE_ID")],
    second: Annotated[str, typer.Argument(metavar="CHANNEL:SOURCE_ID")],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Tell why two records are, or are not, one person: the scored links between them."""
    from api.explanation import explain_pair

    with services() as opened:
        acting(opened, as_client, "explain links")
        answer = explain_pair(opened, record_key(first), record_key(second))
    show(answer, as_json=as_json)
