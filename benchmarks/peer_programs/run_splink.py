"""Plain Splink with its own library comparisons: python run_splink.py RECORDS TRUTH OUT.

Two classes, fixed settings in the manner of Splink's tutorials for whatever columns are there, p >= 0.95,
connected components. No labels.
"""

import json
import logging
import sys
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.exceptions import EMTrainingException

THRESHOLD = 0.95

COMPARISONS = {
    "first_name": cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
    "last_name": cl.NameComparison("last_name").configure(term_frequency_adjustments=True),
    "full_name": cl.NameComparison("full_name").configure(term_frequency_adjustments=True),
    "birth_date": cl.DateOfBirthComparison("birth_date", input_is_string=True),
    "email": cl.EmailComparison("email"),
    "phone": cl.LevenshteinAtThresholds("phone", 1),
    "postcode": cl.LevenshteinAtThresholds("postcode", 1).configure(term_frequency_adjustments=True),
    "city": cl.JaroWinklerAtThresholds("city").configure(term_frequency_adjustments=True),
    "street": cl.JaroWinklerAtThresholds("street"),
    "full_address": cl.JaroWinklerAtThresholds("full_address"),
    "national_id": cl.LevenshteinAtThresholds("national_id", 1),
    "gender": cl.ExactMatch("gender"),
    **{name: cl.ExactMatch(name) for name in ("user_id", "loyalty_id", "device_id")},
}

BLOCKS = (
    ("email",), ("phone",), ("national_id",), ("user_id",), ("loyalty_id",), ("device_id",),
    ("first_name", "last_name"), ("last_name", "birth_date"), ("first_name", "birth_date"),
    ("last_name", "postcode"), ("first_name", "postcode"), ("full_name",), ("birth_date", "postcode"),
)  # fmt: skip

# Where there is no postcode.
CITY_BLOCKS = (("last_name", "city"), ("first_name", "city"), ("birth_date", "city"))

CERTAIN = (
    ("email", "first_name"), ("phone", "first_name"), ("first_name", "last_name", "birth_date"),
    ("full_name", "birth_date"), ("full_name", "email"), ("full_name", "phone"), ("full_name", "postcode"),
    ("national_id",), ("user_id",), ("loyalty_id",),
)  # fmt: skip

SESSIONS = (("first_name", "last_name"), ("birth_date",), ("full_name",), ("email",))


def main(records: str, _truth: str, out: str) -> None:
    logging.getLogger("splink").setLevel(logging.ERROR)
    connection = duckdb.connect()
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [records]).fetchall()
    columns = [name for name, *_ in described]
    started = time.perf_counter()
    cleaned = ", ".join(f"nullif(lower(trim({name})), '') AS {name}" for name in columns)
    connection.execute(
        "CREATE TABLE records AS SELECT file_row_number AS unique_id, "
        f"{cleaned} FROM read_parquet('{records}', file_row_number = true)"
    )
    api = DuckDBAPI(connection)
    blocks = BLOCKS if "postcode" in columns else (*BLOCKS, *CITY_BLOCKS)
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[comparison for name, comparison in COMPARISONS.items() if name in columns],
        blocking_rules_to_generate_predictions=[
            block_on(*rule) for rule in blocks if set(rule) <= {*columns}
        ],
    )
    linker = Linker(api.register("records"), settings)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    certain = [block_on(*rule) for rule in CERTAIN if set(rule) <= {*columns}]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.7)
    for rule in SESSIONS:
        if set(rule) <= {*columns}:
            with suppress(ValueError, EMTrainingException):  # an aborted session is left out
                linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    predicted = linker.inference.predict(threshold_match_probability=THRESHOLD)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=THRESHOLD
    )
    found = connection.execute(
        f"SELECT cluster_id FROM {clusters.physical_name} ORDER BY unique_id"
    ).fetchall()
    answer = {"labels": [label for (label,) in found], "seconds": time.perf_counter() - started,
              "note": "p >= 0.95"}  # fmt: skip
    Path(out).write_text(json.dumps(answer, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
