"""At which level two records are in a comparison: the comparison's own SQL over their comparable forms."""

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.comparison import Comparison
from identity.normalise import normalise

Raw = Mapping[str, str]

_TYPES = {name: pa.list_(pa.string()) if name in LIST_COLUMNS else pa.string() for name in COLUMNS}
_FIELDS = [pa.field(f"{name}_{side}", kind) for side in "lr" for name, kind in _TYPES.items()]


def levels(pairs: Sequence[tuple[Raw, Raw]], comparison: Comparison) -> list[str | None]:
    """Return each pair's level, None where the comparison has nothing to compare."""
    rows = [{**_side(one, "l"), **_side(other, "r"), "position": at} for at, (one, other) in enumerate(pairs)]
    cases = " ".join(
        f"WHEN {level.condition} THEN '{level.label.replace(chr(39), chr(39) * 2)}'"
        for level in comparison.levels
        if level.condition != "ELSE"
    )
    with duckdb.connect() as engine:
        engine.register(
            "pairs",
            pa.Table.from_pylist(rows, schema=pa.schema([pa.field("position", pa.int64()), *_FIELDS])),
        )
        query = f"SELECT CASE WHEN {comparison.missing} THEN NULL {cases} ELSE 'different' END"
        found = engine.execute(f"{query} FROM pairs ORDER BY position").fetchall()
    return [level for (level,) in found]


def level(one: Raw, other: Raw, comparison: Comparison) -> str | None:
    """Return the level of one pair."""
    return levels([(one, other)], comparison)[0]


def _side(raw: Raw, side: str) -> dict[str, object]:
    columns = normalise({name: [value] for name, value in raw.items()}).columns
    return {f"{name}_{side}": value for name, value in columns.items()}
