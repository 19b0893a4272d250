"""`aurea client`: who may call the API."""

from typing import Annotated

import typer

from api.commands.frame import CommandError, Json, note, services, show
from api.roles import Role

app = typer.Typer(help="Clients of the API.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Clients of the API."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people; unique.")],
    role: Annotated[Role, typer.Option("--role", help="What the client may do (docs/api.md).")],
    purpose: Annotated[list[str] | None, typer.Option("--purpose", help="Repeat for several.")] = None,
    pairwise: Annotated[bool, typer.Option("--pairwise", help="Golden IDs in a form of its own.")] = False,
    as_json: Json = False,
) -> None:
    """Make a client; its secret is shown once and stored nowhere."""
    from api.auth import ClientExistsError

    wanted = list(dict.fromkeys(purpose or []))
    with services() as opened:
        for one in wanted:
            _ = opened.purposes[one]  # UnknownPurposeError names those there are
        if role == "consumer" and not wanted:
            note("aurea: a consumer without --purpose can read nothing")
        try:
            client, secret = opened.clients.create(name, role, wanted, pairwise=pairwise)
        except ClientExistsError:
            raise CommandError("a client of that name exists; choose another name") from None
    answer = {"client_id": client.client_id, "client_secret": secret, "role": role, "purposes": wanted}
    show(answer, as_json=as_json)
