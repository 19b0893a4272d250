"""What Splink compares, and that our weights over it are the weights that Splink itself would give."""

import pytest

from identity import frequencies, learning, linking
from identity.engine import open_engine
from identity.frequencies import count_frequencies, with_frequencies
from identity.linking import score
from identity.scoring_sql import near_sql, others_frequency_sql, sums_sql, weighed_sql
from identity.splink_bridge import compare, linker
from tests.identity.labelled import labelled


@pytest.fixture(scope="module")
def run():
    """An engine in which senzing's records were scored, and the scores."""
    batch, _ = labelled("senzing_truthset")
    with open_engine(threads=2) as engine:
        yield engine, score([batch], engine=engine, model=None, seed=1)


def test_the_weights_against_strangers_are_those_that_splink_gives(run, monkeypatch):
    monkeypatch.setattr(frequencies, "POOLED_FROM", 10**9)  # Splink counts every value, however rare
    engine, scored = run
    model = scored.model
    assert model.frequency_columns()
    table = compare(engine, model.comparisons, "pairs")
    count_frequencies(engine, model)
    compared = with_frequencies(model, table)
    ours = engine.execute(
        f"SELECT record_a, record_b, unrelated FROM ({sums_sql(model, compared)})"  # noqa: S608 - tables of ours
    ).fetchall()
    splinks = linker(engine, model.comparisons, prior=1 / (1 + 2**-model.prior))
    for item in model.comparisons:
        for column in {level.frequency for level in item.levels if level.frequency}:
            register_frequencies(engine, splinks, column, others_frequency_sql(model, item, column))
    pairs = splinks._db_api.register("pairs", table_name="pairs_for_splink")
    splinks.table_management.register_blocked_pairs_for_predict(pairs)
    predicted = splinks.inference.predict(warning_mode="never")
    theirs = engine.execute(
        f"SELECT unique_id_l, unique_id_r, match_weight FROM {predicted.physical_name}"  # noqa: S608 - Splink's name
    ).fetchall()
    assert len(ours) == len(theirs) > 400
    expected = {(a, b): weight for a, b, weight in theirs}
    for a, b, weight in ours:
        assert weight == pytest.approx(expected[a, b], abs=1e-9)


def register_frequencies(engine, splinks, column, others):
    """Give Splink the frequencies that our weights use: those among other people's records."""
    engine.execute(f"""
        CREATE OR REPLACE TABLE others_{column} AS SELECT {column}, {others} AS tf_{column} FROM (
            SELECT {column}, count(*) / sum(count(*)) OVER () AS tf_{column}
            FROM records WHERE {column} IS NOT NULL GROUP BY {column})""")  # noqa: S608 - columns of ours
    registered = splinks._db_api.register(f"others_{column}", table_name=f"registered_{column}")
    splinks.table_management.register_term_frequency_lookup(registered, column)


def test_no_pair_is_weighed_that_could_not_be_near_nor_any_left_out_that_is(run):
    engine, scored = run
    table = compare(engine, scored.model.comparisons, "pairs")
    count_frequencies(engine, scored.model)
    every = weighed_sql(scored.model, with_frequencies(scored.model, table))
    near = weighed_sql(scored.model, with_frequencies(scored.model, f"({near_sql(scored.model, table)})"))
    found = [engine.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall() for query in (every, near)]  # noqa: S608 - tables of ours
    assert found[0] == found[1]
    (candidates,) = engine.execute(f"SELECT count(*) FROM ({near_sql(scored.model, table)})").fetchone()  # noqa: S608 - as above
    assert len(found[0]) <= candidates < scored.report.compared_pairs


def test_the_pairs_that_are_kept_are_those_that_a_query_picks(run):
    engine, scored = run
    every = compare(engine, scored.model.comparisons, "pairs")
    some = compare(engine, scored.model.comparisons, "pairs", "SELECT * FROM {0} WHERE level_first_name = 0")
    wanted = engine.execute(f"SELECT * FROM {every} WHERE level_first_name = 0 ORDER BY ALL").fetchall()  # noqa: S608 - tables of ours
    assert engine.execute(f"SELECT * FROM {some} ORDER BY ALL").fetchall() == wanted  # noqa: S608 - as above
    assert wanted


def test_of_too_many_pairs_a_sample_trains_and_all_are_weighed(run, monkeypatch):
    _, whole = run
    batch, _ = labelled("senzing_truthset")
    monkeypatch.setattr(learning, "COMPARED_AT_ONCE", whole.report.compared_pairs // 2)
    with open_engine(threads=2) as engine:
        sampled = score([batch], engine=engine, model=None, seed=1)
        left = {name for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert sampled.model != whole.model
    assert not [name for name in left if "compared" in name or "sample" in name]
    monkeypatch.undo()
    with open_engine(threads=2) as engine:
        again = linking.score([batch], engine=engine, model=sampled.model, seed=1)
    assert again.pairs.weight.tolist() == sampled.pairs.weight.tolist()
    assert again.pairs.record_a.tolist() == sampled.pairs.record_a.tolist()
