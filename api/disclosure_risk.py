"""What a wrong merge would disclose: whose purposes, and which consumers, would see two people as one.

A dry run asks for every merge it would make: were it wrong, who could read one person's data as another's?
Decided with the rules that profiles are read by, over the records as if each were sure; nothing is opened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from api.store import consumer_purposes
from consent.permission import permission
from consent.purposes import Purpose
from identity.model_comparison import Merge

if TYPE_CHECKING:
    from api.services import Services


def disclosure_risk(services: "Services", merges: Sequence[Merge]) -> Mapping[str, Any]:
    """Return what these merges would open if they were wrong; counts of merges, purposes and clients.

    `exposed`: merges that at least one purpose could read; `purposes`: by purpose, merges it could read;
    `consumers`: clients that may name one of these purposes; `most_purposes` and `most_consumers`: of the
    worst single merge.
    """
    now = services.clock()
    with services.db.read() as conn:
        clients = consumer_purposes(conn)
    opened = [_opened_by(services, merge, now) for merge in merges]
    readers = [sum(not found.isdisjoint(purposes) for purposes in clients) for found in opened]
    by_purpose = Counter(purpose for found in opened for purpose in found)
    return {
        "merges": len(merges),
        "exposed": sum(bool(found) for found in opened),
        "purposes": dict(sorted(by_purpose.items())),
        "consumers": sum(not by_purpose.keys().isdisjoint(purposes) for purposes in clients),
        "most_purposes": max(map(len, opened), default=0),
        "most_consumers": max(readers, default=0),
    }


def _opened_by(services: "Services", merge: Merge, now: int) -> set[str]:
    """Return the purposes for which a profile would show records of more than one part of `merge`."""
    part_of = {record_no: number for number, part in enumerate(merge) for record_no in part}
    person = services.people.of_records(sorted(part_of), now)
    return {
        purpose.name
        for purpose in services.purposes
        if _serves(purpose)
        and (found := permission(person.members, person.evidence, purpose)).decision.allowed
        and len({part_of[member.record_no] for member in found.view}) > 1
    }


def _serves(purpose: Purpose) -> bool:
    return bool(purpose.attributes or purpose.traits)
