"""`aurea consent`: record what people say, and show what is permitted and why."""

from typing import Annotated, Any

import typer

from api.commands.frame import (
    AsClient,
    CommandError,
    Json,
    WrongUsageError,
    acting,
    caller,
    checked,
    from_argument,
    note,
    record_key,
    services,
    show,
)
from consent.events import RENEWAL_DAYS, VERIFIED_METHODS, Method, State

app = typer.Typer(help="What people permit.", no_args_is_help=True)

GoldenId = Annotated[str | None, typer.Option("--golden-id", help="Whom it is about: a golden ID, or ...")]
Record = Annotated[str | None, typer.Option("--record", metavar="CHANNEL:SOURCE_ID|-", help="a record, or")]
Contact = Annotated[str | None, typer.Option("--contact", metavar="email:V|phone:V|-", help="an address.")]
Purpose = Annotated[str, typer.Option("--purpose", metavar="P")]


@app.callback()
def group() -> None:
    """Record and explain consent."""


@app.command()
def record(
    purpose: Purpose,
    state: Annotated[State, typer.Option("--state")],
    golden_id: GoldenId = None,
    record: Record = None,
    contact: Contact = None,
    method: Annotated[Method, typer.Option("--method", help="How it was said.")] = "api",
    notice: Annotated[str | None, typer.Option("--notice", help="Version of the notice shown.")] = None,
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", metavar="TYPE:VALUE|-", help="What proves it, as iab_tcf:STRING."),
    ] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Record a statement; effective on the next read. `verified` is an officer's word: --as an officer."""
    from api.consents import record_consent
    from api.schemas import ConsentIn

    said = checked(
        ConsentIn,
        {
            "subject": _subject(golden_id, record, contact),
            "purpose": purpose,
            "state": state,
            "method": method,
            "notice": notice,
            "evidence": _evidence(evidence),
        },
    )
    with services() as opened:
        who = opened.operator
        vouched = method in VERIFIED_METHODS
        if as_client is not None or vouched:
            operation = "record verified consents" if vouched else "record consents"
            who = caller(opened, as_client, operation, purpose)
        answer = record_consent(opened, who, said)
    show(answer.model_dump(), as_json=as_json)


@app.command("show")
def show_state(
    purpose: Purpose,
    golden_id: GoldenId = None,
    record: Record = None,
    contact: Contact = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="RFC 3339")] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Show whether a purpose is permitted."""
    answer = _query(purpose, _subject(golden_id, record, contact), as_of, as_client)
    brief = {"state": answer["state"], "allowed": answer["allowed"]}
    show(brief, as_json=as_json)


@app.command("explain")
def explain_state(
    purpose: Purpose,
    golden_id: GoldenId = None,
    record: Record = None,
    contact: Contact = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="RFC 3339")] = None,
    proof: Annotated[bool, typer.Option("--proof", help="Prove every event.")] = False,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Show whether a purpose is permitted, the reasons, and every event they rest on."""
    answer = _query(purpose, _subject(golden_id, record, contact), as_of, as_client, proof=proof)
    lines = [
        f"{'permitted' if answer['allowed'] else 'not permitted'} ({answer['state']})",
        f"  by rule {answer['rule']}",
    ]
    lines += [f"  because {reason['text']}" for reason in answer["reasons"]]
    lines += [
        f"  event {event['event']}: {event['state']} by {event['source']} ({event['method']}), "
        f"{event['recorded_at']}"
        for event in answer["events"]
    ]
    lines += [
        f"  record {each['record']} is out of view by its {each['why']} ({each['confidence']:.6f})"
        for each in answer.get("out_of_view", ())
    ]
    if proof:
        lines.append(f"  proven in a ledger of {answer['proof']['size']} entries; --json has the proofs")
    show(answer, as_json=as_json, text="\n".join(lines))


def _query(
    purpose: str,
    subject: dict[str, Any],
    as_of: str | None,
    as_client: str | None,
    *,
    proof: bool = False,
) -> dict[str, Any]:
    from api.consents import query_consent
    from api.schemas import ConsentQuery

    asked = checked(ConsentQuery, {"subject": subject, "purpose": purpose, "as_of": as_of, "proof": proof})
    with services() as opened:
        who = acting(opened, as_client, "query consents", purpose)
        if who.role == "ingest" and asked.subject.golden_id is not None:
            raise CommandError("the role ingest names a record or a contact, not a golden ID")
        return query_consent(opened, who, asked).model_dump(exclude_unset=True)


def _evidence(stated: str | None) -> dict[str, str] | None:
    if stated is None:
        return None
    kind, colon, value = from_argument(stated).partition(":")
    if not (kind and colon and value):
        raise WrongUsageError("evidence is named TYPE:VALUE")
    return {"type": kind, "value": value}


def _subject(golden_id: str | None, record: str | None, contact: str | None) -> dict[str, Any]:
    if sum(part is not None for part in (golden_id, record, contact)) != 1:
        raise WrongUsageError("name exactly one of --golden-id, --record and --contact")
    if golden_id is not None:
        return {"golden_id": golden_id}
    if record is not None:
        key = record_key(record)
        return {"record": {"channel": key.channel, "source_id": key.source_id}}
    kind, _, value = from_argument(contact or "").partition(":")
    if kind not in {"email", "phone"} or not value:
        raise CommandError("a contact is named email:VALUE or phone:VALUE")
    return {"contact": {"type": kind, "value": value}}


@app.command()
def due(
    within: Annotated[int, typer.Option("--within", metavar="DAYS", min=1, max=366)] = RENEWAL_DAYS,
    after: Annotated[int, typer.Option("--after", min=-1)] = -1,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 100,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List permissions that end soon, for people to be asked again; never of whoever denied."""
    from api.consents import list_renewals

    with services() as opened:
        who = caller(opened, as_client, "see what to ask again", None)
        answer = list_renewals(opened, who, within, after, limit).model_dump(exclude_none=True)
    lines = [
        f"{each['golden_id']}  {each['purpose']} until {each['expires_at']}, event {each['event']}"
        for each in answer["renewals"]
    ]
    show(answer, as_json=as_json, text="\n".join(lines))
    if "next" in answer and not as_json:
        note(f"more: --after {answer['next']}")
