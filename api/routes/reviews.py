"""The review queue and judgements: stewards decide what scores do not. Record numbers, never values."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.problems import ProblemError, problem_of
from api.review_schemas import (
    MAX_JUDGEMENTS,
    MAX_REVIEWS,
    ConflictsOut,
    DecidedOut,
    JudgementIn,
    JudgementsOut,
    PairOut,
    ReviewsOut,
    ReviewState,
    UndoIn,
)
from api.reviewing import decide, list_conflicts, list_judgements, list_reviews, show_pair, undo
from api.schemas import problems
from identity.errors import ContradictionError

router = APIRouter(tags=["review"])

Steward = Annotated[Caller, Depends(permit("review links"))]
Reader = Annotated[Caller, Depends(permit("read judgements"))]
Number = Annotated[int, Path(ge=1, lt=2**62)]


@router.get("/v1/reviews", responses=problems(401, 403, 422))
def read_queue(
    caller: Steward,
    services: ServicesOf,
    state: ReviewState = "open",
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_REVIEWS)] = 50,
) -> ReviewsOut:
    """List the pairs that wait for a decision, the most likely matches first, or those decided so."""
    return list_reviews(services, caller, state, after, limit)


@router.get("/v1/conflicts", responses=problems(401, 403, 422))
def read_conflicts(
    caller: Steward,
    services: ServicesOf,
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_REVIEWS)] = 50,
) -> ConflictsOut:
    """List the purposes that stay denied because records of one person contradict each other."""
    return list_conflicts(services, caller, after, limit)


@router.get("/v1/reviews/{first}/{second}", responses=problems(401, 403, 404, 422))
def read_pair(first: Number, second: Number, caller: Steward, services: ServicesOf) -> PairOut:
    """Tell what is known of two records, by number: the question and every decision so far."""
    return show_pair(services, caller, (first, second))


@router.get("/v1/judgements", responses=problems(401, 403, 422))
def read_judgements(
    _caller: Reader,
    services: ServicesOf,
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_JUDGEMENTS)] = 100,
) -> JudgementsOut:
    """List decisions in the order in which they were made, with who made them and why."""
    return list_judgements(services, after, limit)


@router.post("/v1/judgements", status_code=201, responses=problems(401, 403, 404, 409, 413, 422, 503))
def judge(body: JudgementIn, caller: Steward, services: ServicesOf) -> DecidedOut:
    """Decide about two records: effective at once and in every rerun. A contradiction is 409."""
    try:
        return decide(services, caller, body)
    except ContradictionError as error:
        extra = {"judgements": list(error.judgements)}
        raise ProblemError(problem_of(error), extra=extra) from None


@router.post(
    "/v1/judgements/{judgement}/undo", status_code=201, responses=problems(401, 403, 409, 413, 422, 503)
)
def take_back(judgement: Number, body: UndoIn, caller: Steward, services: ServicesOf) -> DecidedOut:
    """Take a decision back: the two records are left to their score again, at once."""
    return undo(services, caller, judgement, body.reason)
