"""Records one by one, then a run over all of them: what the run changes, pair by pair, and why.

    python benchmarks/stream.py [--records 6000] [--streamed 600]

A home is linked without the last records of a demo file; these then arrive one by one, and a run with the same
frozen model follows. Every pair of records that is together after one and not after the other is counted under
what explains it, the first that holds:

    weight       the run scores the pair differently: a contact is judged or a name counted with the new records
    block        the run compared the pair and the arrival did not, or the other way round: a block too large
    own links    both scored it alike: the guard, or the order in which links came, decided otherwise

Prints one JSON object.
"""

import argparse
import json
import tempfile
from collections import defaultdict
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
        numbers = [arrive(services, row) for row in later]
        by_arrival, before = state(services)
        run_link(services, LinkRequest())
        by_run, after = state(services)
    finally:
        services.close()
    differing = by_arrival ^ by_run
    explained: dict[str, int] = defaultdict(int)
    for pair in differing:
        explained[why(pair, before, after)] += 1
    moved = {number for pair in differing for number in pair}
    return {
        "records": len(rows),
        "streamed": len(numbers),
        "pairs_together": len(by_run),
        "only_by_arrival": len(by_arrival - by_run),
        "only_by_the_run": len(by_run - by_arrival),
        "records_concerned": len(moved),
        "streamed_records_concerned": len(moved & set(numbers)),
        "explained": dict(explained),
    }


def known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("channel", "source_id", *STANDARD) if row.get(name)}


def arrive(services: Services, row: dict[str, Any]) -> int:
    sent = RecordIn(
        channel=row["channel"],
        source_id=row["source_id"],
        attributes={name: row[name] for name in STANDARD if row.get(name)},
        consents=[ConsentOfRecord(purpose=purpose, state="granted") for purpose in _PURPOSES],
    )
    (written,) = services.writer.write([incoming(sent)], now=services.clock())
    assert written.record_no is not None  # noqa: S101 - the demo's rows are all valid
    services.resolver.resolve(written.record_no, services.clock())
    return written.record_no


def state(services: Services) -> tuple[set[Pair], dict[Pair, float]]:
    """Return which pairs of records are together, and the stored weight of every pair that has one."""
    together: dict[str, list[int]] = defaultdict(list)
    with services.db.read() as conn:
        for batch in services.memberships.export(conn):
            for record_no, golden_id, _ in batch:
                together[golden_id].append(record_no)
        everybody = [number for members in together.values() for number in members]
        links = services.memberships.links(conn, sorted(everybody))
    pairs = {pair for members in together.values() for pair in combinations(sorted(members), 2)}
    return pairs, {(link.record_a, link.record_b): link.weight for link in links}


def why(pair: Pair, before: dict[Pair, float], after: dict[Pair, float]) -> str:
    one, other = before.get(pair), after.get(pair)
    if one is None and other is None:
        return "own links"
    if one is None or other is None:
        return "block"
    return "weight" if abs(one - other) > 1e-6 else "own links"


if __name__ == "__main__":
    main()
