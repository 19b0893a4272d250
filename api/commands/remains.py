"""`aurea scan-remains`: whether anything of a value is left in the home."""

from typing import Annotated

import typer

from api.commands.frame import FAILED, Json, from_argument, services, show


def scan_remains(
    marker: Annotated[str, typer.Option("--marker", metavar="V|-", help="`-` reads standard input.")],
    as_json: Json = False,
) -> None:
    """Search every file of the home for a value and its blind indexes; exit 1 if anything is left."""
    from consent.remains import needles, scan

    value = from_argument(marker)
    with services() as opened:
        settings = opened.settings
        remains = scan(
            settings.home, needles(opened.stores.index, value, default_region=settings.default_region)
        )
        embedded = opened.db.is_sqlite and opened.keys.is_sqlite
    data = {
        "clean": remains.clean,
        "found": {name: dict(counts) for name, counts in remains.found.items()},
        "kept": {name: dict(counts) for name, counts in remains.kept.items()},
        "unreadable": remains.unreadable,
        "files": remains.files,
        "bytes": remains.bytes,
        "stores_searched": embedded,
    }
    lines = [
        f"{name}: {', '.join(f'{what} {count} times' for what, count in counts.items())}"
        for name, counts in remains.found.items()
    ]
    lines += [f"{name}: cannot be read" for name in remains.unreadable]
    lines += [
        f"{name}: {counts['suppression']} suppression entries, kept so that the person is not recorded again"
        for name, counts in remains.kept.items()
    ]
    if not embedded:
        lines.append("a store outside the home was not searched")
    if remains.clean:
        lines.append(f"nothing else is left in {remains.files} files")
    show(data, as_json=as_json, text="\n".join(lines))
    if not remains.clean:
        raise typer.Exit(FAILED)
