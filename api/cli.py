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
    webhooks,
)
from api.commands.frame import FAILED, WRONG_USAGE, explain_failure, is_wrong_usage

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
app.command("serve")(home.serve)
app.command("demo")(home.demo)
app.command("doctor")(home.doctor)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)


def main() -> None:
    """Run one command."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the last resort; a traceback could print values
        sentence = explain_failure(error)
        if sentence is None:
            from api.observability import where  # noqa: PLC0415 - only for a fault of ours

            sentence = f"internal failure: {type(error).__name__} at {where(error)}"
        sys.stderr.write(f"aurea: {sentence}\n")
        sys.exit(WRONG_USAGE if is_wrong_usage(error) else FAILED)
