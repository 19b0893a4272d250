"""Comparable forms -> one table in the engine, and what that table holds: coverage and distinctness.

The values travel as Arrow columns and bound parameters; none is ever part of a statement.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.comparison import SEVERAL
from identity.contacts import JUNK, LISTS, PERSONAL, ContactClasses, judge
from identity.engine import Engine
from identity.placeholder_dates import NOBODYS_DATE, find_placeholder_dates
from identity.profile import Column, Profile
from identity.records import OpenedBatch

TABLE: Final = "records"

MAY_BE_TOLD: Final = {"gender": "first_name"}
"""Attribute -> another that may tell it. (Street, postcode and city are one comparison from the outset.)"""

TOLD: Final = 0.8
"""Share of wrong guesses saved from which on one attribute is told by another."""

FEWEST_BEARERS: Final = 5  # records of a value: that of one record tells everything about it, and nothing

_CREATE_RAW = "CREATE TABLE opened (record_no BIGINT, channel VARCHAR, comparable BLOB)"
_INSERT_RAW = "INSERT INTO opened SELECT record_no, channel, comparable FROM batch"


def load(engine: Engine, batches: Iterable[OpenedBatch]) -> Profile:
    """Fill the table `records` (unique_id, channel, every comparable column) and return its profile.

    Contacts are judged (`identity.contacts`); what is nobody's, placeholder dates too, leaves before anything
    is counted; and each contact of SEVERAL gets a column of those of its values that several people use.
    """
    engine.execute(_CREATE_RAW)
    for batch in batches:
        insert_batch(engine, batch)
    engine.execute(unpacked_sql(TABLE))
    engine.execute("DROP TABLE opened")
    classes = judge(engine)
    engine.execute(_cleaned_sql(classes, placeholder_dates=find_placeholder_dates(engine)))
    engine.execute("DROP TABLE not_personal")
    return profile_of(engine, classes)


def insert_batch(engine: Engine, batch: OpenedBatch) -> None:
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


def _cleaned_sql(classes: Sequence[ContactClasses], *, placeholder_dates: bool) -> str:
    """Return the statement that takes from `records` what is nobody's, and adds the columns of SEVERAL."""
    columns = {name: name for name in COLUMNS}
    columns |= {
        added: f"NULL::{'VARCHAR[]' if name in LISTS else 'VARCHAR'}" for name, added in SEVERAL.items()
    }
    joins = []
    for judged in classes:
        name = judged.column
        if not judged.counts.keys() - {PERSONAL}:
            continue
        joins.append((_CLASSED_LISTS if name in LISTS else _CLASSED).format(name))
        columns[name] = (_OWN_LIST if name in LISTS else _OWN).format(name)
        if name in SEVERAL:
            columns[SEVERAL[name]] = (_SEVERAL_LIST if name in LISTS else _SEVERAL).format(name)
    if placeholder_dates:
        joins.append(_DATES)
        columns["birth_date"] = "CASE WHEN nobodys_date THEN NULL ELSE birth_date END"
    selected = ",\n    ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"""
CREATE OR REPLACE TABLE {TABLE} AS
SELECT unique_id, channel,
    {selected}
FROM {TABLE}{"".join(joins)}
"""  # noqa: S608 - our names


_CLASSED = """
LEFT JOIN (SELECT value AS {0}, class AS {0}_class FROM not_personal WHERE column_name = '{0}') USING ({0})"""
_OWN = "CASE WHEN {0}_class = 'junk' THEN NULL ELSE {0} END"
_SEVERAL = "CASE WHEN {0}_class IN ('household', 'organisation') THEN {0} END"

_CLASSED_LISTS = """
LEFT JOIN (
    SELECT unique_id, list(value) FILTER (class = 'junk') AS {0}_junk,
        list_sort(list(value) FILTER (class <> 'junk')) AS {0}_shared
    FROM (SELECT unique_id, unnest({0}) AS value FROM records)
    JOIN (SELECT value, class FROM not_personal WHERE column_name = '{0}') USING (value)
    GROUP BY unique_id
) USING (unique_id)"""
_OWN_LIST = (
    "CASE WHEN array_length({0}_junk) > 0"
    " THEN nullif(list_filter({0}, lambda item: NOT list_contains({0}_junk, item)), []) ELSE {0} END"
)
_SEVERAL_LIST = "CASE WHEN array_length({0}_shared) > 0 THEN {0}_shared END"

_DATES = f"""
LEFT JOIN (
    SELECT value AS birth_date, true AS nobodys_date FROM shared_values WHERE column_name = '{NOBODYS_DATE}'
) USING (birth_date)"""  # noqa: S608 - a name of ours


def profile_of(engine: Engine, classes: Sequence[ContactClasses]) -> Profile:
    """Return the profile of the table `records`, whose contacts were judged before."""
    figures = ", ".join(f"count({name}), approx_count_distinct({name})" for name in COLUMNS)
    row = engine.execute(f"SELECT count(*), {figures} FROM records").fetchone()  # noqa: S608 - our names
    records, *values = (int(value) for value in row or ())
    columns = {
        name: Column(filled / records, distinct)
        for name, filled, distinct in zip(COLUMNS, values[::2], values[1::2], strict=True)
        if filled
    }
    shared = {found.column: found.counts[JUNK] for found in classes if JUNK in found.counts}
    told = {column: by for column, by in MAY_BE_TOLD.items() if _told(engine, column, by) >= TOLD}
    return Profile(records, columns, shared, {found.column: found.counts for found in classes}, told)


def _told(engine: Engine, column: str, by: str) -> float:
    """Return the share of wrong guesses of `column` that `by` saves (Goodman and Kruskal's lambda, 1954)."""
    row = engine.execute(_LAMBDA.format(column=column, by=by), [FEWEST_BEARERS]).fetchone()
    right, usual, records = (float(value or 0) for value in row or (0, 0, 0))
    return (right - usual) / (records - usual) if records > usual else 0.0


_LAMBDA = """
WITH counted AS (
    SELECT told_by, told, records FROM (
        SELECT told_by, told, records, sum(records) OVER (PARTITION BY told_by) AS bearers FROM (
            SELECT {by} AS told_by, {column} AS told, count(*) AS records
            FROM records WHERE {by} IS NOT NULL AND {column} IS NOT NULL GROUP BY {by}, {column}))
    WHERE bearers >= ?
)
SELECT
    (SELECT sum(most) FROM (SELECT max(records) AS most FROM counted GROUP BY told_by)),
    (SELECT max(total) FROM (SELECT sum(records) AS total FROM counted GROUP BY told)),
    (SELECT sum(records) FROM counted)
"""
