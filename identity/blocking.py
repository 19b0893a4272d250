"""Which pairs of records are compared at all: bounded blocks over a fixed list of rules.

Records that agree on all parts of a rule form a block. A block too large to compare is dropped from that
rule, so that the number of pairs grows with the records and not with their square; what was dropped is
reported. A pair found by several rules is compared once.
"""

from dataclasses import dataclass
from typing import Final

import duckdb

from identity.blocking_rules import Rule

LARGEST_BLOCK: Final = 400
"""Records. A larger block says too little to be worth its 80,000 pairs."""

PAIRS_PER_RECORD: Final = 0.75
"""Budget of one rule: its largest blocks are dropped until it stays below this many pairs a record."""

SMALLEST_BUDGET: Final = 300_000  # pairs: small files can afford every rule


@dataclass(frozen=True, slots=True)
class Blocking:
    """How many pairs each rule gave, and how many blocks and pairs it dropped as too large."""

    rule: str
    pairs: int
    largest_block: int
    dropped_blocks: int
    dropped_pairs: int


def block(
    engine: duckdb.DuckDBPyConnection, rules: tuple[Rule, ...], records: int, table: str
) -> list[Blocking]:
    """Fill `table` (match_key, join_key_l, join_key_r) with every pair that a rule brings together.

    `match_key` is the position of the first rule that found the pair.
    """
    engine.execute("CREATE OR REPLACE TABLE blocks (rule UTINYINT, members BIGINT[])")
    budget = max(SMALLEST_BUDGET, round(PAIRS_PER_RECORD * records))
    report = []
    for number, rule in enumerate(rules):
        engine.execute(_blocks_sql(rule))
        limit = _largest_affordable(engine, budget)
        engine.execute(
            "INSERT INTO blocks SELECT ?, members FROM candidates WHERE size <= ?", [number, limit]
        )
        report.append(_report(engine, rule, limit))
    engine.execute("DROP TABLE IF EXISTS candidates")
    engine.execute(_PAIRS.format(table))
    engine.execute("DROP TABLE blocks")
    return report


def _blocks_sql(rule: Rule) -> str:
    parts = tuple(f"part_{position}" for position in range(len(rule.parts)))
    selected = ", ".join(
        f"unnest({part}) AS {name}" if rule.unnest and position == 0 else f"{part} AS {name}"
        for position, (part, name) in enumerate(zip(rule.parts, parts, strict=True))
    )
    present = " AND ".join(f"{name} IS NOT NULL" for name in parts)
    return f"""
CREATE OR REPLACE TABLE candidates AS
SELECT list(unique_id) AS members, len(members) AS size
FROM (SELECT unique_id, {selected} FROM records)
WHERE {present}
GROUP BY {", ".join(parts)}
HAVING count(*) > 1
"""  # noqa: S608 - expressions of our catalogue


_SIZES = """
SELECT size, sum(size * (size - 1) // 2)::BIGINT AS pairs FROM candidates
WHERE size <= ? GROUP BY size ORDER BY size
"""


def _largest_affordable(engine: duckdb.DuckDBPyConnection, budget: int) -> int:
    """Return the size up to which all blocks together stay within the budget."""
    limit, total = 2, 0
    for size, pairs in engine.execute(_SIZES, [LARGEST_BLOCK]).fetchall():
        total += pairs
        if total > budget:
            break
        limit = int(size)
    return limit


_REPORT = """
SELECT
    coalesce(sum(size * (size - 1) // 2) FILTER (size <= $1), 0),
    coalesce(max(size), 0),
    count(*) FILTER (size > $1),
    coalesce(sum(size * (size - 1) // 2) FILTER (size > $1), 0)
FROM candidates
"""


def _report(engine: duckdb.DuckDBPyConnection, rule: Rule, limit: int) -> Blocking:
    row = engine.execute(_REPORT, [limit]).fetchone() or (0, 0, 0, 0)
    return Blocking(rule.name, *(int(value) for value in row))


_PAIRS = """
CREATE OR REPLACE TABLE {0} AS
SELECT min(rule)::VARCHAR AS match_key, join_key_l, join_key_r
FROM (
    SELECT rule, join_key_l, unnest(members) AS join_key_r
    FROM (SELECT rule, members, unnest(members) AS join_key_l FROM blocks)
)
WHERE join_key_l < join_key_r
GROUP BY join_key_l, join_key_r
"""
