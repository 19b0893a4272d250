"""Which pairs of records are compared at all: bounded blocks over a fixed list of rules.

Records that agree on all parts of a rule form a block. A block too large to compare in full is dropped from a
loose rule and thinned in a telling one, so that the number of pairs grows with the records and not with their
square; both are reported. A pair found by several rules is compared once.

A thinned block is put in order by what its records hold, as in the sorted-neighbourhood method (Hernandez and
Stolfo, 1995): each record is compared with its next NEIGHBOURS, which are the most like it, and with ANCHORS
records spread evenly over the block, so that neither a typing error at the start of a name nor a missing
value leaves it among strangers. One person's records stay tied together however many they are.
"""

from dataclasses import dataclass
from typing import Final

from identity.blocking_rules import EQUAL, Rule, is_telling
from identity.engine import Engine

LARGEST_BLOCK: Final = 400
"""Records. A larger block is not worth its 80,000 pairs."""

PAIRS_PER_RECORD: Final = 0.75
"""Budget of one rule, in pairs a record: its largest blocks are dropped or thinned until it stays below."""

SMALLEST_BUDGET: Final = 300_000  # pairs: small files can afford every rule

NEIGHBOURS: Final = 5
ANCHORS: Final = 5
"""Of a thinned block: the pairs of one record are at most these together, whatever the size of the block."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """How many pairs each rule gave, and how many blocks it dropped or thinned as too large.

    `dropped_pairs` are those of the dropped blocks.
    """

    rule: str
    pairs: int
    largest_block: int
    dropped_blocks: int
    dropped_pairs: int
    thinned_blocks: int = 0


def block(engine: Engine, rules: tuple[Rule, ...], records: int, table: str) -> list[Blocking]:
    """Fill `table` (match_key, join_key_l, join_key_r) with every pair that a rule brings together.

    `match_key` is the position of the first rule that found the pair.
    """
    engine.execute("CREATE OR REPLACE TABLE blocks (rule UTINYINT, members BIGINT[])")
    engine.execute("CREATE OR REPLACE TABLE thinned (rule UTINYINT, one BIGINT, other BIGINT)")
    budget = max(SMALLEST_BUDGET, round(PAIRS_PER_RECORD * records))
    report = []
    for number, rule in enumerate((*rules, EQUAL)):
        engine.execute(_blocks_sql(rule))
        limit = _largest_affordable(engine, budget)
        engine.execute(
            "INSERT INTO blocks SELECT ?, members FROM candidates WHERE size <= ?", [number, limit]
        )
        thinned = _thin(engine, number, limit) if is_telling(rule) else None
        report.append(_report(engine, rule, limit, thinned))
    engine.execute("DROP TABLE IF EXISTS candidates")
    engine.execute(_PAIRS.format(table))
    engine.execute("DROP TABLE blocks")
    engine.execute("DROP TABLE thinned")
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
SELECT list(unique_id) AS members, count(*) AS size
FROM (SELECT unique_id, {selected} FROM records)
WHERE {present}
GROUP BY {", ".join(parts)}
HAVING count(*) > 1
"""  # noqa: S608 - expressions of our catalogue


_SIZES = """
SELECT size, sum(size * (size - 1) // 2)::BIGINT AS pairs FROM candidates
WHERE size <= ? GROUP BY size ORDER BY size
"""


def _largest_affordable(engine: Engine, budget: int) -> int:
    """Return the size up to which all blocks together stay within the budget."""
    limit, total = 2, 0
    for size, pairs in engine.execute(_SIZES, [LARGEST_BLOCK]).fetchall():
        total += pairs
        if total > budget:
            break
        limit = int(size)
    return limit


_ORDER: Final = (
    "last_name", "first_name", "birth_date", "national_id", "email", "phone", "user_id", "loyalty_id",
    "postcode", "street", "house_number", "unique_id",
)  # fmt: skip
"""What tells people apart, the surest to be filled first; missing values last."""

_PLACED = f"""
CREATE OR REPLACE TABLE placed AS
SELECT block, size, unique_id,
    row_number() OVER (PARTITION BY block ORDER BY {", ".join(f"{name} NULLS LAST" for name in _ORDER)}) - 1
        AS place
FROM (SELECT rowid AS block, size, unnest(members) AS unique_id FROM candidates WHERE size > ?)
JOIN records USING (unique_id)
"""  # noqa: S608 - our names

_BESIDE: Final = ", ".join(
    [
        *(f"place + {step}" for step in range(1, NEIGHBOURS + 1)),
        *(f"{2 * anchor + 1} * size // {2 * ANCHORS}" for anchor in range(ANCHORS)),
    ]
)

_THIN = f"""
INSERT INTO thinned
SELECT DISTINCT ?, least(l.unique_id, r.unique_id), greatest(l.unique_id, r.unique_id)
FROM (SELECT block, unique_id, unnest([{_BESIDE}]) AS beside FROM placed) AS l
JOIN placed AS r ON l.block = r.block AND l.beside = r.place
WHERE l.unique_id <> r.unique_id
"""  # noqa: S608 - numbers of ours


def _thin(engine: Engine, number: int, limit: int) -> int:
    """Put the pairs of blocks beyond `limit` into `thinned`; return how many they are."""
    engine.execute(_PLACED, [limit])
    engine.execute(_THIN, [number])
    engine.execute("DROP TABLE placed")
    (pairs,) = engine.execute("SELECT count(*) FROM thinned WHERE rule = ?", [number]).fetchone() or (0,)
    return int(pairs)


_REPORT = """
SELECT
    coalesce(sum(size * (size - 1) // 2) FILTER (size <= $1), 0),
    coalesce(max(size), 0),
    count(*) FILTER (size > $1),
    coalesce(sum(size * (size - 1) // 2) FILTER (size > $1), 0)
FROM candidates
"""


def _report(engine: Engine, rule: Rule, limit: int, thinned: int | None) -> Blocking:
    """Report on a rule; `thinned` pairs are of its blocks beyond `limit`, None where these were dropped."""
    row = engine.execute(_REPORT, [limit]).fetchone() or (0, 0, 0, 0)
    pairs, largest, blocks, lost = (int(value) for value in row)
    if thinned is None:
        return Blocking(rule.name, pairs, largest, blocks, lost)
    return Blocking(rule.name, pairs + thinned, largest, 0, 0, blocks)


_PAIRS = """
CREATE OR REPLACE TABLE {0} AS
SELECT min(rule)::VARCHAR AS match_key, join_key_l, join_key_r
FROM (
    SELECT rule, join_key_l, unnest(members) AS join_key_r
    FROM (SELECT rule, members, unnest(members) AS join_key_l FROM blocks)
    UNION ALL
    FROM thinned
)
WHERE join_key_l < join_key_r
GROUP BY join_key_l, join_key_r
"""
