"""Records one by one, then a run over all of them: what the run changes, record by record.

    python benchmarks/stream.py [--records 6000] [--streamed 600]

A home is linked without the last records of a demo file; these then arrive one by one, and a run with the
same frozen model follows. Counts the pairs of records that are together after one and not the other, and
the records whose company the run changes, by what was decided about them when they arrived (`before`: they
were there before) and by whether the run gave them company, took some, or both. Scores are the same on both
sides (tests/identity/test_compiled_conditions.py); what differs is what the run knows in addition: which
contacts are several people's now, how common a name is now, and all links at once, not one record's after
another's.

Prints one JSON object.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from api.incoming import incoming
from api.ingesting import ingest_files
from api.linkage import LinkRequest, run_link
from api.schemas import ConsentOfRecord, RecordIn
from api.services import Services, open_services
from api.settings import Settings
from api.stores import create_home
from identity.attributes import STANDARD

Pair = tuple[int, int]
_PURPOSES: Final = ("identity_linking",)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--records", type=int, default=6_000)
    options.add_argument("--streamed", type=int, default=600)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"benchmark": "stream", **measure(Path(folder), chosen.records, chosen.streamed)}))


def measure(folder: Path, records: int, streamed: int, seed: int = 3) -> dict[str, Any]:
    """Return the counts: pairs together by arrival alone, by the run alone, and by what explains them."""
    made = [row for rows in generate(records=records, seed=seed) for row, _ in rows]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in made]
    first, later = rows[:-streamed], rows[-streamed:]
    settings = Settings.from_environment({"AUREA_HOME": str(folder / "home")})
    create_home(settings)
    services = open_services(settings)
    try:
        file = folder / "first.jsonl"
        file.write_text("\n".join(json.dumps(known(row)) for row in first))
        ingest_files(services, [file], grants=_PURPOSES)
        run_link(services, LinkRequest())
        decisions = dict(arrive(services, row) for row in later)
        by_arrival = together(services)
        run_link(services, LinkRequest())
        by_run = together(services)
    finally:
        services.close()
    gained, lost = by_run - by_arrival, by_arrival - by_run
    company: dict[str, int] = defaultdict(int)
    joined, left = ({number for pair in pairs for number in pair} for pairs in (gained, lost))
    for number in joined | left:
        change = "both" if number in joined & left else "given" if number in joined else "taken"
        company[f"{decisions.get(number, 'before')}: {change}"] += 1
    return {
        "records": len(rows),
        "streamed": len(decisions),
        "decisions": dict(Counter(decisions.values())),
        "pairs_together": len(by_run),
        "pairs_only_by_arrival": len(lost),
        "pairs_only_by_the_run": len(gained),
        "company": dict(sorted(company.items())),
    }


def known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("channel", "source_id", *STANDARD) if row.get(name)}


def arrive(services: Services, row: dict[str, Any]) -> tuple[int, str]:
    """Store and resolve one record; return its number and what was decided."""
    sent = RecordIn(
        channel=row["channel"],
        source_id=row["source_id"],
        attributes={name: row[name] for name in STANDARD if row.get(name)},
        consents=[ConsentOfRecord(purpose=purpose, state="granted") for purpose in _PURPOSES],
    )
    (written,) = services.writer.write([incoming(sent)], now=services.clock())
    number = written.record_no or 0
    return number, services.resolver.resolve(number, services.clock()).decision


def together(services: Services) -> set[Pair]:
    """Return which pairs of records have one golden ID."""
    members: dict[str, list[int]] = defaultdict(list)
    with services.db.read() as conn:
        for batch in services.memberships.export(conn):
            for record_no, golden_id, _ in batch:
                members[golden_id].append(record_no)
    return {pair for numbers in members.values() for pair in combinations(sorted(numbers), 2)}


if __name__ == "__main__":
    main()
