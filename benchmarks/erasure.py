"""How long it takes to erase one person, from the call to the signed receipt.

    python benchmarks/erasure.py [RECORDS]

RECORDS records (default 100,000) of made-up people are ingested, three to a person; those to be erased are
joined to golden IDs; then people are erased one after the other. `to_receipt` is the whole call: all seven
steps, keys destroyed and the write-ahead log emptied. `refused_records_per_s`: their records, sent again.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

from measure import percentiles, report

from api.ingesting import ingest_files
from api.services import Services, open_services
from api.settings import Settings
from api.stores import create_home
from identity.arriving import Arrival, ScoredCandidate
from identity.records import RecordKey

PEOPLE = 40
CHANNELS = ("crm", "web", "pos")


def row(person: int, channel: str) -> dict[str, str]:
    """One record; the numbers make every value a person's own."""
    return {
        "channel": channel,
        "source_id": f"{person}",
        "first_name": f"first{person % 997}",
        "last_name": f"last{person % 9973}",
        "email": f"person{person}@example.com",
        "phone": f"+346{person:08d}",
        "birth_date": f"19{50 + person % 50}-{1 + person % 12:02d}-{1 + person % 28:02d}",
        "loyalty_id": f"L{person:09d}",
    }


def fill(services: Services, folder: Path, records: int) -> float:
    """Ingest everybody; return the seconds."""
    path = folder / "people.jsonl"
    with path.open("w") as file:
        for person in range(records // len(CHANNELS)):
            file.writelines(json.dumps(row(person, channel)) + "\n" for channel in CHANNELS)
    start = time.perf_counter()
    ingest_files(services, [path], grants=("identity_linking", "personalization"))
    services.key_store.merge_recent(force=True)
    return time.perf_counter() - start


def numbers_of(services: Services, person: int) -> list[int]:
    """Return the record numbers of a person."""
    found = (services.writer.find(RecordKey(channel, f"{person}")) for channel in CHANNELS)
    return [number for number in found if number]


def join(services: Services, numbers: list[int]) -> None:
    """Make the records one golden ID, as the online path does."""
    for at, number in enumerate(numbers):
        candidates = [ScoredCandidate(other, 30.0) for other in numbers[:at]]
        arrival = Arrival(number, candidates, services.linkable.sequence(), 10.0)
        services.online.attach(arrival, services.clock())


def main() -> None:
    """Fill a home and erase people."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings.from_environment({"AUREA_HOME": str(folder / "home")})
        create_home(settings)
        services = open_services(settings)
        seconds = fill(services, folder, records)
        chosen = range(0, records // len(CHANNELS), records // len(CHANNELS) // PEOPLE)
        people = [numbers_of(services, person) for person in itertools.islice(chosen, PEOPLE)]
        for numbers in people:
            join(services, numbers)
        took = []
        for at, numbers in enumerate(people):
            start = time.perf_counter()
            services.erasure.erase(numbers, request_id=f"r_{at}", now=services.clock())
            took.append(time.perf_counter() - start)
        again = folder / "again.jsonl"
        again.write_text(
            "".join(json.dumps(row(p, c)) + "\n" for p in itertools.islice(chosen, PEOPLE) for c in CHANNELS)
        )
        start = time.perf_counter()
        refused = ingest_files(services, [again], grants=("identity_linking",)).report.as_json()
        report(
            "erasure",
            records=records,
            ingest_s=round(seconds, 1),
            erased=len(people),
            records_each=len(CHANNELS),
            to_receipt=percentiles(took),
            refused=refused["suppressed"],
            refused_records_per_s=round(refused["suppressed"] / (time.perf_counter() - start)),
        )
        services.close()


if __name__ == "__main__":
    main()
