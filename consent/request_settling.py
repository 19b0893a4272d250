"""What became later of a record that an erasure had left, stated once in the outcome of its request."""

from dataclasses import replace
from typing import Any

from consent import request_store
from consent.errors import UnknownRequestError
from consent.request_store import Step, StoredRequest
from identity.database import Database


def settle(db: Database, request_id: str, said: dict[str, Any], *, client: str, now: int) -> StoredRequest:
    """Add `said` to the outcome, unless the record is settled, and return the request.

    Raises UnknownRequestError.
    """
    with db.write() as conn:
        request = request_store.find(conn, request_id)
        if request is None:
            raise UnknownRequestError("there is no such request")
        if said["record"] in settled(request):
            return request
        outcome = dict(request.outcome or {})
        outcome["settled"] = [*outcome.get("settled", ()), said]
        changed = replace(request, outcome=outcome)
        request_store.save(conn, changed)
        step = Step("settled", client, now, str(said["record"]))
        request_store.add_step(conn, request.request_no, step)
    return changed


def settled(request: StoredRequest) -> set[int]:
    """Return the records that were erased, or let go, but not those that a later hold kept after all."""
    said = (request.outcome or {}).get("settled", ())
    return {each["record"] for each in said if each["outcome"] != "kept"}
