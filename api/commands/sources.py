"""`aurea source`: what the owner of a channel says of it as a whole."""

from typing import Annotated

import typer

from api.commands.frame import AsClient, CommandError, Json, WrongUsageError, caller, note, services, show

app = typer.Typer(help="Channels that are declared to hold no duplicates.", no_args_is_help=True)

Channel = Annotated[str, typer.Argument(metavar="CHANNEL")]


@app.callback()
def group() -> None:
    """Say of a channel that no two of its records are one person."""


@app.command()
def declare(
    channel: Channel,
    no_duplicates: Annotated[
        bool, typer.Option("--no-duplicates", help="No two of its records are one person.")
    ] = False,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Declare that a channel holds no duplicates; whoever is one person by now is parted by the next run."""
    from identity import source_store
    from identity.records import CHANNEL

    if CHANNEL.fullmatch(channel) is None:
        raise WrongUsageError("a channel is 1 to 64 of A-Z a-z 0-9 _ . -")
    if not no_duplicates:
        raise WrongUsageError("say what is declared: --no-duplicates")
    with services() as opened:
        who = caller(opened, as_client, "declare sources")
        with opened.db.write() as conn:
            source_store.declare(conn, channel, author=who.client_id, now=opened.clock())
    show({"channel": channel, "no_duplicates": True}, as_json=as_json)
    note("aurea: records that arrive obey from now on; `aurea link` parts those that were joined before")


@app.command()
def withdraw(channel: Channel, as_client: AsClient = None, as_json: Json = False) -> None:
    """Take the declaration back; the next run joins again what the scores join."""
    from identity import source_store

    with services() as opened:
        caller(opened, as_client, "declare sources")
        with opened.db.write() as conn:
            if not source_store.withdraw(conn, channel):
                raise CommandError("nothing is declared of that channel")
    show({"channel": channel, "no_duplicates": False}, as_json=as_json)
    note("aurea: `aurea link` joins again what the declaration kept apart")


@app.command("list")
def list_declared(as_json: Json = False) -> None:
    """List the channels that are declared to hold no duplicates, since when and by whom."""
    from api.times import rfc3339
    from identity import source_store

    with services() as opened, opened.db.read() as conn:
        found = [
            {"channel": each.channel, "no_duplicates": True, "author": each.author,
             "declared_at": rfc3339(each.declared_at)}
            for each in source_store.declarations(conn)
        ]  # fmt: skip
    lines = [
        f"{each['channel']}: no duplicates, by {each['author']}, {each['declared_at']}" for each in found
    ]
    show({"sources": found}, as_json=as_json, text="\n".join(lines or ["nothing is declared"]))
