"""The bare Splink script that benchmarks/link.py measures our rerun against.

    python benchmarks/link_peer.py RECORDS.parquet [--threads N]

RECORDS.parquet holds plaintext comparable columns with a `unique_id`. Same comparisons, same blocked pairs,
then Splink's own training (random pairs, three EM sessions), predict, clustering, on a plain connection: no
sealing, no locked engine, no household class, no golden IDs. Prints one line of JSON with seconds and memory.
"""

import argparse
import logging
import resource
import time
from itertools import islice

import duckdb
import measure
from splink import DuckDBAPI, Linker
from splink.blocking_rule_library import block_on

from identity import blocking_rules, comparisons
from identity.blocking import block
from identity.record_table import profile_of
from identity.splink_bridge import settings
from identity.training import RANDOM_PAIRS

THRESHOLD = 0.95
SESSION_PAIRS = 200_000
MOST_SESSIONS = 3
SESSIONS = (
    ("first_name", "last_name"), ("birth_date", "last_name"), ("national_id",), ("birth_date", "first_name"),
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("records")
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    logging.getLogger("splink").setLevel(logging.ERROR)
    started = time.perf_counter()
    connection = duckdb.connect()
    connection.execute("SET threads = ?", [given.threads])
    connection.execute(f"CREATE TABLE records AS SELECT * FROM read_parquet('{given.records}')")
    profile = profile_of(connection, [])
    chosen = comparisons.choose(profile)
    block(connection, blocking_rules.choose(profile), profile.records, "pairs")
    api = DuckDBAPI(connection)
    linker = Linker(api.register("records"), settings(chosen, prior=1e-4), log_level=None)
    linker.training.estimate_u_using_random_sampling(
        max_pairs=RANDOM_PAIRS, seed=1, num_chunks=1, min_count_per_level=None
    )
    for columns in islice((columns for columns in SESSIONS if profile.has(*columns)), MOST_SESSIONS):
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(*columns), estimate_without_term_frequencies=True, max_pairs=SESSION_PAIRS
        )
    linker.table_management.register_blocked_pairs_for_predict(api.register("pairs"))
    predicted = linker.inference.predict(threshold_match_probability=THRESHOLD, warning_mode="never")
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=THRESHOLD
    )
    found = connection.execute(f"SELECT count(DISTINCT cluster_id) FROM {clusters.physical_name}").fetchone()
    measure.report(
        "link_peer",
        records=profile.records,
        clusters=found[0] if found else 0,
        seconds=round(time.perf_counter() - started, 2),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


if __name__ == "__main__":
    main()
