"""`aurea retention run`: erase what the policy keeps no longer."""

from typing import Annotated

import typer

from api.commands.frame import Json, services, show

app = typer.Typer(help="How long data is kept.", no_args_is_help=True)


@app.callback()
def retention_group() -> None:
    """Keep data no longer than the policy says."""


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Erase records, attributes, evidence and suppression entries whose time is over; again: nothing more."""
    with services() as opened:
        report = opened.retention.run(opened.clock(), dry_run=dry_run)
    found = {
        "dry_run": report.dry_run,
        "records": report.records,
        "held": report.held,
        "reduced": report.reduced,
        "attributes": dict(sorted(report.attributes.items())),
        "evidence": report.evidence,
        "suppressions": report.suppressions,
    }
    will = "would be" if dry_run else "were"
    names = ", ".join(f"{name} {count}" for name, count in sorted(report.attributes.items())) or "none"
    text = (
        f"{report.records} records {will} erased, {report.held} are held by law\n"
        f"{report.reduced} records {will} sealed anew without expired attributes ({names})\n"
        f"{report.evidence} keys of consent evidence and {report.suppressions} suppression entries "
        f"{will} destroyed"
    )
    show(found, as_json=as_json, text=text)
