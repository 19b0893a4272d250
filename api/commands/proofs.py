"""`aurea ledger` and `aurea keys`: what proves consent, and what opens the records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.frame import FAILED, AsClient, CommandError, Json, acting, services, show, steps, text_of

ledger = typer.Typer(help="The consent ledger.", no_args_is_help=True)
receipt = typer.Typer(help="Consent receipts.", no_args_is_help=True)
keys = typer.Typer(help="Key epochs.", no_args_is_help=True)


@ledger.callback()
def ledger_group() -> None:
    """Work with the consent ledger."""


@receipt.callback()
def receipt_group() -> None:
    """Issue and check consent receipts."""


@receipt.command("show")
def show_receipt(
    event: Annotated[int, typer.Argument(min=0, metavar="EVENT", help="Its index in the ledger.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Issue the signed receipt of one recorded statement."""
    from api.consents import consent_receipt

    with services() as opened:
        found = consent_receipt(opened, acting(opened, as_client, "read receipts"), event)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if out is None:
        show(found, as_json=as_json, text=text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        show({"event": event, "file": str(out)}, as_json=as_json, text=f"written to {out}")


@receipt.command("verify")
def verify_receipt(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="The ledger's verifier key, known from elsewhere."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="One kept elsewhere, of an erasure.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline: no home, no keys but the public one."""
    from dataclasses import asdict

    from api.times import rfc3339
    from consent import erasure_receipt_verification as erasures
    from consent.receipt_verification import stated_key, verify_receipt

    text = text_of(file, "receipt")
    kept = None if checkpoint is None else text_of(checkpoint, "checkpoint")
    if erasures.is_erasure_receipt(text):
        _show_erasure(text, key, kept, as_json=as_json)
        return
    if kept is not None:
        raise CommandError("--checkpoint belongs to the receipt of an erasure; the file is none")
    stated = stated_key(text)
    found = asdict(verify_receipt(text, key or stated))
    found |= {
        "recorded_at": rfc3339(found["recorded_at"]),
        "verifier_key": key or stated,
        "pinned": key is not None,
    }
    said = (
        f"verified: {found['purpose']} {found['state']} by {found['source']}, recorded {found['recorded_at']}"
    )
    if key is None:
        said += f"\nunder the key that the receipt itself states; compare it with the ledger's: {stated}"
    show({"ok": True, **found}, as_json=as_json, text=said)


def _show_erasure(text: str, key: str | None, checkpoint: str | None, *, as_json: bool) -> None:
    from consent import erasure_receipt_verification as erasures

    stated = erasures.stated_key(text)
    found = erasures.verify_erasure_receipt(text, key or stated, checkpoint)
    said = found.statement
    lines = [
        (
            f"verified: {len(said['records'])} records erased, {len(said['destroyed_keys'])} keys destroyed, "
            f"finished {said['finished_at']}"
        ),
        (
            f"old copies of the key store open nothing after {said['backups']['unreadable_after']}, or once "
            f"epochs {', '.join(map(str, said['backups']['key_epochs']))} are destroyed"
        ),
        (
            f"kept: {said['kept']['suppression']['entries']} suppression entries until "
            f"{said['kept']['suppression']['until']}"
        ),
    ]
    if key is None:
        lines.append(f"under the key that the receipt itself states; compare it with the ledger's: {stated}")
    data = {"ok": True, "origin": found.origin, "index": found.index, "size": found.size}
    data |= {"statement": dict(said), "verifier_key": key or stated, "pinned": key is not None}
    show(data, as_json=as_json, text="\n".join(lines))


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

    text = None if checkpoint is None else text_of(checkpoint, "checkpoint")
    with services() as opened:
        report = verify_ledger(opened, text)
    show(report, as_json=as_json)
    if not report["ok"]:
        raise typer.Exit(FAILED)


@keys.command()
def epochs(as_json: Json = False) -> None:
    """List the key epochs: which one seals, how many keys each wraps, and what old copies still reveal."""
    from api.key_epochs import shown

    with services() as opened:
        found = shown(opened)
    show(found, as_json=as_json, text="\n".join(_epoch_lines(found)))


@keys.command()
def rotate(as_json: Json = False) -> None:
    """Wrap every key anew under a new epoch, beside the running service; again: complete it."""
    from api.key_epochs import shown

    with services() as opened, steps("rotating") as tell:
        done = opened.rotation.rotate(opened.clock(), lambda count: tell(f"{count} keys"))
        found = {"epoch": done.epoch, "rewrapped": done.rewrapped, **shown(opened)}
    text = [f"epoch {done.epoch}: {done.rewrapped} keys wrapped anew", *_epoch_lines(found)]
    show(found, as_json=as_json, text="\n".join(text))


@keys.command("rotate-tokens")
def rotate_tokens(
    now: Annotated[
        bool, typer.Option("--now", help="Take tokens of the old key no more: it may be known to others.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign access tokens with a fresh key; those of the old one are taken until they end."""
    from api.settings import TOKEN_SECONDS
    from api.times import rfc3339

    with services() as opened:
        # A worker may sign with the old key until it has looked at the keyring again.
        overlap = 0 if now else (TOKEN_SECONDS + 5) * 1_000
        opened.keyring.rotate_tokens(opened.clock(), overlap)
        held = opened.keyring.token_keys()
        former = [{"kid": key.number, "taken_until": rfc3339(key.until or 0)} for key in held[1:]]
        found = {"kid": held[0].number, "former": former}
    show(found, as_json=as_json, text=f"access tokens are signed with key {held[0].number}")


@keys.command()
def destroy(
    epoch: Annotated[int, typer.Argument(min=1, metavar="EPOCH")],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Destroy an epoch that wraps no key any more; a second officer or operator must confirm it."""
    from dataclasses import asdict

    from api.key_epochs import shown

    with services() as opened:
        who = acting(opened, as_client, "destroy key epochs")
        done = opened.rotation.destroy(epoch, who.client_id, opened.clock())
        found = shown(opened)
    if done.destroyed:
        text = [f"epoch {epoch} is destroyed: asked by {done.asked_by}, confirmed by {done.confirmed_by}"]
    else:
        text = [
            (
                f"noted for {done.asked_by}; not destroyed until somebody else confirms within 7 days: "
                f"aurea keys destroy {epoch} --as CLIENT (an officer or operator)"
            )
        ]
    show({**asdict(done), **found}, as_json=as_json, text="\n".join([*text, *_epoch_lines(found)]))


def _epoch_lines(found: Mapping[str, Any]) -> list[str]:
    lines = [f"epoch {one['epoch']}: {one['status']}, {one['keys']} keys" for one in found["epochs"]]
    horizons = found["horizons"]
    if horizons["keys"] is None:
        lines.append("keys: an old copy of the key store still opens what was erased since the home was made")
    else:
        lines.append(f"keys: what was erased before {horizons['keys']} opens from no copy")
    lines.append(
        "tokens: an old copy of the key store can be tested with guesses about what was erased since the "
        "home was made; delete such copies"
    )
    return lines
