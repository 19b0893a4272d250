"""`aurea ingest` and `delete`: records in and out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.commands.frame import (
    WITH_REJECTED_ROWS,
    AsClient,
    CommandError,
    Json,
    acting,
    interruptible,
    note,
    record_key,
    services,
    show,
)


def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV, JSON Lines or Parquet.")],
    mapping: Annotated[Path | None, typer.Option("--mapping", help="Which column is what (TOML).")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="Where the records come from.")] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option("--grant", metavar="PURPOSE", help="The basis that the whole file has."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that seal; default: all cores.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Seal the records of files. The same record key again replaces the whole record."""
    from api.ingest.progress import progress_for
    from api.ingesting import ingest_files

    for file in files:
        if not file.is_file():
            raise CommandError(f"there is no file {file}")
    with interruptible("interrupted; run the same command again to finish"), services() as opened:
        opened.recover()
        summary = ingest_files(
            opened,
            files,
            mapping=mapping,
            channel=channel,
            grants=tuple(grant or ()),
            workers=workers,
            progress=lambda name: progress_for(name, sys.stderr),
        )
    show(summary.as_json(), as_json=as_json)
    for path in summary.rejected_files:
        note(f"aurea: rejected rows, without their values: {path}")
    if summary.as_json()["rejected"]:
        raise typer.Exit(WITH_REJECTED_ROWS)


def delete(
    record: Annotated[
        str, typer.Argument(metavar="CHANNEL:SOURCE_ID", help="`-` reads it from standard input.")
    ],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Delete a record: its keys are destroyed. The same record may come again."""
    from api.records import delete_records

    key = record_key(record)
    with services() as opened:
        acting(opened, as_client, "delete records")
        deleted = delete_records(opened, [key])[0]
    if not deleted:
        raise CommandError("there is no such record")
    show({"status": "deleted"}, as_json=as_json)
