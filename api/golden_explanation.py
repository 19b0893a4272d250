"""What holds a golden ID together: for stewards in bits, for the person concerned in plain words.

What is explained to a person concerns that person's own records alone. The look is in the access log before
a record is opened.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.explanation_reading import (
    channels_of,
    links_among,
    log_look,
    members_of,
    number_of,
    opened_records,
)
from api.explanation_schemas import GoldenExplanation, PlainExplanation, PlainLinkOut
from identity.evidence import explain_weights
from identity.explanation import LOGIC, PlainLink, Waterfall, plain_link
from identity.hysteresis import MARGIN
from identity.link_graph import Edge, cohesion, spanning_forest
from identity.model import Model
from identity.records import RecordKey

if TYPE_CHECKING:
    from api.auth import Caller
    from api.services import Services


def explain_golden(services: "Services", caller: "Caller", golden_no: int) -> GoldenExplanation:
    """Return what holds an active golden ID together. Nothing is opened."""
    with services.db.read() as conn:
        name = services.memberships.names(conn, [golden_no])[golden_no]
        members = members_of(services, conn, golden_no)
        edges = links_among(services, conn, members)
    scoring = services.resolver.scoring()
    model = None if scoring is None else scoring[0]
    return golden_out(services.names.shown(caller, name), members, edges, model)


def explain_plainly(services: "Services", caller: "Caller", golden_no: int) -> PlainExplanation:
    """Return, for the person concerned, why that person's records were joined. Raises AccessLogError."""
    with services.db.read() as conn:
        name = services.memberships.names(conn, [golden_no])[golden_no]
        members = members_of(services, conn, golden_no)
    log_look(services, caller, golden_no, members)
    links = [
        PlainLinkOut(
            channels=list(link.channels),
            certainty=link.certainty,
            speaks_for=list(link.speaks_for),
            speaks_against=list(link.speaks_against),
        )
        for link in plain_links(services, members)
    ]
    shown = services.names.shown(caller, name)
    return PlainExplanation(golden_id=shown, records=len(members), logic=LOGIC, links=links)


def golden_of(services: "Services", named: RecordKey | int) -> int | None:
    """Return the golden number of a record, None if it has none yet. Raises UnknownSubjectError."""
    number = number_of(services, named)
    with services.db.read() as conn:
        return services.memberships.golden_of(conn, number)


def plain_links(services: "Services", record_nos: Sequence[int]) -> list[PlainLink]:
    """Return why these records, all of one person, were joined: the best paths, in plain words.

    Only links between two of `record_nos` are told, so that nobody else's record shows: give those that
    the person was verified for. The caller logs the access.
    """
    with services.db.read() as conn:
        channels = channels_of(conn, record_nos)
        edges = spanning_forest(links_among(services, conn, record_nos))
    told = [edge for edge in edges if edge[0] in channels and edge[1] in channels]
    waterfalls = _waterfalls(services, told)
    return [plain_link((channels[a], channels[b]), waterfalls.get((a, b)), weight) for a, b, weight in told]


def golden_out(
    golden_id: str, members: Sequence[int], edges: Sequence[Edge], model: Model | None
) -> GoldenExplanation:
    """Weigh the links that join; weaker ones are kept for other purposes and hold nothing together."""
    joining = [edge for edge in edges if model is None or edge[2] >= model.threshold - MARGIN]
    return GoldenExplanation.of(golden_id, len(members), spanning_forest(joining), cohesion(joining))


def _waterfalls(services: "Services", links: Sequence[Edge]) -> dict[tuple[int, int], Waterfall]:
    """Return the waterfall of each link between two records that may be linked."""
    scoring = services.resolver.scoring()
    opened = opened_records(services, sorted({end for a, b, _ in links for end in (a, b)}))
    pairs = [(a, b) for a, b, _ in links if a in opened and b in opened]
    if scoring is None or not pairs:
        return {}
    found = explain_weights(scoring[1], [(opened[a], opened[b]) for a, b in pairs])
    return dict(zip(pairs, found, strict=True))
