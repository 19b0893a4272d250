"""Resolving one arriving record in process, durably, in a home of a million records.

    python benchmarks/online.py [--home HOME --records FILE.parquet] [--arrivals 600]

HOME is a linked home (benchmarks/link.py --keep DIR leaves DIR/home and DIR/records.parquet); it is changed,
so give a copy. Without one a home of 20,000 records is made. Half of the arrivals repeat what another
channel's record of the file says, so that they meet somebody; half are people the home has never seen. One
at a time: seal, find candidates, score, store and decide, all on disk when the call returns. Prints the
median and the 99th percentile in milliseconds.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any, Final

import pyarrow.parquet as pq
from arrivals_http import populate
from arrivals_http import rows as made

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from api.incoming import incoming
from api.schemas import ConsentOfRecord, RecordIn
from api.services import Services, open_services
from api.settings import Settings
from consent.incoming import IncomingRecord
from identity.attributes import STANDARD

_WARM: Final = 50
_MANY: Final = 40_000  # rows of the file to choose from
_MADE: Final = 20_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--home", type=Path)
    options.add_argument("--records", type=Path)
    options.add_argument("--arrivals", type=int, default=600)
    chosen = options.parse_args()
    if (chosen.home is None) != (chosen.records is None):
        options.error("--home and --records go together")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment({"AUREA_HOME": str(chosen.home or Path(folder) / "home")})
        if chosen.home is None:
            known = made(_MADE, seed=3)
            populate(settings, known)
        else:
            known = pq.read_table(chosen.records).slice(0, _MANY).to_pylist()
        measure(settings, known, chosen.arrivals)


def measure(settings: Settings, known: list[dict[str, Any]], count: int) -> None:
    """Let records arrive and print what it took; `known` are people of the home."""
    services = open_services(settings)
    arrivals = [arrival(row) for row in rows(known, count + _WARM)]
    whole = []
    decisions: Counter[str] = Counter()
    for record in arrivals:
        began = time.perf_counter()
        (found,) = services.arrivals.receive([record])
        whole.append(time.perf_counter() - began)
        decisions[found.decision or found.written.status] += 1
    held = records_of(services)
    services.close()
    print(json.dumps({"benchmark": "online", "records": held, "arrivals": len(whole) - _WARM,
                      "decisions": decisions, "whole": milliseconds(whole[_WARM:])}))  # fmt: skip


def rows(known: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return what arrives: known and unknown people in turn."""
    chance = Random(7)  # noqa: S311 - which rows, the same in every run
    unknown = [
        dict(zip(COLUMNS, row, strict=True)) for rows in generate(customers=count, seed=99) for row, _ in rows
    ]
    picked = [chance.choice(known if at % 2 else unknown) for at in range(count)]
    mark = f"{time.time_ns():x}"
    return [row | {"source_id": f"{mark}-{at}"} for at, row in enumerate(picked)]


def arrival(row: dict[str, Any]) -> IncomingRecord:
    attributes = {name: row[name] for name in STANDARD if row.get(name)}
    consents = [
        ConsentOfRecord(purpose=purpose, state="granted")
        for purpose in ("identity_linking", "personalization")
    ]
    sent = RecordIn(
        channel=row["channel"], source_id=row["source_id"], attributes=attributes, consents=consents
    )
    return incoming(sent)


def records_of(services: Services) -> int:
    with services.db.read() as conn:
        return services.memberships.counts(conn)[0]


def milliseconds(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100)
    return {name: round(cuts[at] * 1000, 2) for name, at in (("p50", 49), ("p99", 98))}


if __name__ == "__main__":
    main()
