"""GET /v1/profiles/{golden_id} and POST /v1/profiles/lookup: one person, for one purpose."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.auth import Caller
from api.dependencies import OptedOut, ServicesOf, check_purpose, permit
from api.problems import INVALID, ProblemError
from api.profiles import find_profile, read_profile, refuse_steward
from api.schemas import LookupIn, Profile, problems
from consent.lookup import Identifier

router = APIRouter(tags=["profiles"])
Reader = Annotated[Caller, Depends(permit("read profiles"))]
Seeker = Annotated[Caller, Depends(permit("look up"))]
_ANSWERS = problems(401, 403, 404, 409, 422, 503)


@router.post(
    "/v1/profiles/lookup",
    responses=_ANSWERS | problems(413),
    response_model_exclude_none=True,
)
def lookup(body: LookupIn, caller: Seeker, services: ServicesOf, opted_out: OptedOut) -> Profile:
    """Find the one person whom all identifiers fit. One that several people share finds nobody.

    A steward is told of it, 409 with how many people share it, and reads no profile (403).
    """
    check_purpose(caller, body.purpose)
    identifiers = [Identifier(each.type, each.value) for each in body.identifiers]
    if not caller.may("read profiles"):
        refuse_steward(services, caller, identifiers, body.purpose)
    return find_profile(services, caller, identifiers, body.purpose, opted_out=opted_out)


@router.get("/v1/profiles/{golden_id}", responses=_ANSWERS, response_model_exclude_none=True)
def profile(
    golden_id: str,
    request: Request,
    caller: Reader,
    services: ServicesOf,
    *,
    opted_out: OptedOut,
    purpose: Annotated[str, Query(max_length=64, description="Exactly one purpose of the policy")],
) -> Profile:
    """Answer with what the purpose may see of the person, and what it withholds and why."""
    if len(request.query_params.getlist("purpose")) != 1:
        raise ProblemError(
            INVALID, extra={"errors": [{"field": "query.purpose", "rule": "name exactly one"}]}
        )
    check_purpose(caller, purpose)
    return read_profile(services, caller, golden_id, purpose, opted_out=opted_out)
