"""What the tests of erasure share: records by their source IDs, erasing them, sending them again."""

from collections.abc import Sequence
from typing import Any

from api.ingesting import ingest_files
from api.services import Services
from identity.records import RecordKey
from tests.world import World


def number(services: Services, source_id: str, channel: str = "crm") -> int | None:
    return services.writer.find(RecordKey(channel, source_id))


def numbers(services: Services, *source_ids: str) -> list[int]:
    found = [number(services, source_id) for source_id in source_ids]
    assert all(found)
    return [each for each in found if each]


def erase(world: World, *source_ids: str, request: str | None = "r_1") -> dict[str, Any]:
    services = world.services
    records = numbers(services, *source_ids)
    return services.erasure.erase(records, request_id=request, now=world.clock()).document


def count(world: World, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ingest and return the counts."""
    path = world.write_lines("again.jsonl", rows)
    return ingest_files(world.services, [path], grants=("identity_linking",)).report.as_json()
