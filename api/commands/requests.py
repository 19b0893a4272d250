"""`aurea request`: data-subject requests, for privacy officers."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from api.commands.frame import (
    AsClient,
    CommandError,
    Json,
    WrongUsageError,
    caller,
    checked,
    from_argument,
    note,
    record_key,
    services,
    show,
)
from consent.request_rules import AskedType, HoldReason, State

app = typer.Typer(help="Data-subject requests: access, erasure and the others.", no_args_is_help=True)

RequestId = Annotated[str, typer.Argument(metavar="ID")]
HANDLE = "handle requests"


@app.callback()
def group() -> None:
    """Open, verify, decide and fulfil data-subject requests."""


@app.command("open")
def open_it(
    kind: Annotated[
        AskedType, typer.Argument(metavar="TYPE", help="access, erasure, ..., know, delete, ...")
    ],
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", metavar="J", help="EU, DE, DE-BY, US-CA")],
    identifier: Annotated[
        list[str], typer.Option("--identifier", metavar="TYPE:VALUE|-", help="Who it is; repeat it.")
    ],
    purpose: Annotated[list[str] | None, typer.Option("--purpose", metavar="P")] = None,
    correct: Annotated[
        list[str] | None, typer.Option("--correct", metavar="ATTRIBUTE=VALUE|-", help="Rectification.")
    ] = None,
    received_at: Annotated[str | None, typer.Option("--received-at", metavar="TIME", help="RFC 3339")] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Open a request; prints its id and its deadlines."""
    from api.request_schemas import RequestIn
    from api.requests import open_request

    asked = checked(
        RequestIn,
        {
            "type": kind,
            "jurisdiction": jurisdiction,
            "received_at": received_at,
            "identifiers": [_identifier(each) for each in identifier],
            "purposes": purpose or [],
            "corrections": _corrections(correct or []),
        },
    )
    with services() as opened:
        who = caller(opened, as_client, HANDLE, None)
        _print(open_request(opened, who, asked).model_dump(exclude_none=True), as_json=as_json)


@app.command()
def verify(
    request_id: RequestId,
    method: Annotated[str, typer.Option("--method", metavar="M", help="How, as `email link`.")],
    outcome: Annotated[Literal["verified", "failed"], typer.Option("--outcome")],
    evidence: Annotated[str | None, typer.Option("--evidence", metavar="TEXT|-", help="Kept sealed.")] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Record an attempt to verify the requester; the third that fails denies the request."""
    from api.request_schemas import VerifyIn
    from api.requests import verify_request

    kept = None if evidence is None else from_argument(evidence)
    said = checked(VerifyIn, {"method": method, "outcome": outcome, "evidence": kept})
    with services() as opened:
        who = caller(opened, as_client, HANDLE, None)
        answer = verify_request(opened, who, request_id, said)
    _print(answer.model_dump(exclude_none=True), as_json=as_json)


@app.command()
def decide(
    request_id: RequestId,
    decision: Annotated[Literal["approve", "deny", "extend", "cancel"], typer.Argument()],
    reason: Annotated[str | None, typer.Option("--reason", help="To deny or to extend.")] = None,
    member: Annotated[
        list[int] | None, typer.Option("--member", metavar="RECORD", help="The records; repeat it.")
    ] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Approve a request, deny, extend or cancel it."""
    from api.request_schemas import DecideIn
    from api.requests import decide_request

    said = checked(DecideIn, {"decision": decision, "reason": reason, "members": member or None})
    with services() as opened:
        who = caller(opened, as_client, HANDLE, None)
        answer = decide_request(opened, who, request_id, said)
    _print(answer.model_dump(exclude_none=True), as_json=as_json)


@app.command()
def fulfil(request_id: RequestId, as_client: AsClient = None, as_json: Json = False) -> None:
    """Do what an approved request asks for, and close it."""
    from api.requests import fulfil_request

    with services() as opened:
        answer = fulfil_request(opened, caller(opened, as_client, HANDLE, None), request_id)
    _print(answer.model_dump(exclude_none=True), as_json=as_json)


@app.command()
def settle(
    request_id: RequestId,
    record: Annotated[int, typer.Argument(metavar="RECORD", help="Its number.")],
    outcome: Annotated[Literal["theirs", "not_theirs"], typer.Argument()],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Settle whose a record is that an erasure left out as doubtful: erased as well, or served again."""
    from api.request_schemas import SettleIn
    from api.requests import settle_held

    said = checked(SettleIn, {"record": record, "outcome": outcome})
    with services() as opened:
        answer = settle_held(opened, caller(opened, as_client, HANDLE, None), request_id, said)
    _print(answer.model_dump(exclude_none=True), as_json=as_json)


@app.command()
def hold(
    subject: Annotated[str, typer.Argument(metavar="CHANNEL:SOURCE_ID|GOLDEN_ID|-")],
    reason: Annotated[HoldReason, typer.Option("--reason", help="Why the law has it kept.")],
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="RFC 3339")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="A", help="Those that are meant; repeat it.")
    ] = None,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Declare that the law has records kept: they are neither deleted nor erased while the hold stands."""
    from api.hold_schemas import HoldIn
    from api.holding import declare_hold

    named = from_argument(subject)
    about: dict[str, Any] = {"golden_id": named}
    if ":" in named:
        key = record_key(named)
        about = {"record": {"channel": key.channel, "source_id": key.source_id}}
    said = {"subject": about, "reason": reason, "until": until, "attributes": attribute or []}
    with services() as opened:
        who = caller(opened, as_client, HANDLE, None)
        answer = declare_hold(opened, who, checked(HoldIn, said)).model_dump(exclude_none=True)
    show(answer, as_json=as_json, text="\n".join(_hold(each) for each in answer["holds"]))


@app.command()
def lift(
    number: Annotated[int, typer.Argument(metavar="HOLD", min=1)],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Lift a hold; an erasure that it stopped goes on."""
    from api.holding import lift_hold

    with services() as opened:
        lifted = lift_hold(opened, caller(opened, as_client, HANDLE, None), number)
    answer = lifted.model_dump(exclude_none=True)
    text = f"{_hold(answer['hold'])}\n{answer['erased']} records erased that were waiting for it"
    show(answer, as_json=as_json, text=text)


@app.command()
def holds(
    after: Annotated[int, typer.Option("--after", min=0)] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    lifted: Annotated[bool, typer.Option("--lifted", help="Those that are over too.")] = False,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List what must be kept, and what is not served until somebody settles whose it is."""
    from api.holding import list_holds

    with services() as opened:
        caller(opened, as_client, "read requests", None)
        answer = list_holds(opened, after, limit, lifted=lifted).model_dump(exclude_none=True)
    show(answer, as_json=as_json, text="\n".join(_hold(each) for each in answer["holds"]))
    if "next" in answer and not as_json:
        note(f"more: --after {answer['next']}")


@app.command()
def bundle(
    request_id: RequestId,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.pdf|.json", help="Readable by its owner only.")],
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """Write the bundle of an access or portability request; the look is logged."""
    from api.requests import bundle_file, bundle_of

    if out.suffix not in {".pdf", ".json"}:
        raise WrongUsageError("--out: name a file that ends in .pdf or .json")
    form: Literal["json", "pdf"] = "pdf" if out.suffix == ".pdf" else "json"
    with services() as opened:
        found = bundle_of(opened, caller(opened, as_client, HANDLE, None), request_id)
    content = bundle_file(found, form)
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{out.name} exists: name another file") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    show({"file": out.name, "bytes": len(content)}, as_json=as_json)


@app.command("show")
def show_it(request_id: RequestId, as_client: AsClient = None, as_json: Json = False) -> None:
    """Show a request, the records it leads to with their evidence, and every step."""
    from api.requests import show_request

    with services() as opened:
        answer = show_request(opened, caller(opened, as_client, "read requests", None), request_id)
    _print(answer.model_dump(exclude_none=True), as_json=as_json)


@app.command("list")
def list_them(
    state: Annotated[State | None, typer.Option("--state")] = None,
    after: Annotated[int, typer.Option("--after", min=0)] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    as_client: AsClient = None,
    as_json: Json = False,
) -> None:
    """List requests in the order in which they were opened."""
    from api.requests import list_requests

    with services() as opened:
        who = caller(opened, as_client, "read requests", None)
        answer = list_requests(opened, who, state, after, limit).model_dump(exclude_none=True)
    lines = [
        f"{each['id']}  {each['type']:<14}{each['state']:<12}by {each['answer_by']}"
        + ("  overdue" if each["overdue"] else "")
        for each in answer["requests"]
    ]
    show(answer, as_json=as_json, text="\n".join(lines))
    if "next" in answer and not as_json:
        note(f"more: --after {answer['next']}")


def _hold(each: dict[str, Any]) -> str:
    said = f"hold {each['hold']} on record {each['record']}: {each['kind']}, {each['reason']}"
    said += f", until {each['until']}" if "until" in each else ""
    said += f", met by {each['request']}" if "request" in each else ""
    return said + (f", lifted {each['lifted_at']}" if "lifted_at" in each else "")


def _identifier(argument: str) -> dict[str, str]:
    kind, _, value = from_argument(argument).partition(":")
    return {"type": kind, "value": value}


def _corrections(arguments: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, value = from_argument(argument).partition("=")
        if not equals:
            raise WrongUsageError("--correct: write ATTRIBUTE=VALUE")
        found.setdefault(name, []).append(value)
    return found


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    lines = [f"{answer['id']}: {answer['type']}, {answer['state']}, answer by {answer['answer_by']}"]
    lines += [
        f"  record {each['record']} of {each['channel']}: {each['status']}, {each['confidence']:.6f}"
        + (f", carries {', '.join(each['carries'])}" if each["carries"] else "")
        for each in answer.get("members", ())
    ]
    lines += [
        f"  {each['recorded_at']} {each['step']} by {each['client']}"
        + (f" ({each['detail']})" if "detail" in each else "")
        for each in answer.get("steps", ())
    ]
    show(answer, as_json=as_json, text="\n".join(lines))
