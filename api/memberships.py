"""The memberships file: which golden ID each record has, by its record key, in one stable order.

The same memberships give the same bytes: rows are sorted by channel and source_id, confidence is rounded
to 6 decimals, and neither format carries a time.
"""

import csv
import os
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from identity.records import RecordKey

if TYPE_CHECKING:
    from api.services import Services

COLUMNS: Final = ("channel", "source_id", "golden_id", "confidence")
_TRUTH: Final = ("channel", "source_id", "person")
_DECIMALS: Final = 6


class MembershipsError(Exception):
    """The memberships cannot be written or the truth cannot be read; the message says why."""


class Row(NamedTuple):
    """One line of the file."""

    channel: str
    source_id: str
    golden_id: str
    confidence: float


def rows(services: "Services") -> list[Row]:
    """Return every record with a golden ID, sorted. Opens record keys and nothing else."""
    return sorted(_unsorted(services))


def _unsorted(services: "Services") -> Iterator[Row]:
    named = services.source_keys.every()
    key = next(named, None)
    with services.db.read() as conn:
        for batch in services.memberships.export(conn):  # both ascend by record number
            for record_no, golden_id, confidence in batch:
                while key is not None and key[0] < record_no:
                    key = next(named, None)
                if key is not None and key[0] == record_no:
                    yield Row(key[1], key[2], golden_id, round(confidence, _DECIMALS))


def write(found: list[Row], path: Path) -> None:
    """Write the file whole or not at all. Raises MembershipsError for an unknown ending."""
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise MembershipsError("the file's name must end in .parquet or .csv")
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        # It holds record keys: owner only from the first byte on, and never through a link someone placed.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            writer(found, file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_csv(found: list[Row], file: BinaryIO) -> None:
    text = TextIOWrapper(file, newline="", encoding="utf-8")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (row.channel, row.source_id, row.golden_id, f"{row.confidence:.{_DECIMALS}f}") for row in found
    )
    text.detach()  # writes out what it holds; the file stays open for whoever opened it


def _write_parquet(found: list[Row], file: BinaryIO) -> None:
    import pyarrow as pa  # noqa: PLC0415 - slow to load, and most commands do without
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    kinds = (pa.string(), pa.string(), pa.string(), pa.float64())
    columns = [pa.array([row[place] for row in found], kind) for place, kind in enumerate(kinds)]
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), file)


def by_key(services: "Services") -> dict[RecordKey, str]:
    """Return the golden ID of every record, by record key."""
    return {RecordKey(row.channel, row.source_id): row.golden_id for row in _unsorted(services)}


def read_truth(path: Path) -> Mapping[RecordKey, str]:
    """Read who is who: a CSV, JSON Lines or Parquet file of channel, source_id and person.

    Rows that leave one of the three out are passed over. Raises MembershipsError.
    """
    import duckdb  # noqa: PLC0415 - slow to load, and most commands do without

    if not path.is_file():
        raise MembershipsError(f"there is no file {path}")
    unreadable = f"{path.name} cannot be read as columns channel, source_id and person"
    with duckdb.connect(":memory:") as engine:
        try:
            if path.suffix.lower() == ".parquet":
                relation = engine.read_parquet(str(path))
            elif path.suffix.lower() in {".jsonl", ".json"}:
                # Named as texts: of what looks like a UUID or a time the engine would change the letters.
                relation = engine.read_json(str(path), columns=dict.fromkeys(_TRUTH, "VARCHAR"))
            else:
                relation = engine.read_csv(str(path), all_varchar=True)
            found = relation.project(
                "CAST(channel AS VARCHAR), CAST(source_id AS VARCHAR), CAST(person AS VARCHAR)"
            ).fetchall()
        except duckdb.Error:
            raise MembershipsError(unreadable) from None
    whole = [row for row in found if all(row)]  # who is nobody's is not known, and is no person of its own
    if found and not whole:
        raise MembershipsError(unreadable)
    known: dict[RecordKey, str] = {}
    for channel, source_id, person in whole:
        if known.setdefault(RecordKey(channel, source_id), person) != person:
            raise MembershipsError(f"{path.name} names two persons for one record key; correct the truth")
    return known
