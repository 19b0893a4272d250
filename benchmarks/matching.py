"""One record against 20 candidates: Splink's own call, and the model's conditions in SQLite (ADR 8).

    python benchmarks/matching.py

The model is made up (seven comparisons, fixed probabilities): only the time of one call is measured, and
that both ways give the same weights. The records are of the demo generator.
"""

import logging
import math
import sqlite3
import time
from typing import Any, Final

import duckdb
import pyarrow as pa
from measure import microseconds, report, rounded
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler
from splink import DuckDBAPI, Linker

from api.demo.channels import COLUMNS
from api.demo.generator import generate

CANDIDATES: Final = 20
COMPARED: Final = ("first_name", "last_name", "birth_date", "email", "phone", "postcode", "city")
PRIOR: Final = 1e-4  # two random records are one person

# Per comparison: condition, m and u of each level from strict to loose. The last level takes the rest.
_FUZZY_NAME: Final = (
    ("{c}_l = {c}_r", 0.7, 0.01),
    ("jaro_winkler_similarity({c}_l, {c}_r) >= 0.92", 0.1, 0.005),
    ("jaro_winkler_similarity({c}_l, {c}_r) >= 0.85", 0.05, 0.02),
    ("ELSE", 0.15, 0.965),
)
_CLOSE: Final = (
    ("{c}_l = {c}_r", 0.8, 0.001),
    ("damerau_levenshtein({c}_l, {c}_r) <= 1", 0.1, 0.004),
    ("ELSE", 0.1, 0.995),
)
LEVELS: Final = {
    column: _FUZZY_NAME if column in {"first_name", "last_name", "city"} else _CLOSE for column in COMPARED
}


def main() -> None:
    """Print microseconds a call for both, and the largest difference of a weight."""
    people = records()
    new, candidates = people[:1], people[1 : CANDIDATES + 1]
    linker = splink_linker(people)
    splink_weights = score_by_splink(linker, new, candidates)  # warm
    calls = 10
    began = time.perf_counter()
    for _ in range(calls):
        score_by_splink(linker, new, candidates)
    splink_us = (time.perf_counter() - began) / calls * 1e6
    con, statement = sqlite_scorer()
    fast_weights = score_by_sqlite(con, statement, new[0], candidates)
    sqlite_us = microseconds(lambda: score_by_sqlite(con, statement, new[0], candidates))
    report(
        "matching",
        candidates=CANDIDATES,
        comparisons=len(COMPARED),
        splink_score_pairs_us=rounded(splink_us),
        sqlite_prepared_statement_us=rounded(sqlite_us),
        largest_difference_of_a_weight=max(
            abs(splink_weights[key] - fast_weights[key]) for key in fast_weights
        ),
    )


def records() -> list[dict[str, Any]]:
    """Return some generated customers, as rows of the compared columns."""
    rows = [row for chunk in generate(customers=200) for row, _ in chunk if row[0] == "crm"]
    at = [COLUMNS.index(name) for name in COMPARED]
    return [
        {"unique_id": number, **{name: row[i] or None for name, i in zip(COMPARED, at, strict=True)}}
        for number, row in enumerate(rows)
    ]


def splink_linker(people: list[dict[str, Any]]) -> Linker:
    """Return a linker with the made-up model."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    comparisons = []
    for column, levels in LEVELS.items():
        null = {"sql_condition": f"{column}_l IS NULL OR {column}_r IS NULL", "is_null_level": True}
        scored = [
            {"sql_condition": sql.format(c=column), "m_probability": m, "u_probability": u}
            for sql, m, u in levels
        ]
        comparisons.append({"output_column_name": column, "comparison_levels": [null, *scored]})
    settings = {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": PRIOR,
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": ["l.email = r.email"],
    }
    api = DuckDBAPI(duckdb.connect(":memory:"))
    columns = {name: [person[name] for person in people] for name in ("unique_id", *COMPARED)}

    return Linker(api.register(pa.table(columns)), settings)


def score_by_splink(
    linker: Linker, new: list[dict[str, Any]], candidates: list[dict[str, Any]]
) -> dict[int, float]:
    """Return the match weight by candidate, from Splink's own call."""
    scored = linker.inference.score_pairs(new, candidates).as_record_list()
    key = "unique_id_r" if scored[0]["unique_id_l"] == new[0]["unique_id"] else "unique_id_l"
    return {row[key]: row["match_weight"] for row in scored}


def sqlite_scorer() -> tuple[sqlite3.Connection, str]:
    """Return an in-memory SQLite with DuckDB's function names, and the model as one statement."""
    con = sqlite3.connect(":memory:", isolation_level=None)
    options = {"deterministic": True}
    con.create_function("jaro_winkler_similarity", 2, JaroWinkler.similarity, **options)
    con.create_function("damerau_levenshtein", 2, DamerauLevenshtein.distance, **options)
    con.execute(f"CREATE TABLE candidates (id INTEGER, {', '.join(f'{name}_r TEXT' for name in COMPARED)})")
    terms = []
    for column, levels in LEVELS.items():
        cases = [f"WHEN {column}_l IS NULL OR {column}_r IS NULL THEN 0.0"]
        for sql, m, u in levels:
            weight = math.log2(m / u)
            cases.append(
                f"ELSE {weight!r}" if sql == "ELSE" else f"WHEN {sql.format(c=column)} THEN {weight!r}"
            )
        terms.append(f"CASE {' '.join(cases)} END")
    new = ", ".join(f":{name} AS {name}_l" for name in COMPARED)
    prior = math.log2(PRIOR / (1 - PRIOR))
    return con, f"SELECT id, {prior!r} + {' + '.join(terms)} FROM candidates, (SELECT {new})"


def score_by_sqlite(
    con: sqlite3.Connection, statement: str, new: dict[str, Any], candidates: list[dict[str, Any]]
) -> dict[int, float]:
    """Return the match weight by candidate, from the prepared statement (the driver caches it)."""
    con.execute("DELETE FROM candidates")
    marks = ", ".join("?" * (len(COMPARED) + 1))
    rows = [tuple(person[name] for name in ("unique_id", *COMPARED)) for person in candidates]
    con.executemany(f"INSERT INTO candidates VALUES ({marks})", rows)
    return dict(con.execute(statement, {name: new[name] for name in COMPARED}).fetchall())


if __name__ == "__main__":
    main()
