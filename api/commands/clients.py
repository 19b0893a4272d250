"""`aurea client`: who may call the API, and how much."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.frame import CommandError, Json, note, services, show
from api.roles import Role

if TYPE_CHECKING:
    from api.store import Client

app = typer.Typer(help="Clients of the API.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The client's name or ID.")]
RateOption = Annotated[
    int | None,
    typer.Option("--rate", min=0, help="Requests a second; 0: no limit. Default: AUREA_CLIENT_RATE."),
]
PeopleOption = Annotated[
    int | None,
    typer.Option(
        "--people-per-day", min=0,
        help="How many people it may be told of; 0: no limit. Default: AUREA_PEOPLE_PER_DAY.",
    ),
]  # fmt: skip


@app.callback()
def group() -> None:
    """Clients of the API."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people; unique.")],
    role: Annotated[Role, typer.Option("--role", help="What the client may do (docs/api.md).")],
    purpose: Annotated[list[str] | None, typer.Option("--purpose", help="Repeat for several.")] = None,
    pairwise: Annotated[bool, typer.Option("--pairwise", help="Golden IDs in a form of its own.")] = False,
    rate: RateOption = None,
    people_per_day: PeopleOption = None,
    oidc_subject: Annotated[
        str | None,
        typer.Option(
            metavar="[CLAIM=]VALUE",
            help="Whose tokens of AUREA_OIDC_ISSUER are its own: by sub, or azp or client_id if named.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a client; its secret is shown once and stored nowhere."""
    from api.clients import ClientExistsError, Limits, SubjectTakenError

    wanted = list(dict.fromkeys(purpose or []))
    with services() as opened:
        for one in wanted:
            _ = opened.purposes[one]  # UnknownPurposeError names those there are
        if role == "consumer" and not wanted:
            note("aurea: a consumer without --purpose can read nothing")
        limits = Limits(rate, people_per_day)
        try:
            client, secret = opened.clients.create(
                name, role, wanted, pairwise=pairwise, limits=limits, oidc_subject=oidc_subject
            )
        except ClientExistsError:
            raise CommandError("a client of that name exists; choose another name") from None
        except SubjectTakenError:
            raise CommandError("another client has that --oidc-subject; revoke it first") from None
    answer = {"client_id": client.client_id, "client_secret": secret, "role": role, "purposes": wanted}
    show(answer, as_json=as_json)


@app.command("list")
def list_them(as_json: Json = False) -> None:
    """List the clients, their limits and whether they are revoked; never a secret."""
    with services() as opened:
        found = [_shown(client) for client in opened.clients.every()]
    lines = [f"{one['client_id']} {one['name']}: {one['role']}, {one['state']}" for one in found]
    show({"clients": found}, as_json=as_json, text="\n".join(lines) or "no clients")


@app.command()
def limit(
    name: Name, rate: RateOption = None, people_per_day: PeopleOption = None, as_json: Json = False
) -> None:
    """Give a client other limits; one that is not named is as the settings say. In force within 2 seconds."""
    from api.clients import Limits, UnknownClientError

    with services() as opened:
        try:
            client = opened.clients.limit(name, Limits(rate, people_per_day))
        except UnknownClientError:
            raise _unknown() from None
    show(_shown(client), as_json=as_json)


@app.command()
def rotate(
    name: Name,
    grace: Annotated[
        int,
        typer.Option("--grace", metavar="HOURS", min=0, max=720, help="How long the old secret works too."),
    ] = 24,
    as_json: Json = False,
) -> None:
    """Give a client another secret, shown once; the old one works until the grace ends."""
    from api.clients import UnknownClientError

    with services() as opened:
        try:
            client, secret = opened.clients.rotate(name, grace_hours=grace)
        except UnknownClientError:
            raise _unknown() from None
    answer = {
        "client_id": client.client_id,
        "client_secret": secret,
        "old_secret_until": _time(client.previous_until),
    }
    show(answer, as_json=as_json)


@app.command()
def revoke(name: Name, as_json: Json = False) -> None:
    """Take a client's secrets and tokens no more, for good; running services obey within 2 seconds."""
    from api.clients import UnknownClientError

    with services() as opened:
        try:
            client = opened.clients.revoke(name)
        except UnknownClientError:
            raise _unknown() from None
    show({"client_id": client.client_id, "revoked_at": _time(client.revoked_at)}, as_json=as_json)


def _unknown() -> CommandError:
    return CommandError("no client in force has that name or ID: `aurea client list` lists them")


def _shown(client: "Client") -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "role": client.role,
        "purposes": list(client.purposes),
        "pairwise": client.pairwise,
        "rate": client.rate,
        "people_per_day": client.people_per_day,
        "oidc_subject": client.oidc_subject,
        "state": "revoked" if client.revoked_at is not None else "in force",
        "created_at": _time(client.created_at),
    }


def _time(milliseconds: int | None) -> str | None:
    from api.times import rfc3339

    return None if milliseconds is None else rfc3339(milliseconds)
