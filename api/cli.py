"""The `aurea` command: names the commands and turns failures into one sentence and an exit status."""

import sys

import typer

from api.commands import (
    backups,
    clients,
    consents,
    explanations,
    files,
    home,
    linkage,
    people,
    proofs,
    remains,
    requests,
    retention,
    review,
    sources,
    stores,
    webhooks,
)
from api.commands.frame import FAILED, WRONG_USAGE, explain_failure, is_wrong_usage
from api.commands.usage import shows_help, wrong_usage
from api.settings import unknown_names

app = typer.Typer(
    name="aurea",
    help="Privacy-aware identity resolution: sealed records, stable golden IDs, provable consent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("init")(home.init)
app.command("ingest")(files.ingest)
app.command("link")(linkage.link)
app.command("memberships")(linkage.memberships)
app.command("evaluate")(linkage.evaluate)
app.command("profile")(people.profile)
app.command("lookup")(people.lookup)
app.command("explain")(explanations.explain)
app.add_typer(review.app, name="review")
app.add_typer(sources.app, name="source")
app.command("delete")(files.delete)
app.add_typer(consents.app, name="consent")
app.add_typer(requests.app, name="request")
app.add_typer(proofs.ledger, name="ledger")
app.add_typer(proofs.receipt, name="receipt")
app.add_typer(proofs.keys, name="keys")
app.add_typer(retention.app, name="retention")
app.command("scan-remains")(remains.scan_remains)
app.add_typer(clients.app, name="client")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(stores.app, name="store")
app.command("serve")(home.serve)
app.command("demo")(home.demo)
app.command("doctor")(home.doctor)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)


def main() -> None:
    """Run one command. Typer is to raise what it finds wrong: its own messages quote what was typed."""
    for sentence in unknown_names():
        sys.stderr.write(f"aurea: {sentence}\n")
    try:
        status = app(prog_name="aurea", standalone_mode=False)
    except typer.Abort:
        sys.stderr.write("Aborted.\n")
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 - the last resort; a traceback could print values
        sys.exit(_failed(error))
    sys.exit(status if isinstance(status, int) else 0)  # that of `typer.Exit`; no command returns anything


def _failed(error: Exception) -> int:
    """Say what went wrong on standard error; return the exit status."""
    if shows_help(error):
        sys.stderr.write(str(error))  # empty where Rich has printed it already
        return WRONG_USAGE
    sentence = misused = wrong_usage(error)
    if sentence is None:
        sentence = explain_failure(error)
    if sentence is None:
        from api.observability import where  # noqa: PLC0415 - only for a fault of ours

        sentence = f"internal failure: {type(error).__name__} at {where(error)}"
    sys.stderr.write(f"aurea: {sentence}\n")
    return WRONG_USAGE if misused or is_wrong_usage(error) else FAILED
