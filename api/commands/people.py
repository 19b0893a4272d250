"""`aurea profile` and `lookup`: read one person for one purpose, through the same door as the API."""

from typing import Annotated

import typer

from api.commands.frame import (
    AsClient,
    Json,
    WrongUsageError,
    caller,
    from_argument,
    hint_before_first_link,
    services,
    show,
)

Purpose = Annotated[str, typer.Option("--purpose", metavar="P", help="What it will be used for.")]


def profile(
    golden_id: Annotated[str, typer.Argument(metavar="GOLDEN_ID")],
    purpose: Purpose,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Show the profile of a golden ID for a purpose. The read is logged like any other."""
    from api.profiles import read_profile

    with services() as opened:
        who = caller(opened, as_client, "read profiles", purpose)
        answer = read_profile(opened, who, golden_id, purpose)
    show(answer.model_dump(exclude_none=True), as_json=as_json)


def lookup(
    kind: Annotated[str, typer.Option("--type", metavar="T", help="email, phone, user_id, record, ...")],
    value: Annotated[str, typer.Option("--value", metavar="V|-", help="`-` reads standard input.")],
    purpose: Purpose,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Show the profile of the one person whom an identifier fits."""
    from api.profiles import find_profile
    from consent.lookup import IDENTIFIER_TYPES, Identifier

    if kind not in IDENTIFIER_TYPES:
        raise WrongUsageError(f"--type is one of {', '.join(IDENTIFIER_TYPES)}")
    identifier = Identifier(kind, from_argument(value))
    with services() as opened:
        hint_before_first_link(opened)
        who = caller(opened, as_client, "read profiles", purpose)
        answer = find_profile(opened, who, [identifier], purpose)
    show(answer.model_dump(exclude_none=True), as_json=as_json)
