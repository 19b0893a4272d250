"""`aurea backup`, `aurea restore`: copies of a home that keep data and keys apart."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.frame import CommandError, Json, note, show, text_of
from api.settings import Settings


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    as_json: Json = False,
) -> None:
    """Back the home up while it is in use: DIR/data and DIR/keys, to be kept apart, without the keyring."""
    from api.backup import back_up
    from api.services import wall_clock

    made = back_up(Settings.from_environment(), folder, wall_clock())
    text = (
        f"{made['backup']}: {made['records']} records, ledger of {made['ledger_size']}, in {folder}\n"
        f"Move {folder / 'keys'} elsewhere and delete it by {made['delete_keys_by']}; "
        "keep the keyring apart from both."
    )
    show(made, as_json=as_json, text=text)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A backup, or where its folder `data` is.")],
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its folder `keys` is, if apart.")
    ] = None,
    keep_keys: Annotated[bool, typer.Option("--keep-keys", help="The home still has its key store.")] = False,
    keyring: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The keyring, put into the home.")
    ] = None,
    erasures: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The erasure log kept elsewhere.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A checkpoint kept elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty home, and erase again whoever was erased since."""
    from api.restore import Source, restore
    from api.services import wall_clock

    settings = Settings.from_environment()
    if keep_keys and keys is not None:
        raise CommandError("--keep-keys and --keys: name one of them")
    source = Source(
        data=_part(folder, "data"),
        keys=None if keep_keys else _part(keys or folder, "keys"),
        keyring=keyring,
        erasures=erasures,
        checkpoint=text_of(checkpoint, "checkpoint") if checkpoint else None,
    )
    done = restore(settings, source, wall_clock)
    if done["ledger_entries_lost"]:
        lost = done["ledger_entries_lost"]
        note(f"aurea: {lost} consent events after the backup are lost: have them sent again")
    if done["erasures_unrefused"]:
        lost = done["erasures_unrefused"]
        note(f"aurea: {lost} people came after the backup and were erased: see that nobody sends them again")
    show(done, as_json=as_json)


def _part(folder: Path, name: str) -> Path:
    """Return the part: the folder itself if it is one, else the folder of that name in it."""
    return folder if (folder / "manifest.json").is_file() else folder / name
