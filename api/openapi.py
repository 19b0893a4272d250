"""`/openapi.json`: the framework's description, with the errors this service really answers with."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.openapi_links import link
from api.schemas import ProblemBody, problems


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of `app`; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        _name_nested(document)
        _use_problems(document)
        link(document)
        app.openapi_schema = document
    return app.openapi_schema


def _use_problems(document: dict[str, Any]) -> None:
    """Describe 422 as a problem too: the framework's own form would repeat what was sent."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemBody"] = ProblemBody.model_json_schema()
    for operations in document["paths"].values():
        for operation in operations.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = problems(422)[422]
            if "requestBody" in operation:  # bytes that are no text
                operation["responses"].setdefault("400", problems(400)[400])


def _name_nested(document: dict[str, Any]) -> None:
    """Move what a body's schema defines for itself to where its references are looked up."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                document["components"]["schemas"].update(content["schema"].pop("$defs", {}))
