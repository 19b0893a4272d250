"""Linking on Spark makes what linking on DuckDB makes: levels, model, weights, golden IDs."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from api.memberships import rows
from benchmarks.labelled import batch_of, labelled_rows
from identity import learning
from identity.canary_scoring import shapes_of
from identity.clustering import cluster
from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.comparison import SEVERAL
from identity.comparisons import CATALOGUE
from identity.engine import open_engine
from identity.household_pairs import household_pairs
from identity.linking import score
from tests.spark.running import QUIET, java_processes, spark
from tests.world import a_world

pytestmark = [QUIET, pytest.mark.slow, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).resolve().parents[2]
WORDS = (  # never empty: `identity.record_table` makes that a missing value
    "ana", "anna", "antonio", "antonia", "jose luis", "j", "maria", "garcia lopez", "lopez garcia", "garcia",
    "gracia", "smith", "smyth", "oconnor", "de", "münchen", "łódź", "李", "main street", "calle mayor",
    "28013", "28031", "ana.ruiz63@example.com", "ana.ruiz73@example.com", "ruiz@example.org", "+34600112233",
    "+34600112234", "00600112233", "x1234567l", "x1234576l", " ", "a,b", "ruiz garcia",
    "ana.ruiz63@elsewhere.org", "anna.ruiz63@example.com", "ana,anabel", "f", "m",
)  # fmt: skip
DATES = ("1980-02-03", "1980-03-02", "1980-02-04", "1981-12-24", "1880-02-03", "1980-11-24")


def a_side(chance, name):
    """A value for a column, or none, often one that resembles another's."""
    if chance.random() < 0.25:
        return None
    if name == "birth_date":
        return chance.choice(DATES)
    words = (
        [chance.choice(WORDS) for _ in range(chance.randint(1, 3))]
        if name in LISTS
        else [chance.choice(WORDS)]
    )
    return words if name in LISTS else words[0]


LISTS = LIST_COLUMNS | {SEVERAL[name] for name in LIST_COLUMNS}


def pairs_of_records(count):
    chance = random.Random(5)  # noqa: S311 - made-up records
    names = [*COLUMNS, *SEVERAL.values()]
    fields = [
        pa.field(f"{name}_{side}", pa.list_(pa.string()) if name in LISTS else pa.string())
        for name in names
        for side in "lr"
    ]
    made = []
    for number in range(count):
        row = {f"{name}_{side}": a_side(chance, name) for name in names for side in "lr"}
        for name in names:
            if chance.random() < 0.4:
                row[f"{name}_r"] = row[f"{name}_l"]
        made.append(row | {"number": number})
    return pa.Table.from_pylist(made, schema=pa.schema([pa.field("number", pa.int64()), *fields]))


def levels_of(engine, pairs):
    engine.register("pairs_of_records", pairs)
    cases = ", ".join(
        f"CASE WHEN {item.missing} THEN -1 "
        + " ".join(f"WHEN {level.condition} THEN {n}" for n, level in enumerate(item.levels[:-1]))
        + f" ELSE {len(item.levels) - 1} END AS level_{item.name}"
        for item in CATALOGUE
    )
    return engine.execute(f"SELECT {cases} FROM pairs_of_records ORDER BY number").fetchnumpy()  # noqa: S608 - of this test


def test_every_condition_holds_of_the_same_pairs(tmp_path):
    pairs = pairs_of_records(10_000)
    with open_engine() as engine:
        expected = levels_of(engine, pairs)
    with spark(tmp_path) as engine:
        found = levels_of(engine, pairs)
    for item in CATALOGUE:
        name = f"level_{item.name}"
        differ = np.flatnonzero(expected[name] != found[name])
        assert not len(differ), (item.name, pairs.slice(int(differ[0]), 1).to_pylist())
        assert set(expected[name].tolist()) == set(range(-1, len(item.levels))), "each level was tried"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same 4,000 messy records linked by either engine: scores, frequencies, households and shapes."""
    batch = batch_of(labelled_rows("messy_4k")[0])
    engines = {"duckdb": open_engine, "spark": lambda: spark(tmp_path_factory.mktemp("spill"))}
    return batch, {name: linked(batch, opened) for name, opened in engines.items()}


def linked(batch, opened):
    kept = []
    with opened() as engine:
        scored = score([batch], engine=engine, model=None, seed=1, on_frequency=lambda *row: kept.append(row))
        return scored, kept, household_pairs(engine, scored.model), shapes_of(engine)


def test_both_engines_learn_one_model(both):
    _, (duckdb, spark_) = both[0], both[1].values()
    assert spark_[0].model == duckdb[0].model
    assert spark_[0].report.blocking == duckdb[0].report.blocking
    assert spark_[0].report.compared_pairs == duckdb[0].report.compared_pairs > 10_000
    assert spark_[1] == duckdb[1]


def test_both_engines_give_the_same_pairs_the_same_weights(both):
    _, (duckdb, spark_) = both[0], both[1].values()
    for one, other in ((duckdb[0].pairs, spark_[0].pairs), (duckdb[2], spark_[2])):
        assert len(one) > 50
        assert np.array_equal(one.record_a, other.record_a)
        assert np.array_equal(one.record_b, other.record_b)
        assert np.abs(one.weight - other.weight).max() <= 1e-6  # the last of the decimals that are kept
    assert np.array_equal(duckdb[0].pairs.evidence.bits, spark_[0].pairs.evidence.bits)
    assert spark_[3] == duckdb[3]


def test_both_engines_make_the_same_people(both):
    batch, found = both
    one, other = (
        cluster(batch.record_nos, scored.pairs, scored.model.threshold) for scored, *_ in found.values()
    )
    assert np.array_equal(one.label, other.label)
    assert np.abs(one.confidence - other.confidence).max() <= 1e-6
    assert 1_000 < len(set(one.label.tolist())) < 4_000


def test_of_too_many_pairs_both_engines_take_one_sample(tmp_path, monkeypatch):
    batch = batch_of(labelled_rows("messy_1k")[0])
    monkeypatch.setattr(learning, "COMPARED_AT_ONCE", 2_000)
    models = [linked(batch, opened)[0].model for opened in (open_engine, lambda: spark(tmp_path))]
    assert models[0] == models[1]


def test_a_home_linked_on_spark_has_the_golden_ids_that_duckdb_gives_it(tmp_path):
    made = tmp_path / "records.parquet"
    subprocess.run(
        [sys.executable, "-m", "api.demo.generator", "--records", "3000", "--out", str(made)],
        cwd=ROOT, check=True,
    )  # fmt: skip
    mapping = ROOT / "api" / "demo" / "mappings" / "all.toml"
    with a_world(tmp_path) as world:
        world.answer("ingest", str(made), "--mapping", str(mapping))
        settings = {"AUREA_SPARK_MASTER": "local[2]", "AUREA_SPARK_MEMORY": "1g"}
        first = world.answer("link", "--engine", "spark", environment=settings)
        published = rows(world.services)
        again = world.link(retrain=True)
        assert rows(world.services) == published, "confidence too, to the last decimal"
        assert list((world.home / "spill").iterdir()) == []
    assert first["golden_ids"] == again["golden_ids"] > 1_000
    assert first["model_version"] == again["model_version"], "it is a hash over the whole model"
    assert first["canaries"] == again["canaries"]
    assert first["households"] == again["households"]
    assert (again["created"], again["merged"], again["split"]) == (0, 0, 0)
    assert not any(again["held"].values()), "nothing had to be held back for it"
    assert not java_processes()
