"""A person's profile for a caller: the door's answer in the caller's names, and what it was told noted."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from starlette.concurrency import run_in_threadpool

from api.auth import Caller
from api.observability import DECISIONS
from api.people_quota import Tell
from api.problems import FORBIDDEN_ROLE, NOT_FOUND, Problem, ProblemError
from api.profile_schemas import Profile
from api.times import rfc3339
from consent.answers import Answer, RevealRequest, Scattered
from consent.answers import Profile as Revealed
from consent.lookup import Identifier

if TYPE_CHECKING:
    from api.services import Services

SPLIT: Final = Problem(
    409, "split", "This golden ID was split", "Its records went to the golden IDs in `successors`."
)
SHARED: Final = Problem(
    409, "shared-identifier", "Several people share this", "Add an identifier that tells them apart."
)
NOT_FOUND_STEP: Final = 0.025
"""Seconds. What is not found is answered a whole number of these after the request came, whatever the cause:
the unknown, the erased, the restricted and the not permitted cannot be told apart by the time it takes."""
_CONFIDENCE_DECIMALS: Final = 6


def read_profile(services: "Services", caller: Caller, golden_id: str, purpose: str) -> Profile:
    """Return the profile of `golden_id`. Raises a 404 problem, or a 409 with the successors."""
    return _now(services, caller, by_id(services, caller, golden_id, purpose))


def find_profile(
    services: "Services", caller: Caller, identifiers: Sequence[Identifier], purpose: str
) -> Profile:
    """Return the profile of the one person whom all `identifiers` fit. Raises a 404 problem."""
    return _now(services, caller, by_identifiers(caller, identifiers, purpose))


def by_id(
    services: "Services", caller: Caller, golden_id: str, purpose: str, *, opted_out: bool = False
) -> RevealRequest:
    """Return what asks the door for the person whom `caller` knows by `golden_id`."""
    meant = services.names.meant(caller, golden_id)
    return RevealRequest(purpose, caller.client_id, golden_id=meant, opted_out=opted_out)


def by_identifiers(
    caller: Caller, identifiers: Sequence[Identifier], purpose: str, *, opted_out: bool = False
) -> RevealRequest:
    """Return what asks the door for the one person whom all `identifiers` fit."""
    return RevealRequest(purpose, caller.client_id, identifiers=tuple(identifiers), opted_out=opted_out)


async def answers(
    services: "Services", caller: Caller, requests: Sequence[RevealRequest], since: float
) -> list[dict[str, Any] | ProblemError]:
    """Answer requests for one purpose, each with a profile as JSON has it, or with why there is none.

    `since` is when the requests came, by `time.perf_counter`. If anybody is not found it takes until the next
    NOT_FOUND_STEP.
    """
    if not services.db.is_sqlite:
        found = await run_in_threadpool(_reveal, services, caller, requests, services.clock())
    elif caller.quota is None:
        found = await _revealed(services, caller, requests, lambda _: None)
    else:
        async with services.quota.reserved_soon(caller, len(requests)) as count:  # 429 before any look-up
            found = await _revealed(services, caller, requests, count)
    return await _in_step(services, caller, requests, found, since)


async def _revealed(
    services: "Services", caller: Caller, requests: Sequence[RevealRequest], count: Tell
) -> list[Answer]:
    """Ask the door on the event loop, since readers of SQLite wait for nobody."""

    def noted(golden_nos: Sequence[int]) -> Awaitable[None] | None:
        count(golden_nos)  # with the disclosure, so that a part that fails later leaves none uncounted
        return services.disclosures.noted(caller, golden_nos)

    return await services.door.revealed(requests, services.clock(), noted)


async def _in_step(
    services: "Services",
    caller: Caller,
    requests: Sequence[RevealRequest],
    found: Sequence[Answer],
    since: float,
) -> list[dict[str, Any] | ProblemError]:
    _count(requests[0].purpose, found)
    answered = [_shown(services, caller, result) for result in found]
    if any(isinstance(each, ProblemError) and each.problem is NOT_FOUND for each in answered):
        await asyncio.sleep(NOT_FOUND_STEP - (time.perf_counter() - since) % NOT_FOUND_STEP)
    return answered


def refuse_steward(
    services: "Services", caller: Caller, identifiers: Sequence[Identifier], purpose: str
) -> NoReturn:
    """Tell a steward that several people share the identifiers (409 problem), and nothing else (403)."""
    people = services.door.sharing(by_identifiers(caller, identifiers, purpose), services.clock())
    if people > 1:
        raise ProblemError(SHARED, extra={"people": people})
    raise ProblemError(FORBIDDEN_ROLE)


def _now(services: "Services", caller: Caller, request: RevealRequest) -> Profile:
    (result,) = _reveal(services, caller, [request], services.clock())
    _count(request.purpose, [result])
    answer = _shown(services, caller, result)
    if isinstance(answer, ProblemError):
        raise answer
    return Profile(**answer)


def _reveal(
    services: "Services", caller: Caller, requests: Sequence[RevealRequest], now: int
) -> list[Answer]:
    with services.quota.reserved(caller, len(requests)) as count:  # 429 before anybody is looked up
        while True:
            head = _head(services)
            found = services.door.reveal_each(requests, now)
            named = _named(found)
            new = services.disclosures.note(caller, named)
            count(named)
            # Of what happened before it was noted, the feed does not tell this caller: then it is read again.
            if not new or _head(services) == head:
                return found


def _head(services: "Services") -> str | None:
    with services.db.snapshot(single=True) as conn:
        return services.memberships.head(conn)


def _named(found: Sequence[Answer]) -> list[int]:
    """Return whom the answers name."""
    named = [result.golden_nos for result in found if isinstance(result, Scattered)]
    named += [(result.golden_no,) for result in found if isinstance(result, Revealed)]
    return [no for numbers in named for no in numbers]


def _count(purpose: str, found: Sequence[Answer]) -> None:
    # Metrics can be read without a token, so they count what the status code tells and no more.
    answered = sum(isinstance(result, Revealed) for result in found)
    for outcome, times in (("answered", answered), ("not answered", len(found) - answered)):
        if times:
            DECISIONS.labels(purpose, outcome).inc(times)


def _shown(services: "Services", caller: Caller, result: Answer) -> dict[str, Any] | ProblemError:
    if isinstance(result, Scattered):
        successors = [services.names.shown(caller, successor) for successor in result.successors]
        return ProblemError(SPLIT, extra={"successors": successors})
    if not isinstance(result, Revealed):
        return ProblemError(NOT_FOUND)
    return _profile(services, caller, result)


def _profile(services: "Services", caller: Caller, profile: Revealed) -> dict[str, Any]:
    """Return the fields of `schemas.Profile`, as its JSON has them."""
    names = services.names
    shown: dict[str, Any] = {"golden_id": names.shown(caller, profile.golden_id)}
    if profile.requested_id is not None:
        shown["requested_id"] = names.shown(caller, profile.requested_id)
    shown |= {
        "purpose": profile.purpose,
        "as_of": rfc3339(profile.as_of),
        "confidence": round(profile.confidence, _CONFIDENCE_DECIMALS),
        "attributes": profile.attributes,
        "traits": profile.traits,
        "withheld": profile.withheld,
        "channels": profile.channels,
        "records": profile.records,
    }
    if profile.household is not None:
        shown["household"] = names.shown_household(caller, profile.household)
    return shown
