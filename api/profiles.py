"""A person's profile for a caller: the door's answer in the caller's names, and what it was told noted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from api.auth import Caller
from api.observability import DECISIONS
from api.people_quota import Tell
from api.problems import FORBIDDEN_ROLE, NOT_FOUND, Problem, ProblemError
from api.schemas import Profile
from api.times import rfc3339
from consent.enforcement import Profile as Revealed
from consent.enforcement import RevealRequest, Scattered
from consent.lookup import Identifier

if TYPE_CHECKING:
    from api.services import Services

SPLIT: Final = Problem(
    409, "split", "This golden ID was split", "Its records went to the golden IDs in `successors`."
)
SHARED: Final = Problem(
    409, "shared-identifier", "Several people share this", "Add an identifier that tells them apart."
)
_CONFIDENCE_DECIMALS: Final = 6


def read_profile(
    services: "Services", caller: Caller, golden_id: str, purpose: str, *, opted_out: bool = False
) -> Profile:
    """Return the profile of `golden_id`. Raises a 404 problem, or a 409 with the successors."""
    meant = services.names.meant(caller, golden_id)
    request = RevealRequest(purpose, caller.client_id, golden_id=meant, opted_out=opted_out)
    return _answer(services, caller, request)


def find_profile(
    services: "Services",
    caller: Caller,
    identifiers: Sequence[Identifier],
    purpose: str,
    *,
    opted_out: bool = False,
) -> Profile:
    """Return the profile of the one person whom all `identifiers` fit. Raises a 404 problem."""
    request = RevealRequest(purpose, caller.client_id, identifiers=tuple(identifiers), opted_out=opted_out)
    return _answer(services, caller, request)


def refuse_steward(
    services: "Services", caller: Caller, identifiers: Sequence[Identifier], purpose: str
) -> NoReturn:
    """Tell a steward that several people share the identifiers (409 problem), and nothing else (403)."""
    request = RevealRequest(purpose, caller.client_id, identifiers=tuple(identifiers))
    people = services.door.sharing(request, services.clock())
    if people > 1:
        raise ProblemError(SHARED, extra={"people": people})
    raise ProblemError(FORBIDDEN_ROLE)


def _answer(services: "Services", caller: Caller, request: RevealRequest) -> Profile:
    with services.quota.reserved(caller) as count:  # 429 before anybody is looked up
        return _revealed(services, caller, request, count)


def _revealed(services: "Services", caller: Caller, request: RevealRequest, count: Tell) -> Profile:
    result = services.door.reveal(request, services.clock())
    # Metrics can be read without a token, so they count what the status code tells and no more.
    DECISIONS.labels(request.purpose, "answered" if isinstance(result, Revealed) else "not answered").inc()
    if isinstance(result, Scattered):
        services.disclosures.note(caller, result.golden_nos)
        count(result.golden_nos)
        successors = [services.names.shown(caller, successor) for successor in result.successors]
        raise ProblemError(SPLIT, extra={"successors": successors})
    if not isinstance(result, Revealed):
        raise ProblemError(NOT_FOUND)
    services.disclosures.note(caller, [result.golden_no])
    count([result.golden_no])
    return _shown(services, caller, result)


def _shown(services: "Services", caller: Caller, profile: Revealed) -> Profile:
    requested = profile.requested_id
    household = profile.household
    if household is not None:
        household = services.names.shown_household(caller, household)
    return Profile(
        golden_id=services.names.shown(caller, profile.golden_id),
        requested_id=None if requested is None else services.names.shown(caller, requested),
        purpose=profile.purpose,
        as_of=rfc3339(profile.as_of),
        confidence=round(profile.confidence, _CONFIDENCE_DECIMALS),
        attributes=dict(profile.attributes),
        traits=dict(profile.traits),
        withheld=dict(profile.withheld),
        channels=list(profile.channels),
        records=profile.records,
        household=household,
    )
