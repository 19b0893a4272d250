"""Links of `/openapi.json`: which answer has what another operation asks for (OpenAPI 3.1, 4.8.20)."""

from typing import Any, Final

_REQUEST: Final = "$response.body#/id"
_RECORD: Final = "$response.body#/results/0/golden_id"
_FOUND: Final = "$response.body#/golden_id"
_EVENT: Final = "$response.body#/event"

# (operation, its status, the operation that goes on, its parameter, where the value stands)
_LINKS: Final = (
    ("POST /v1/records", "200", "GET /v1/golden-ids/{golden_id}", "golden_id", _RECORD),
    ("POST /v1/records", "200", "GET /v1/golden-ids/{golden_id}/explanation", "golden_id", _RECORD),
    ("POST /v1/records", "200", "GET /v1/golden-ids/{golden_id}/plain-explanation", "golden_id", _RECORD),
    ("POST /v1/records", "200", "GET /v1/profiles/{golden_id}", "golden_id", _RECORD),
    ("POST /v1/profiles/lookup", "200", "GET /v1/profiles/{golden_id}", "golden_id", _FOUND),
    ("POST /v1/consents", "201", "GET /v1/consents/events/{n}/receipt", "n", _EVENT),
    ("POST /v1/consents", "201", "GET /v1/ledger/entries/{n}/proof", "n", _EVENT),
    ("POST /v1/requests", "201", "GET /v1/requests/{id}", "id", _REQUEST),
    ("POST /v1/requests", "201", "POST /v1/requests/{id}/verify", "id", _REQUEST),
    ("POST /v1/requests/{id}/verify", "200", "POST /v1/requests/{id}/decide", "id", _REQUEST),
    ("POST /v1/requests/{id}/decide", "200", "POST /v1/requests/{id}/fulfil", "id", _REQUEST),
    ("POST /v1/requests/{id}/fulfil", "200", "GET /v1/requests/{id}/bundle", "id", _REQUEST),
    ("POST /v1/requests/{id}/fulfil", "200", "POST /v1/requests/{id}/settle", "id", _REQUEST),
    ("POST /v1/holds", "201", "POST /v1/holds/{id}/lift", "id", "$response.body#/holds/0/hold"),
    ("POST /v1/judgements", "201", "POST /v1/judgements/{judgement}/undo", "judgement",
     "$response.body#/judgement"),
    ("GET /v1/changes", "200", "GET /v1/changes", "after", "$response.body#/next"),
    ("GET /v1/reviews", "200", "GET /v1/reviews", "after", "$response.body#/next"),
    ("GET /v1/ledger/checkpoint", "200", "GET /v1/ledger/consistency", "second", "$response.body#/size"),
    ("POST /opendsr/v2/requests", "201", "GET /opendsr/v2/requests/{id}", "id",
     "$response.body#/subject_request_id"),
    ("POST /opendsr/v2/requests", "201", "DELETE /opendsr/v2/requests/{id}", "id",
     "$response.body#/subject_request_id"),
)  # fmt: skip


def link(document: dict[str, Any]) -> None:
    """Add the links to an OpenAPI document. Raises KeyError for one that leads nowhere."""
    for source, status, target, parameter, value in _LINKS:
        answer = _operation(document, source)["responses"][status]
        following = _operation(document, target)["operationId"]
        answer.setdefault("links", {})[f"{following}.{parameter}"] = {
            "operationId": following,
            "parameters": {parameter: value},
        }


def _operation(document: dict[str, Any], name: str) -> dict[str, Any]:
    method, _, path = name.partition(" ")
    operation: dict[str, Any] = document["paths"][path][method.lower()]
    return operation
