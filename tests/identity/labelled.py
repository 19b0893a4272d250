"""Labelled sets under ../shared as opened batches, the way the privacy side would hand them over."""

from functools import cache

import pyarrow.parquet as pq

from identity.normalise import normalise
from identity.records import OpenedBatch
from tests.shared import shared

NOT_COMPARED = {"channel", "source_id"}


@cache
def labelled(name):
    """Return (batch, record number -> person) of a set; numbers count from 1 in file order."""
    rows = pq.read_table(shared(f"data/{name}/records.parquet")).to_pylist()
    truth = {
        (row["channel"], row["source_id"]): row["person"]
        for row in pq.read_table(shared(f"data/{name}/truth.parquet")).to_pylist()
    }
    comparables = [comparable_of(row).encode() for row in rows]
    numbers = range(1, len(rows) + 1)
    people = {n: truth[row["channel"], row["source_id"]] for n, row in zip(numbers, rows, strict=True)}
    return OpenedBatch(list(numbers), [row["channel"] or "" for row in rows], comparables), people


def comparable_of(row):
    """Return the comparable form of one row of a labelled set."""
    values = {name: value for name, value in row.items() if value and name not in NOT_COMPARED}
    return normalise(
        {name: value if isinstance(value, list) else [str(value)] for name, value in values.items()}
    )
