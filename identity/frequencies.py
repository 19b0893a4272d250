"""How common each record's values are, of the columns whose frequency the weights use.

A value that fewer than COMMON records hold counts as an average rare one: outside a run nothing is kept of
it, not even a keyed hash, and the batch knows no more than the online path, so that both weigh a pair alike.
Of fewer than POOLED_FROM records 20 are many: there the batch uses every value's own frequency, and the
online path comes close to it.
"""

from typing import Final

from identity.engine import Engine
from identity.model import Model

TABLE: Final = "frequencies"

COMMON: Final = 20
"""Records that hold a value before its term frequency may be kept outside the run (as a keyed hash)."""

POOLED_FROM: Final = 20_000
"""Records of a model from which rare values are pooled: 20 of them are one in a thousand then. In smaller
sets names would tell too little: CDC's possible matches outweighed its others in .66 of the pairs, and
pooled in .56."""


def count_frequencies(engine: Engine, model: Model) -> None:
    """Fill the table `frequencies` (unique_id, `tf_<column>`): shares of the records that hold a value."""
    names = model.frequency_columns()
    rare = COMMON if model.records >= POOLED_FROM else 0
    joins = "".join(
        f"""
LEFT JOIN (
    SELECT {name}, CASE WHEN count(*) < {rare} THEN ({model.rare_frequencies[name]!r})::DOUBLE
           ELSE count(*) / sum(count(*)) OVER () END AS tf_{name}
    FROM records WHERE {name} IS NOT NULL GROUP BY {name}
) USING ({name})"""  # noqa: S608 - columns of ours
        for name in names
    )
    columns = "".join(f", tf_{name}" for name in names)
    engine.execute(f"CREATE OR REPLACE TABLE {TABLE} AS SELECT unique_id{columns} FROM records{joins}")  # noqa: S608 - as above


def with_frequencies(model: Model, compared: str) -> str:
    """Return a FROM clause of the pairs `compared` and of each frequency, that of the more common value."""
    common = "".join(
        f", greatest(l.tf_{name}, r.tf_{name}) AS tf_{name}" for name in model.frequency_columns()
    )
    return f"""(
SELECT compared.*{common} FROM {compared} AS compared
JOIN {TABLE} AS l ON l.unique_id = record_a JOIN {TABLE} AS r ON r.unique_id = record_b)"""  # noqa: S608 - as above
