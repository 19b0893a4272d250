"""GET /v1/golden-ids/{golden_id}: status, lineage and members, for stewards and officers."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import Connection

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.explanation_reading import channels_of
from api.problems import NOT_FOUND, ProblemError
from api.schemas import GoldenIdOut, LineageStep, Member, problems
from api.services import Services
from identity.household_store import HouseholdReader
from identity.store import GoldenView

router = APIRouter(tags=["golden ids"])
_SEES_ERASED = ("officer", "auditor")
_SEES_MEMBERS = ("steward", "officer")

Inspector = Annotated[Caller, Depends(permit("inspect golden ids"))]


@router.get("/v1/golden-ids/{golden_id}", responses=problems(401, 403, 404))
def inspect_golden_id(golden_id: str, caller: Inspector, services: ServicesOf) -> GoldenIdOut:
    """Tell what a golden ID is now and how it came to be so. Shows record numbers, never values."""
    meant = services.names.meant(caller, golden_id)
    with services.db.read() as conn:
        view = services.memberships.resolve(conn, meant)
        if view is None or (view.status == "erased" and caller.role not in _SEES_ERASED):
            raise ProblemError(NOT_FOUND)
        return _answer(conn, services, caller, view)


def _answer(conn: Connection, services: Services, caller: Caller, view: GoldenView) -> GoldenIdOut:
    def shown(golden_id: str) -> str:
        return services.names.shown(caller, golden_id)

    lineage = [
        LineageStep(golden_id=shown(step.golden_id), relation=step.relation, other=shown(step.other))
        for step in services.memberships.lineage(conn, view.golden_no)
    ]
    return GoldenIdOut(
        golden_id=shown(view.golden_id),
        status=view.status,
        redirect=shown(view.final.golden_id) if view.redirect is not None else None,
        successors=[shown(successor) for successor in view.successors],
        lineage=lineage,
        members=_members(conn, services, caller, view) if caller.role in _SEES_MEMBERS else None,
    )


def _members(conn: Connection, services: Services, caller: Caller, view: GoldenView) -> list[Member]:
    members = services.memberships.members(conn, view.golden_no)
    numbers = [member.record_no for member in members]
    channels, homes = channels_of(conn, numbers), _homes(conn, services, caller, numbers)
    return [
        Member(
            record=each.record_no,
            channel=channels[each.record_no],
            confidence=round(each.confidence, 6),
            household=homes.get(each.record_no),
        )
        for each in members
        if each.record_no in channels  # deleted between the two stores' clean-up steps
    ]


def _homes(conn: Connection, services: Services, caller: Caller, record_nos: Sequence[int]) -> dict[int, str]:
    """Return the household ID that each of these records gives, as `caller` knows it."""
    reader = HouseholdReader()
    found = reader.of_records(conn, record_nos)
    names = {
        number: services.names.shown_household(caller, reader.name(conn, number))
        for number in set(found.values())
    }
    return {record_no: names[number] for record_no, number in found.items()}
