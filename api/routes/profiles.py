"""Profiles: one person, or up to 1,000, for one purpose."""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import OptedOut, ServicesOf, check_purpose, opted_out_of, permit, services_of
from api.problems import INVALID, ProblemError
from api.profile_schemas import BatchLookupIn, BatchLookupOut, LookupIn, Profile
from api.profile_schemas import Identifier as IdentifierIn
from api.profiles import answers, by_id, by_identifiers, refuse_steward
from api.schemas import problems
from api.services import Services
from consent.lookup import Identifier

router = APIRouter(tags=["profiles"])
_reader = permit("read profiles")
Reader = Annotated[Caller, Depends(_reader)]
Seeker = Annotated[Caller, Depends(permit("look up"))]
_ANSWERS = problems(401, 403, 404, 409, 422, 503)
_LONGEST_PURPOSE: Final = 64
_PLAIN_QUERY: Final = re.compile(rb"purpose=([a-z0-9_]{1,64})")


class _Direct(APIRoute):
    """Hands the well-formed request to the endpoint below itself; anything else is the framework's to refuse.

    Solving the endpoint's dependencies costs the framework many times what reading these few parameters does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        by_the_framework = super().get_route_handler()

        async def answer(request: Request) -> Response:
            plain = _PLAIN_QUERY.fullmatch(request.scope["query_string"])
            if plain is None:
                return await by_the_framework(request)
            purpose = plain[1].decode()
            services = await services_of(request)
            caller = await _reader(request, request.headers.get("authorization") or None)
            opted_out = await opted_out_of(request.headers.get("sec-gpc"))
            golden_id = request.path_params["golden_id"]
            return await _profile(request, caller, services, golden_id, purpose, opted_out=opted_out)

        return answer


async def profile(
    golden_id: str,
    request: Request,
    caller: Reader,
    services: ServicesOf,
    *,
    opted_out: OptedOut,
    purpose: Annotated[
        str, Query(max_length=_LONGEST_PURPOSE, description="Exactly one purpose of the policy")
    ],
) -> Response:
    """Answer with what the purpose may see of the person, and what it withholds and why."""
    if len(request.query_params.getlist("purpose")) != 1:
        raise ProblemError(
            INVALID, extra={"errors": [{"field": "query.purpose", "rule": "name exactly one"}]}
        )
    return await _profile(request, caller, services, golden_id, purpose, opted_out=opted_out)


async def _profile(
    request: Request, caller: Caller, services: Services, golden_id: str, purpose: str, *, opted_out: bool
) -> Response:
    check_purpose(caller, purpose)
    asked = by_id(services, caller, golden_id, purpose, opted_out=opted_out)
    (answer,) = await answers(services, caller, [asked], since=request.scope["aurea.since"])
    return _one(answer)


router.add_api_route(
    "/v1/profiles/{golden_id}",
    profile,
    methods=["GET"],
    responses=_ANSWERS,
    response_model=Profile,
    route_class_override=_Direct,
)


@router.post("/v1/profiles/lookup", responses=_ANSWERS | problems(413), response_model=Profile)
async def lookup(
    request: Request, body: LookupIn, caller: Seeker, services: ServicesOf, opted_out: OptedOut
) -> Response:
    """Find the one person whom all identifiers fit. One that several people share finds nobody.

    A steward is told of it, 409 with how many people share it, and reads no profile (403).
    """
    check_purpose(caller, body.purpose)
    identifiers = _identifiers(body.identifiers)
    if not caller.may("read profiles"):
        await run_in_threadpool(refuse_steward, services, caller, identifiers, body.purpose)
    asked = by_identifiers(caller, identifiers, body.purpose, opted_out=opted_out)
    (answer,) = await answers(services, caller, [asked], since=request.scope["aurea.since"])
    return _one(answer)


@router.post(
    "/v1/profiles/lookup/batch",
    responses=problems(401, 403, 413, 422, 503),
    response_model=BatchLookupOut,
)
async def lookup_batch(
    request: Request, body: BatchLookupIn, caller: Reader, services: ServicesOf, opted_out: OptedOut
) -> Response:
    """Find up to 1,000 people for one purpose, each by identifiers or golden ID; results in order.

    Each result has the status and the content that the person's own request would have been answered with.
    """
    check_purpose(caller, body.purpose)
    asked = [
        by_id(services, caller, each.golden_id, body.purpose, opted_out=opted_out)
        if each.golden_id is not None
        else by_identifiers(caller, _identifiers(each.identifiers), body.purpose, opted_out=opted_out)
        for each in body.lookups
    ]
    found = await answers(services, caller, asked, since=request.scope["aurea.since"])
    results = [
        {"status": each.problem.status, **each.extra}
        if isinstance(each, ProblemError)
        else {"status": 200, "profile": each}
        for each in found
    ]
    return _json({"results": results})


def _identifiers(stated: Sequence[IdentifierIn]) -> list[Identifier]:
    return [Identifier(each.type, each.value) for each in stated]


def _one(answer: dict[str, Any] | ProblemError) -> Response:
    if isinstance(answer, ProblemError):
        raise answer
    return _json(answer)


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
