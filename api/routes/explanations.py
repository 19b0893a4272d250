"""Explanations: evidence for stewards, plain words for the person concerned. Never a value."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.explanation import explain_pair
from api.explanation_schemas import (
    ExplanationIn,
    GoldenExplanation,
    PairExplanation,
    PlainExplanation,
    RecordRefIn,
)
from api.golden_explanation import explain_golden, explain_plainly
from api.problems import NOT_FOUND, ProblemError
from api.schemas import problems
from api.services import Services
from identity.records import RecordKey

router = APIRouter(tags=["explanations"])

Steward = Annotated[Caller, Depends(permit("explain links"))]
Officer = Annotated[Caller, Depends(permit("explain to people"))]


@router.post("/v1/explanations", responses=problems(401, 403, 404, 413, 422, 503))
def explain_two_records(body: ExplanationIn, caller: Steward, services: ServicesOf) -> PairExplanation:
    """Tell why two records are, or are not, one person: the waterfall of their match weight and the path."""
    return explain_pair(services, caller, _named(body.first), _named(body.second))


@router.get("/v1/golden-ids/{golden_id}/explanation", responses=problems(401, 403, 404))
def explain_golden_id(golden_id: str, caller: Steward, services: ServicesOf) -> GoldenExplanation:
    """Tell what holds a golden ID together: the links of its best paths, the weakest one, bridges."""
    return explain_golden(services, caller, _active(services, caller, golden_id))


@router.get("/v1/golden-ids/{golden_id}/plain-explanation", responses=problems(401, 403, 404, 503))
def explain_in_plain_words(golden_id: str, caller: Officer, services: ServicesOf) -> PlainExplanation:
    """Tell, for the person concerned, the logic by which the person's records were joined. Logged."""
    return explain_plainly(services, caller, _active(services, caller, golden_id))


def _named(reference: RecordRefIn) -> RecordKey | int:
    if reference.record is not None:
        return RecordKey(reference.record.channel, reference.record.source_id)
    return reference.number or 0  # the model lets nothing else through


def _active(services: Services, caller: Caller, golden_id: str) -> int:
    """Return the active golden number that answers for this ID. Raises a 404 problem if none does."""
    with services.db.read() as conn:
        view = services.memberships.resolve(conn, services.names.meant(caller, golden_id))
    if view is None or view.final.status != "active":
        raise ProblemError(NOT_FOUND)
    return view.final.golden_no
