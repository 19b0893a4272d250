"""Stream the customers of the fictional retailer to files, the truth beside them.

    python -m api.demo.generator --customers 20000 --out FOLDER     one CSV a channel, and truth.csv
    python -m api.demo.generator --records 1000000 --out F.parquet  all channels in one file (.parquet,
                                                                    .jsonl or .csv), and F.truth.parquet

The same arguments give the same bytes. Memory grows only by the e-mail addresses already given out.
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from api.demo.channels import COLUMNS, ChannelWriter, Row
from api.demo.people import Population

TRUTH: Final = "truth.csv"
PERMITTED_TRUTH: Final = "truth-permitted.csv"  # of the records alone whose linking is permitted
TRUTH_COLUMNS: Final = ("channel", "source_id", "person")
_CHUNK_PEOPLE: Final = 4_000  # rows are shuffled inside a chunk, as arrivals are

# The header each channel's own export has: (its column, ours). A mapping file leads back to ours.
EXPORTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "web": (
        ("account_no", "source_id"), ("last_login", "observed_at"), ("first_name", "first_name"),
        ("last_name", "last_name"), ("date_of_birth", "birth_date"), ("email", "email"), ("mobile", "phone"),
        ("country", "country"), ("zip", "postcode"), ("login", "user_id"), ("cookie", "cookie_id"),
        ("match_me", "identity_linking"), ("tailor_offers", "personalization"),
        ("newsletter", "marketing_email"),
    ),
    "app": (
        ("install", "source_id"), ("seen", "observed_at"), ("nick", "first_name"), ("email", "email"),
        ("phone", "phone"), ("country", "country"), ("login", "user_id"), ("device", "device_id"),
        ("match_me", "identity_linking"), ("tailor_offers", "personalization"),
    ),
    "pos": (
        ("ticket_customer", "source_id"), ("date", "observed_at"), ("given", "first_name"),
        ("family", "last_name"), ("tel", "phone"), ("mail", "email"), ("cp", "postcode"),
        ("country", "country"),
        ("card", "loyalty_id"), ("store", "favourite_store"), ("match_me", "identity_linking"),
        ("tailor_offers", "personalization"),
    ),
    "email": (
        ("subscriber", "source_id"), ("updated", "observed_at"), ("name", "first_name"), ("address", "email"),
        ("match_me", "identity_linking"), ("newsletter", "marketing_email"),
    ),
    "crm": (
        ("customer_no", "source_id"), ("updated", "observed_at"), ("given", "first_name"),
        ("second", "middle_name"), ("family", "last_name"), ("dob", "birth_date"), ("sex", "gender"),
        ("id_document", "national_id"), ("email", "email"), ("email_2", "email_2"), ("phone", "phone"),
        ("street", "street"), ("no", "house_number"), ("floor", "address_line2"), ("postcode", "postcode"),
        ("town", "city"), ("country", "country"), ("web_login", "user_id"), ("match_me", "identity_linking"),
        ("tailor_offers", "personalization"), ("newsletter", "marketing_email"),
    ),
    "loyalty": (
        ("member", "source_id"), ("joined", "observed_at"), ("first_name", "first_name"),
        ("surnames", "last_name"), ("birthday", "birth_date"), ("sex", "gender"), ("email", "email"),
        ("phone", "phone"), ("town", "city"), ("postcode", "postcode"), ("country", "country"),
        ("card", "loyalty_id"), ("store", "favourite_store"), ("match_me", "identity_linking"),
        ("tailor_offers", "personalization"), ("newsletter", "marketing_email"),
    ),
    "callcentre": (
        ("caller", "source_id"), ("called", "observed_at"), ("who", "full_name"), ("number", "phone"),
        ("mail", "email"), ("where", "full_address"), ("birthday", "birth_date"), ("country", "country"),
        ("match_me", "identity_linking"), ("tailor_offers", "personalization"),
    ),
}  # fmt: skip

Labelled = tuple[Row, int]
"""A row and the number of the person it is about."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written."""

    people: int
    records: int


def generate(
    *, customers: int | None = None, records: int | None = None, seed: int = 1
) -> Iterator[list[Labelled]]:
    """Yield chunks of labelled rows, about 11,000 each, until there are so many customers or records."""
    households = Population(seed).households()
    writer = ChannelWriter(seed + 1)
    order = random.Random(seed + 2)  # noqa: S311 - repeatable fiction, nothing secret
    left = sys.maxsize if records is None else records
    people = sys.maxsize if customers is None else customers
    chunk: list[Labelled] = []
    chunk_people = 0
    while people and len(chunk) < left:
        for person in next(households)[:people]:
            chunk += [(row, person.number) for row in writer.rows(person)]
            people -= 1
            chunk_people += 1
        if chunk_people >= _CHUNK_PEOPLE:
            del chunk[left:]
            left -= len(chunk)
            order.shuffle(chunk)
            yield chunk
            chunk, chunk_people = [], 0
    order.shuffle(chunk)
    if chunk and left:
        yield chunk[:left]


def write_channels(folder: Path, *, customers: int, seed: int = 1) -> Generated:
    """Write `<channel>.csv` for every channel and who is who (TRUTH, PERMITTED_TRUTH) into `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # an earlier version left it open to others
    index = {name: at for at, name in enumerate(COLUMNS)}
    pickers = {
        channel: itemgetter(*(index[ours] for _, ours in columns)) for channel, columns in EXPORTS.items()
    }
    people: set[int] = set()
    records = 0
    with ExitStack() as files:
        writers = {}
        for channel, columns in EXPORTS.items():
            writers[channel] = csv.writer(_open(files, folder / f"{channel}.csv"), lineterminator="\n")
            writers[channel].writerow(theirs for theirs, _ in columns)
        truth, permitted = (
            csv.writer(_open(files, folder / name), lineterminator="\n") for name in (TRUTH, PERMITTED_TRUTH)
        )
        truth.writerow(TRUTH_COLUMNS)
        permitted.writerow(TRUTH_COLUMNS)
        for chunk in generate(customers=customers, seed=seed):
            for row, person in chunk:
                channel = row[0]
                values = pickers[channel](row)
                if channel == "crm":  # day first, as Spanish back offices write it
                    values = tuple(_day_first(v) if i == 5 else v for i, v in enumerate(values))
                writers[channel].writerow(values)
                labels = (channel, row[1], person)
                truth.writerow(labels)
                if row[index["identity_linking"]] == "Y":
                    permitted.writerow(labels)
                people.add(person)
            records += len(chunk)
    return Generated(people=len(people), records=records)


def write_one(out: Path, *, records: int, seed: int = 1) -> Generated:
    """Write every channel into one file, and the truth as `<name>.truth.<the same ending>`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    sinks: dict[str, type[_Sink]] = {".parquet": _ParquetSink, ".jsonl": _JsonSink, ".csv": _CsvSink}
    sink = sinks[out.suffix]
    people: set[int] = set()
    written = 0
    with ExitStack() as files:
        rows = sink(files, out, COLUMNS)
        truth = sink(files, out.with_suffix(f".truth{out.suffix}"), TRUTH_COLUMNS)
        for chunk in generate(records=records, seed=seed):
            rows.write([row for row, _ in chunk])
            truth.write([(row[0], row[1], str(person)) for row, person in chunk])
            people.update(person for _, person in chunk)
            written += len(chunk)
    return Generated(people=len(people), records=written)


def _day_first(iso: str) -> str:
    year, _, rest = iso.partition("-")
    month, _, day = rest.partition("-")
    return f"{day}/{month}/{year}" if day else iso


def _open(files: ExitStack, path: Path) -> TextIO:
    """Open a file for its owner only, as everything in a home is, though these customers are fiction."""
    file = files.enter_context(path.open("w", encoding="utf-8", newline=""))
    path.chmod(0o600)
    return file


class _Sink(Protocol):
    def __init__(self, files: ExitStack, path: Path, columns: Sequence[str]) -> None: ...

    def write(self, rows: Sequence[Row]) -> None: ...


class _CsvSink(_Sink):
    def __init__(self, files: ExitStack, path: Path, columns: Sequence[str]) -> None:
        self._writer = csv.writer(_open(files, path), lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(rows)


class _JsonSink(_Sink):
    def __init__(self, files: ExitStack, path: Path, columns: Sequence[str]) -> None:
        self._file = _open(files, path)
        self._columns = columns

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            present = {name: value for name, value in zip(self._columns, row, strict=True) if value}
            self._file.write(json.dumps(present, ensure_ascii=False) + "\n")


class _ParquetSink(_Sink):
    def __init__(self, files: ExitStack, path: Path, columns: Sequence[str]) -> None:
        self._schema = pa.schema([(name, pa.string()) for name in columns])
        self._writer: Any = files.enter_context(pq.ParquetWriter(path, self._schema))

    def write(self, rows: Sequence[Row]) -> None:
        arrays = [
            pa.array([value or None for value in column], pa.string()) for column in zip(*rows, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; print what was written as JSON."""
    parser = argparse.ArgumentParser(prog="python -m api.demo.generator", description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--customers", type=int, help="so many people, one CSV a channel")
    size.add_argument("--records", type=int, help="so many records, all in one file")
    parser.add_argument("--out", type=Path, required=True, help="a folder, or a file with --records")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.customers is not None:
        done = write_channels(options.out, customers=options.customers, seed=options.seed)
    else:
        done = write_one(options.out, records=options.records, seed=options.seed)
    sys.stdout.write(json.dumps({"people": done.people, "records": done.records}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
