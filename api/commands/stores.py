"""`aurea store`: where the stores are."""

from typing import Annotated

import typer

from api.commands.frame import Json, from_argument, interruptible, show, steps
from api.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Move the stores.")


@app.callback()
def store() -> None:
    """Move the stores."""


@app.command("migrate")
def migrate(
    to: Annotated[
        str, typer.Option("--to", metavar="URL|-", help="The operational store's; `-` reads standard input.")
    ],
    keys_to: Annotated[
        str | None, typer.Option("--keys-to", metavar="URL|-", help="The key store's, if it moves too.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Empty a target that holds an incomplete copy first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy the embedded stores to PostgreSQL, verify the copy and say what to set."""
    from api.store_migration import migrate as copy

    settings = Settings.from_environment()
    urls = from_argument(to), None if keys_to is None else from_argument(keys_to)
    with (
        interruptible("interrupted: the embedded stores are as they were; repeat with --restart"),
        steps("migrating") as told,
    ):
        done = copy(settings, *urls, restart=restart, told=told)
    ledger = done["ledger"]
    lines = [
        f"copied {sum(done['rows'].values()):,} rows of {len(done['rows'])} tables in {done['seconds']} s",
        f"verified: the ledger's {ledger['size']:,} entries and root, {done['opened']:,} records opened",
        "From now on set, with the password where your driver finds it:",
        *(f"    {name}={url}" for name, url in done["set"].items()),
        "The embedded stores are closed for good: restart what has them open, and delete them in the end.",
    ]
    show(done, as_json=as_json, text="\n".join(lines))
