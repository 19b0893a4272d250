"""`aurea webhook`: which consumers are told of changes, and what could not be delivered."""

from dataclasses import asdict
from typing import Annotated

import typer

from api.commands.frame import CommandError, Json, services, show

app = typer.Typer(help="Recipients of changes.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Recipients of changes."""


@app.command()
def add(
    client: Annotated[str, typer.Argument(metavar="CLIENT_ID")],
    url: Annotated[str, typer.Argument(metavar="URL", help="https, a public host.")],
    as_json: Json = False,
) -> None:
    """Tell a consumer of what happens from now on; the signing secret is shown once."""
    with services() as opened:
        number, secret = opened.webhooks.add(client, url)
    show({"webhook": number, "secret": secret}, as_json=as_json)


@app.command("list")
def list_webhooks(as_json: Json = False) -> None:
    """List webhooks."""
    with services() as opened:
        found = opened.recipients.webhooks()
    rows = [{"webhook": each.webhook_no, "client_id": each.client_id, "url": each.url} for each in found]
    text = "\n".join(f"{row['webhook']}  {row['client_id']}  {row['url']}" for row in rows)
    show({"webhooks": rows}, as_json=as_json, text=text)


@app.command()
def remove(webhook: Annotated[int, typer.Argument(min=1)], as_json: Json = False) -> None:
    """Remove a webhook, and what waits for it."""
    with services() as opened:
        if not opened.recipients.remove(webhook):
            raise CommandError("there is no such webhook: `aurea webhook list` has them")
    show({"removed": webhook}, as_json=as_json)


@app.command()
def dead(
    retry: Annotated[bool, typer.Option("--retry", help="Try them all again.")] = False,
    as_json: Json = False,
) -> None:
    """List messages that were given up."""
    from consent.recipients import CALLBACK

    with services() as opened:
        found = opened.recipients.dead()
        if retry:
            opened.recipients.revive(opened.clock())
    text = "\n".join(
        f"{each.delivery_no}  {'callback' if each.webhook_no == CALLBACK else f'webhook {each.webhook_no}'}"
        f"  {each.attempts} attempts  {each.error}"
        for each in found
    )
    show({"dead": [asdict(each) for each in found], "retried": retry}, as_json=as_json, text=text)
