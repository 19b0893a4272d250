"""`aurea link`, `memberships`, `evaluate`: who is the same person."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from api.commands.frame import (
    CommandError,
    Json,
    WrongUsageError,
    hint_before_first_link,
    interruptible,
    note,
    services,
    show,
    steps,
)
from api.reasons import MOST_LETTERS, impersonal


def link(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
    ] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train the model anew.")] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="MODEL",
            help="Say what another model would do: a run, or a file. Changes nothing.",
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option("--force", metavar="REASON", help="Publish although a gate closes; kept with the run."),
    ] = None,
    engine: Annotated[
        Literal["duckdb", "spark"], typer.Option("--engine", help="spark: see AUREA_SPARK_MASTER.")
    ] = "duckdb",
    seed: Annotated[int, typer.Option(help="Of the training's samples; same seed, same result.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all; the result is the same.")] = None,
    as_json: Json = False,
) -> None:
    """Link all permitted records into golden IDs and publish the difference."""
    from api.linkage import LinkRequest, compare_model, run_link

    if compare is not None and (dry_run or retrain or force is not None):
        raise WrongUsageError("--compare goes with none of --dry-run, --retrain and --force")
    request = LinkRequest(
        dry_run=dry_run, retrain=retrain, seed=seed, threads=threads, force=_reason(force), engine=engine
    )
    with interruptible("interrupted; nothing changed"), services() as opened:
        opened.recover()
        with steps("aurea link") as progress:
            if compare is not None:
                summary = compare_model(opened, compare, request, progress)
            else:
                summary = run_link(opened, request, progress)
    if compare is None:
        _notes(summary)
    if not as_json:
        summary.pop("figures", None)  # a histogram, for the next run
        summary.pop("notices", None)  # said before
        if summary.get("seams"):
            del summary["seams"]["weakest"]  # a table of the run report
    show(summary, as_json=as_json)


def _reason(force: str | None) -> str | None:
    """Return the reason for `--force`, in one line. Ends with 2 if there is none, or if it is a story."""
    if force is None:
        return None
    reason = " ".join(force.split())
    if not reason or len(reason) > MOST_LETTERS:
        raise WrongUsageError(f"--force needs a reason, of at most {MOST_LETTERS} characters")
    try:
        return impersonal(reason)
    except ValueError as error:
        raise WrongUsageError(f"--force {error}") from None


def _notes(summary: Mapping[str, Any]) -> None:
    """Tell people what they should do, or know, about this run."""
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
    for notice in summary["notices"]:
        note(f"aurea: {notice}")
    if summary["gates"]:
        would = "would be stopped" if summary["dry_run"] and not summary["forced"] else "was forced"
        note(f"aurea: this run {would}: {'; '.join(summary['gates'])}")


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
