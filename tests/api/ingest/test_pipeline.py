"""Files into the stores: what lands, what is rejected, what is counted; the same with and without workers."""

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.ingest.errors import MappingError
from api.ingest.progress import Lines, Silent
from api.ingest.report import RejectedRows
from consent.errors import UnknownPurposeError
from consent.linkable import LinkableRecords
from identity.records import RecordKey
from tests.api.ingest.room import NOW, Room, write_csv
from tests.world import World, row


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path / "home")
    yield one
    one.close()


def customers(n: int, *, start: int = 0, **changes: object) -> list[dict[str, object]]:
    return [
        {
            "channel": "web",
            "source_id": f"c{number}",
            "observed_at": "2026-01-01T00:00:00Z",
            "first_name": f"Name {number}",
            "email": f"customer{number}@example.com",
            "shop": "Norte",
        }
        | changes
        for number in range(start, start + n)
    ]


def rejected(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in RejectedRows(path).path.read_text().splitlines()]


def test_a_date_that_misses_its_stated_format_is_counted_and_not_compared(room: Room, tmp_path: Path) -> None:
    mapping = room.mapping(channel="crm", attributes={"birth_date": {"column": "dob", "format": "%d/%m/%Y"}})
    rows: list[dict[str, object]] = [
        {"source_id": "1", "dob": "12/25/1990"},
        {"source_id": "2", "dob": "25/12/1990"},
    ]
    report = room.ingest(write_csv(tmp_path / "in.csv", rows), mapping=mapping)
    assert (report.as_json()["created"], report.as_json()["unreadable"]) == (2, {"birth_date": 1})
    kept = {key: attributes for key, (_, attributes, *_) in room.landed().items()}
    assert kept["crm", "1"]["birth_date"] == ["12/25/1990"]


def test_a_report_has_the_words_of_the_contract(room: Room, tmp_path: Path) -> None:
    rows = [*customers(3), *customers(1, start=9, phone="no phone"), *customers(1, start=8, source_id="")]
    report = room.ingest(write_csv(tmp_path / "in.csv", rows))
    assert report.as_json() == {
        "read": 5,
        "created": 4,
        "updated": 0,
        "unchanged": 0,
        "suppressed": 0,
        "rejected": 1,
        "unreadable": {"phone": 1},
    }


def test_running_the_same_file_again_changes_nothing(room: Room, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", customers(20))
    room.ingest(path, grants=["identity_linking"])
    before, sequence = room.landed(), _sequence(room)
    report = room.ingest(path, grants=["identity_linking"])
    assert (report.created, report.unchanged) == (0, 20)
    assert (room.landed(), _sequence(room)) == (before, sequence)


def _sequence(room: Room) -> int:
    return LinkableRecords(room.stores, lambda: NOW).sequence()


def test_record_numbers_follow_the_rows(room: Room, tmp_path: Path) -> None:
    room.ingest(write_csv(tmp_path / "in.csv", customers(1200)), workers=2)
    numbers = [room.writer.find(RecordKey("web", f"c{n}")) for n in range(1200)]
    assert numbers == list(range(1, 1201))


def test_bad_rows_are_listed_without_values_and_good_ones_land(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    long = b"x" * 5000
    path.write_bytes(
        b"channel,source_id,observed_at,first_name\n"
        b"web,1,,Ana\n"
        b"web,,,Nobody\n"
        b"web,3,yesterday,Eva\n"
        b"web,4,,caf\xe9\n"
        b"web,5,," + long + b"\n"
        b"web,6\n"
        b"two words,7,,Leo\n"
        b"web,8,2999-01-01T00:00:00Z,Mia\n"
        b"web,9,,Luz\n"
    )
    report = room.ingest(path)
    assert (report.created, report.rejected) == (2, 7)
    assert rejected(path) == [
        {"line": 3, "column": "source_id", "reason": "is missing"},
        {"line": 4, "column": "observed_at", "reason": "is not an RFC 3339 time"},
        {"line": 5, "column": "first_name", "reason": "holds bytes that are no text"},
        {"line": 6, "column": "first_name", "reason": "holds a value over 4 KiB"},
        {"line": 7, "column": "", "reason": "the row has another number of fields than the header"},
        {"line": 8, "column": "channel", "reason": "is not 1 to 64 letters, digits, '_', '.' or '-'"},
        {"line": 9, "column": "observed_at", "reason": "is more than 5 minutes in the future"},
    ]
    listed = RejectedRows(path).path
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    assert set(room.landed()) == {("web", "1"), ("web", "9")}


def test_a_poisoned_row_is_rejected_alone_and_a_key_that_its_sender_chose_is_not_repeated(
    room: Room, tmp_path: Path
) -> None:
    canary = "canary-4711"
    rows = customers(8)
    rows[1]["email"] = [f"ana{each}@example.com" for each in range(255)]
    rows[2] |= {f"{canary} {each}": "x" for each in range(300)}
    rows[3][canary + "\n"] = "x"
    rows[4][canary * 20] = "x"
    rows[5][canary] = "x" * 5000
    rows[6]["first_name"] = "x" * 5000
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = room.ingest(path)
    assert (report.created, report.rejected) == (2, 6)
    assert [row["column"] for row in rejected(path)] == ["email", *["traits"] * 4, "first_name"]
    assert canary not in RejectedRows(path).path.read_text()
    assert set(room.landed()) == {("web", "c0"), ("web", "c7")}


def test_a_poisoned_file_ends_with_status_3_and_its_good_rows_land(world: World) -> None:
    rows = [
        row("crm", "1", "Ana"),
        row("crm", "2", "Bea", email=["b@example.com"] * 255),
        row("crm", "3", "Eva"),
    ]
    done = world.command("ingest", str(world.write_lines("in.jsonl", rows)), "--json")
    assert done.returncode == 3
    counts = json.loads(done.stdout)
    assert (counts["created"], counts["rejected"]) == (2, 1)


def test_the_list_of_rejected_rows_is_always_that_of_the_last_run(room: Room, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", customers(2, source_id=""))
    room.ingest(path)
    assert len(rejected(path)) == 2
    write_csv(path, customers(2))
    room.ingest(path)
    assert list(tmp_path.glob("*rejected*")) == []


def test_the_last_of_several_rows_with_one_key_wins_wherever_they_stand(room: Room, tmp_path: Path) -> None:
    rows = customers(2500)
    for at in (1, 499, 500, 700, 1900, 2400):  # in one chunk, in the next, and in chunks under way together
        rows[at] = customers(1)[0] | {"first_name": f"Row {at}"}
    report = room.ingest(write_csv(tmp_path / "in.csv", rows), workers=2)
    assert (report.created, report.updated) == (2494, 6)
    assert room.landed()["web", "c0"][1]["first_name"] == ["Row 2400"]
    assert room.key_rows() == len(room.landed())


def test_a_row_whose_record_is_being_deleted_is_a_new_record(room: Room, tmp_path: Path) -> None:
    room.ingest(write_csv(tmp_path / "in.csv", customers(1200)))
    before = room.writer.find(RecordKey("web", "c1100"))

    class Deleting(Silent):
        def advance(self, rows: int, share: float) -> None:  # noqa: ARG002 - the signature of the Protocol
            with room.stores.db.write() as conn:  # noted only: its keys are not destroyed yet
                room.writer.note_destruction(conn, [before or 0], NOW)

    path = write_csv(tmp_path / "changed.csv", customers(1200, shop="Sur"))
    report = room.ingest(path, progress=Deleting())
    assert (report.updated, report.created) == (1199, 1)
    assert room.writer.find(RecordKey("web", "c1100")) not in {before, None}


def test_workers_change_nothing(room: Room, tmp_path: Path) -> None:
    rows = [*customers(1500), *customers(300, start=100, first_name="Again"), *customers(10, source_id="")]
    path = write_csv(tmp_path / "in.csv", rows)
    with_workers = room.ingest(path, grants=["identity_linking"], workers=2)
    other = Room(tmp_path / "other")
    alone = other.ingest(path, grants=["identity_linking"], workers=0)
    assert with_workers.as_json() == alone.as_json()
    assert room.landed() == other.landed()
    assert room.stores.ledger.verify().ok
    other.close()


def test_imported_consent_is_recorded_once_per_change(room: Room, tmp_path: Path) -> None:
    mapping = room.mapping(
        attributes={"first_name": "first_name"},
        consent={"identity_linking": "granted", "personalization": {"column": "opt", "granted": ["Y"]}},
    )
    path = tmp_path / "in.csv"
    for opt in ("Y", "Y", "N", "N"):
        room.ingest(write_csv(path, customers(1, opt=opt)), mapping=mapping)
    assert room.landed()["web", "c0"][4] == (
        ("identity_linking", "granted", "channel:web"),
        ("personalization", "granted", "channel:web"),
        ("personalization", "withdrawn", "channel:web"),
    )


def test_the_three_formats_land_alike(room: Room, tmp_path: Path) -> None:
    rows = customers(5)
    landed = []
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    pq.write_table(table, tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_csv(tmp_path / "in.csv", rows)
    for ending in ("csv", "jsonl", "parquet"):
        other = Room(tmp_path / ending)
        other.ingest(tmp_path / f"in.{ending}")
        landed.append(other.landed())
        other.close()
    assert landed[0] == landed[1] == landed[2]


def test_lists_in_parquet_and_json_are_several_values(room: Room, tmp_path: Path) -> None:
    emails = ["a@example.com", "b@example.com"]
    pq.write_table(pa.table({"source_id": ["1"], "email": [emails]}), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text(json.dumps({"source_id": "2", "email": emails}))
    room.ingest(tmp_path / "in.parquet", channel="a")
    room.ingest(tmp_path / "in.jsonl", channel="b")
    assert [each[1] for each in room.landed().values()] == [{"email": emails}] * 2


@pytest.mark.parametrize(
    ("columns", "arguments", "error"),
    [
        ({"source_id": "1"}, {}, MappingError),
        ({"id": "1"}, {"channel": "web"}, MappingError),
        ({"source_id": "1"}, {"channel": "web", "grants": ["profiling"]}, UnknownPurposeError),
    ],
    ids=["no channel", "no source_id", "an unknown purpose"],
)
def test_a_wrong_command_writes_nothing(
    room: Room,
    tmp_path: Path,
    columns: dict[str, object],
    arguments: dict[str, object],
    error: type[Exception],
) -> None:
    path = write_csv(tmp_path / "in.csv", [columns])
    with pytest.raises(error):
        room.ingest(path, **arguments)  # type: ignore[arg-type]  # each case is of another type
    assert room.key_rows() == 0
    assert list(tmp_path.glob("*rejected*")) == []


def test_a_mapping_that_names_a_missing_column_writes_nothing(room: Room, tmp_path: Path) -> None:
    mapping = room.mapping(channel="web", attributes={"email": "mail"})
    for name, content in (("in.csv", "source_id\n1\n"), ("in.jsonl", '{"source_id": "1"}\n')):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(MappingError, match="'mail'"):
            room.ingest(path, mapping=mapping)
    assert room.key_rows() == 0


def test_progress_is_told_after_every_chunk(room: Room, tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []

    class Told(Silent):
        def advance(self, rows: int, share: float) -> None:
            told.append((rows, share))

    room.ingest(write_csv(tmp_path / "in.csv", customers(1200)), progress=Told())
    assert [rows for rows, _ in told] == [500, 1000, 1200]
    assert told[-1][1] == 1.0


def test_lines_for_a_log_hold_a_name_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("in.csv", sys.stdout)
    lines._said -= 60
    lines.advance(1000, 0.5)
    lines.advance(1500, 0.7)
    assert capsys.readouterr().out.startswith("in.csv: 1,000 rows, 50%, ")


def test_an_empty_file_with_a_header_is_no_error(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("channel,source_id\n")
    assert room.ingest(path).read == 0
