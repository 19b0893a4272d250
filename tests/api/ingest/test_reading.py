"""CSV, JSON Lines and Parquet: every good row arrives with its line, every bad one is named."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.ingest.chunks import Malformed, Reader
from api.ingest.errors import InputFileError
from api.ingest.reading import open_reader

Rows = list[tuple[int, Mapping[str, Any] | Malformed]]


def file(tmp_path: Path, content: bytes, name: str = "in.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def rows_of(reader: Reader, size: int = 2) -> Rows:
    return [row for chunk, _ in reader.chunks(size) for row in chunk.rows()]


def good(rows: Rows) -> list[Mapping[str, Any]]:
    return [row for _, row in rows if not isinstance(row, Malformed)]


def bad(rows: Rows) -> dict[int, str]:
    return {line: row.reason for line, row in rows if isinstance(row, Malformed)}


def csv_rows(tmp_path: Path, content: bytes) -> Rows:
    return rows_of(open_reader(file(tmp_path, content)))


def test_csv_rows_carry_the_physical_line_they_begin_on(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, b'id,note\r\n1,"two\nlines"\r\n\r\n2,plain\r\n')
    assert rows == [(2, {"id": "1", "note": "two\nlines"}), (5, {"id": "2", "note": "plain"})]


def test_a_csv_row_with_another_number_of_fields_is_malformed_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    rows = csv_rows(tmp_path, b"id,note\n1,a\n2\n3,c,d\n4,e\n")
    assert [row["id"] for row in good(rows)] == ["1", "4"]
    assert bad(rows) == dict.fromkeys((3, 4), "the row has another number of fields than the header")


@pytest.mark.parametrize(
    "damaged",
    [b'2,"open\n', b'2,"a"b\n', b'"2,x\n', b'2,"' + b"x" * 200_000 + b'"\n'],
    ids=["an unclosed quote", "text after a quote", "a quote that swallows the comma", "a huge field"],
)
def test_a_stray_quote_costs_one_row(tmp_path: Path, damaged: bytes) -> None:
    rest = b"".join(b'%d,"fine %d"\n' % (n, n) for n in range(3, 3000))
    rows = csv_rows(tmp_path, b"id,note\n1,a\n" + damaged + rest)
    assert [row["id"] for row in good(rows)] == ["1", *map(str, range(3, 3000))]
    assert list(bad(rows)) == [3]


def test_bytes_that_are_no_text_stay_in_their_row(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, b"id,note\n1,caf\xe9\n2,caf\xc3\xa9\n")
    assert [row["note"] for row in good(rows)] == ["caf\udce9", "café"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert open_reader(file(tmp_path, b"\xef\xbb\xbfid,note\n1,a\n")).columns == {"id", "note"}


def test_a_csv_without_commas_may_use_semicolons(tmp_path: Path) -> None:
    assert good(csv_rows(tmp_path, b"id;note\n1;a,b\n")) == [{"id": "1", "note": "a,b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no column names"),
        (b"a,a\n1,2\n", "two columns have one name"),
        (b"\xe9,b\n1,2\n", "are not UTF-8"),
        ("id,note\n".encode("utf-16"), "save it as UTF-8"),
    ],
)
def test_a_csv_without_a_usable_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        open_reader(file(tmp_path, content))


def test_json_lines_keep_good_lines_and_name_bad_ones(tmp_path: Path) -> None:
    lines = [b'{"id": "1"}', b"{broken", b"", b'["2"]', b'{"id": "\xe9"}', b'{"id": "3", "tags": ["a"]}']
    rows = rows_of(open_reader(file(tmp_path, b"\n".join(lines), "in.jsonl")))
    assert good(rows) == [{"id": "1"}, {"id": "3", "tags": ["a"]}]
    assert bad(rows) == {
        2: "the line is no JSON",
        4: "the line is no JSON object",
        5: "holds bytes that are no text",
    }


def test_a_json_line_too_long_to_be_a_record_is_skipped(tmp_path: Path) -> None:
    content = b'{"id": "' + b"x" * (3 << 20) + b'"}\n{"id": "2"}\n'
    rows = rows_of(open_reader(file(tmp_path, content, "in.jsonl")))
    assert good(rows) == [{"id": "2"}]
    assert bad(rows) == {1: "the line is longer than 1 MiB"}


def test_a_column_that_only_a_late_json_line_has_is_found(tmp_path: Path) -> None:
    lines = [{"id": str(n)} for n in range(50)] + [{"email_2": "x"}]
    reader = open_reader(file(tmp_path, "\n".join(map(json.dumps, lines)).encode(), "in.ndjson"))
    reader.seek_columns(frozenset({"id", "email_2"}))
    assert reader.columns == {"id", "email_2"}


def test_parquet_cells_arrive_as_python_values_with_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array(["1", "2", "3"]),
            "email": pa.array([["a@b.es", "c@d.es"], [], None]),
            "born": pa.array([date(1990, 2, 21), None, None]),
            "seen": pa.array([moment, None, moment], pa.timestamp("ns", "UTC")),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    rows = rows_of(open_reader(path))
    assert [line for line, _ in rows] == [1, 2, 3]
    first = good(rows)[0]
    assert first["email"] == ["a@b.es", "c@d.es"]
    assert first["born"] == date(1990, 2, 21)
    assert first["seen"] == moment
    assert first["kind"] == "x"


def test_parquet_text_that_is_no_utf8_arrives_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    raw = pa.array([b"fine", b"caf\xe9"])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": text}), path)
    assert [row["id"] for row in good(rows_of(open_reader(path)))] == [b"fine", b"caf\xe9"]


def test_a_damaged_parquet_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"in\.parquet: is no readable Parquet file"):
        open_reader(file(tmp_path, b"PAR1 but no more", "in.parquet"))


def test_a_file_without_a_known_ending_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    assert good(rows_of(open_reader(file(tmp_path, b' {"id": "1"}\n', "export")))) == [{"id": "1"}]
    assert good(rows_of(open_reader(file(tmp_path, b"id\n1\n", "export")))) == [{"id": "1"}]


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"none\.csv: cannot be read"):
        open_reader(tmp_path / "none.csv")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_size_of_chunks_changes_no_row(tmp_path: Path, size: int) -> None:
    path = file(tmp_path, b"id\n" + b"".join(b"%d\n" % n for n in range(7)))
    assert [row["id"] for row in good(rows_of(open_reader(path), size))] == list(map(str, range(7)))
