"""Comparable forms -> one table in the engine, and what that table holds: coverage and distinctness.

The values travel as Arrow columns and bound parameters; none is ever part of a statement.
"""

from collections.abc import Iterable
from typing import Final

import duckdb
import pyarrow as pa

from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.profile import Column, Profile
from identity.records import OpenedBatch

TABLE: Final = "records"

MOST_NAMES: Final = 10
"""A contact or identifier held under more differently written names than this is nobody's own."""

OWNED: Final = ("national_id", "social_handle", "user_id", "loyalty_id", "device_id", "cookie_id")

_CREATE_RAW = "CREATE TABLE opened (record_no BIGINT, channel VARCHAR, comparable BLOB)"
_INSERT_RAW = "INSERT INTO opened SELECT record_no, channel, comparable FROM batch"


def load(engine: duckdb.DuckDBPyConnection, batches: Iterable[OpenedBatch]) -> Profile:
    """Fill the table `records` (unique_id, channel, every comparable column) and return its profile.

    Values that belong to nobody in particular (placeholders, a call centre's number) are
    moved to the table `shared_values`, so that they neither block nor count as evidence.
    """
    engine.execute(_CREATE_RAW)
    for batch in batches:
        insert_batch(engine, batch)
    engine.execute(unpacked_sql(TABLE))
    engine.execute("DROP TABLE opened")
    shared = _empty_shared_values(engine)
    return profile_of(engine, shared)


def insert_batch(engine: duckdb.DuckDBPyConnection, batch: OpenedBatch) -> None:
    """Append one opened batch to the table `opened`."""
    arrow = pa.table(
        {
            "record_no": pa.array(batch.record_nos, pa.int64()),
            "channel": pa.array(batch.channels, pa.string()),
            "comparable": pa.array(batch.comparables, pa.binary()),
        }
    )
    engine.register("batch", arrow)
    engine.execute(_INSERT_RAW)
    engine.unregister("batch")


def unpacked_sql(table: str) -> str:
    """Return the statement that makes `table` from `opened`: one column for each of COLUMNS."""
    columns = ",\n    ".join(
        f"string_split(nullif(part[{position}], ''), chr(30)) AS {name}"
        if name in LIST_COLUMNS
        else f"nullif(part[{position}], '') AS {name}"
        for position, name in enumerate(COLUMNS, start=2)  # part 1 is the version
    )
    return f"""
CREATE TABLE {table} AS
SELECT
    record_no AS unique_id,
    channel,
    {columns}
FROM (SELECT record_no, channel, string_split(decode(comparable), chr(31)) AS part FROM opened)
"""  # noqa: S608 - column names of ours


def _empty_shared_values(engine: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Move values held under more than MOST_NAMES names to `shared_values`; return how many by column.

    A name counts by the initials of first and last name, so that spellings of one name count once.
    """
    engine.execute("CREATE TABLE shared_values (column_name VARCHAR, value VARCHAR, holders BIGINT)")
    counts = {}
    for column in ("email", "phone", *OWNED):
        value = f"unnest({column})" if column in LIST_COLUMNS else column
        engine.execute(_FIND_SHARED.format(value=value, column=column), [column, MOST_NAMES])
        (count,) = engine.execute(_COUNT_SHARED, [column]).fetchone() or (0,)
        if count:
            counts[column] = int(count)
            empty = _EMPTY_LIST if column in LIST_COLUMNS else _EMPTY
            engine.execute(empty.format(column), [column])
    return counts


_FIND_SHARED = """
INSERT INTO shared_values
SELECT ?, value, count(*)
FROM (
    SELECT {value} AS value, left(first_name, 1) || ' ' || left(last_name, 1) AS initials
    FROM records WHERE {column} IS NOT NULL
)
GROUP BY value HAVING count(DISTINCT initials) > ?
"""

_COUNT_SHARED = "SELECT count(*) FROM shared_values WHERE column_name = ?"

_EMPTY = """
UPDATE records SET {0} = NULL WHERE {0} IN (SELECT value FROM shared_values WHERE column_name = ?)
"""

_EMPTY_LIST = """
UPDATE records SET {0} = nullif(list_filter(records.{0}, lambda v: NOT list_contains(shared.taken, v)), [])
FROM (SELECT list(value) AS taken FROM shared_values WHERE column_name = ?) AS shared
WHERE list_has_any(records.{0}, shared.taken)
"""


def profile_of(engine: duckdb.DuckDBPyConnection, shared: dict[str, int]) -> Profile:
    """Return the profile of the table `records`; `shared` counts the values emptied before, by column."""
    figures = ", ".join(f"count({name}), approx_count_distinct({name})" for name in COLUMNS)
    row = engine.execute(f"SELECT count(*), {figures} FROM records").fetchone()  # noqa: S608 - our names
    records, *values = (int(value) for value in row or ())
    columns = {
        name: Column(filled / records, distinct)
        for name, filled, distinct in zip(COLUMNS, values[::2], values[1::2], strict=True)
        if filled
    }
    return Profile(records, columns, shared)
