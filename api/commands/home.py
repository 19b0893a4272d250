"""`aurea init`, `serve`, `demo`, `doctor`: the home and the service over it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.commands.frame import FAILED, Json, note, services, show
from api.settings import Settings


def init(
    backup: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Back up here before an upgrade.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a home: keyring, stores, folders. On an existing home: bring the stores to this version."""
    from api.stores import create_home

    settings = Settings.from_environment()
    if backup is not None:
        _back_up_before(settings, backup)
    new = create_home(settings)
    done = "made" if new else "brought up to date"
    text = f"{done} {settings.home}"
    if new and settings.keyring_text is None:
        text += f"\nBack up {settings.keyring_file} apart from the data: without it nothing can be opened."
    show({"home": str(settings.home), "created": new}, as_json=as_json, text=text)


def _back_up_before(settings: Settings, folder: Path) -> None:
    from api.backup import back_up
    from api.services import wall_clock
    from api.store_places import is_blank
    from api.stores import check_home

    if settings.home.is_dir():
        check_home(settings)
        if not is_blank(settings):
            back_up(settings, folder, wall_clock())
            note(f"aurea: backed up to {folder}")
            return
    note(f"aurea: no backup was made: {settings.home} held nothing yet")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes over the same home.")] = 1,
    as_json: Json = False,
) -> None:
    """Serve the HTTP API and the console until interrupted."""
    with services() as opened:
        opened.recover()
        settings = opened.settings
    from api.listening import check_address
    from api.server import run

    check_address(host, port)
    if as_json:
        show({"home": str(settings.home), "url": f"http://{host}:{port}", "workers": workers}, as_json=True)
        sys.stdout.flush()
    note(f"aurea: serving {settings.home} on http://{host}:{port}/ (console at /console/)")
    run(settings, host=host, port=port, workers=workers)


def demo(
    serve_after: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve when done.")] = True,
    as_json: Json = False,
) -> None:
    """Generate customers of seven channels, link them, print what came out, and serve."""
    from api.demo.run import run_demo

    run_demo(serve=serve_after, as_json=as_json)


def doctor(as_json: Json = False) -> None:
    """Check that this home can work and that nothing in it was left half done; name the remedies."""
    from api.diagnosis import diagnose
    from api.services import wall_clock

    findings = diagnose(Settings.from_environment(), wall_clock())
    lines = [f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.says}" for finding in findings]
    data = {"ok": all(finding.ok for finding in findings), "checks": [f.as_json() for f in findings]}
    show(data, as_json=as_json, text="\n".join(lines))
    if not data["ok"]:
        raise typer.Exit(FAILED)
