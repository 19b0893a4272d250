"""`aurea ledger` and `aurea keys`: what proves consent, and what opens the records."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.frame import FAILED, CommandError, Json, services, show

ledger = typer.Typer(help="The consent ledger.", no_args_is_help=True)
keys = typer.Typer(help="Key epochs.", no_args_is_help=True)


@ledger.callback()
def ledger_group() -> None:
    """Work with the consent ledger."""


@keys.callback()
def keys_group() -> None:
    """Work with key epochs."""


@ledger.command()
def verify(
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="One kept elsewhere since.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute the ledger's tree and compare it with its checkpoints."""
    from api.proofs import verify_ledger

    text = None
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise CommandError(f"there is no file {checkpoint}")
        text = checkpoint.read_text(encoding="utf-8")
    with services() as opened:
        report = verify_ledger(opened, text)
    show(report, as_json=as_json)
    if not report["ok"]:
        raise typer.Exit(FAILED)


@keys.command()
def epochs(as_json: Json = False) -> None:
    """List the key epochs of the keyring: which one seals, and since when."""
    with services() as opened:
        states = opened.keyring.epochs()
    found = [{"epoch": epoch, "status": state} for epoch, state in sorted(states.items())]
    text = "\n".join(f"epoch {one['epoch']}: {one['status']}" for one in found)
    show({"epochs": found}, as_json=as_json, text=text)
