"""The batch on labelled data: accurate enough, reproducible, and silent about values."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from identity import comparisons, frequencies
from identity.clustering import cluster
from identity.comparable import Comparable
from identity.engine import open_engine
from identity.errors import NoModelError
from identity.evaluation import evaluate
from identity.linking import score
from identity.matching import OnlineScorer
from identity.model import Model
from identity.normalise import normalise
from identity.records import OpenedBatch
from tests.identity.labelled import labelled


def run(batch, *, threads=2, model=None, seed=1, **options):
    with open_engine(threads=threads) as engine:
        return score([batch], engine=engine, model=model, seed=seed, **options)


@pytest.fixture(scope="module")
def fake_1000():
    return run(labelled("splink_fake_1000")[0])


# Pairwise F1 that a change may not fall below; benchmarks/accuracy.py prints the figures of all sets.
LEAST_F1 = {"splink_fake_1000": 0.93, "febrl_c10k": 0.99, "senzing_truthset": 0.80, "pp_dev": 0.98}
LARGE = pytest.param("febrl_c10k", marks=pytest.mark.slow)  # ten times the records of the others


@pytest.mark.parametrize("name", [LARGE if name == "febrl_c10k" else name for name in LEAST_F1])
def test_it_links_without_labels_and_without_settings(name):
    batch, people = labelled(name)
    scored = run(batch)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    assert evaluate(found, people).pairwise.f1 >= LEAST_F1[name]


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_threads_and_repetition_do_not_change_a_bit(fake_1000, threads):
    batch, _ = labelled("splink_fake_1000")
    again = run(batch, threads=threads)
    assert again.model.to_json() == fake_1000.model.to_json()
    for column in ("record_a", "record_b", "weight"):
        assert np.array_equal(getattr(again.pairs, column), getattr(fake_1000.pairs, column))


def test_the_order_and_the_batches_of_the_records_do_not_matter(fake_1000):
    batch, _ = labelled("splink_fake_1000")
    halves = [
        OpenedBatch(batch.record_nos[part], batch.channels[part], batch.comparables[part])
        for part in (slice(500, None), slice(None, 500))
    ]
    with open_engine(threads=2) as engine:
        again = score(halves, engine=engine, model=None, seed=1)
    assert np.array_equal(again.pairs.weight, fake_1000.pairs.weight)


def test_a_given_model_scores_the_same_without_training(fake_1000):
    batch, _ = labelled("splink_fake_1000")
    again = run(batch, model=Model.from_json(fake_1000.model.to_json()))
    assert not again.report.trained
    assert np.array_equal(again.pairs.weight, fake_1000.pairs.weight)


def test_the_model_holds_no_value_of_the_input(fake_1000):
    batch, _ = labelled("splink_fake_1000")
    text = fake_1000.model.to_json()
    for encoded in batch.comparables:
        for column, value in Comparable.decode(encoded).columns.items():
            for item in (value,) if isinstance(value, str) else value:
                assert f'"{item}"' not in text, column
                assert f"'{item}'" not in text, column


def test_nothing_is_logged(caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        run(labelled("senzing_truthset")[0])
    assert not [record for record in caplog.records if record.name.startswith("splink")]
    assert capfd.readouterr() == ("", "")


ONLINE = ("splink_fake_1000", "senzing_truthset", LARGE)


@pytest.mark.parametrize("name", ONLINE)
def test_the_online_scorer_agrees_with_the_batch(name, monkeypatch):
    """With no more than a run keeps, as in a home of POOLED_FROM records or more."""
    monkeypatch.setattr(frequencies, "POOLED_FROM", 0)
    batch, _ = labelled(name)
    records = [Comparable.decode(encoded) for encoded in batch.comparables]
    with open_engine(threads=2) as engine:
        kept = {}
        scored = score(
            [batch], engine=engine, model=None, seed=1,
            on_frequency=lambda column, value, share: kept.__setitem__((column, value), share),
        )  # fmt: skip
    pairs = scored.pairs
    online = OnlineScorer(scored.model, lambda column, value: kept.get((column, value)))
    for a in sorted(set(pairs.record_a.tolist()))[:60]:
        mine = pairs.record_a == a
        candidates = [records[b - 1] for b in pairs.record_b[mine].tolist()]
        found = online.score(records[a - 1], candidates)
        assert found == pytest.approx(pairs.weight[mine].tolist(), abs=1e-6)
    assert_evidence_alike(online, records, pairs.evidence)


def assert_evidence_alike(online, records, evidence):
    """What the guard sees of an arriving record is what a run's guard sees."""
    assert len(evidence.record_a)
    ends = list(zip(evidence.record_a.tolist(), evidence.record_b.tolist(), strict=True))
    batch = dict(zip(ends, evidence.bits.tolist(), strict=True))
    some = sorted({number for pair in ends[:60] for number in pair})
    found = online.remembering().evidence(some, [records[number - 1] for number in some])
    alike = 0
    for one, other, bits in zip(found.record_a, found.record_b, found.bits.tolist(), strict=True):
        if (int(one), int(other)) in batch:
            assert bits == pytest.approx(batch[int(one), int(other)], abs=1e-5)
            alike += 1
    assert alike
    owners = {number: 1 + place % 2 for place, number in enumerate(some)}  # two golden IDs
    between = online.evidence(some, [records[number - 1] for number in some], owners)
    wanted = [
        (one, other, bits)
        for one, other, bits in zip(found.record_a, found.record_b, found.bits.tolist(), strict=True)
        if owners[int(one)] != owners[int(other)]
    ]
    assert wanted == list(zip(between.record_a, between.record_b, between.bits.tolist(), strict=True))


def test_common_values_are_handed_out_and_rare_ones_are_not():
    people = [
        {"first_name": ["Ann" if n % 2 else f"N{n}"], "last_name": [f"L{n % 40}"], "email": [f"e{n}@x.org"]}
        for n in range(100)
    ]
    batch = OpenedBatch(list(range(100)), ["web"] * 100, [normalise(person).encode() for person in people])
    found = []
    run(batch, on_frequency=lambda *row: found.append(row))
    assert found == [("first_name", "ann", 0.5)]


def test_an_address_under_many_names_is_no_evidence_and_is_handed_out():
    people = [
        {"first_name": [f"{chr(97 + n % 26)}na{n}"], "last_name": [f"{chr(97 + n // 26)}lee{n}"],
         "email": ["noemail@x.org"]}
        for n in range(60)
    ]  # fmt: skip
    batch = OpenedBatch(list(range(60)), ["web"] * 60, [normalise(person).encode() for person in people])
    found = []
    scored = run(batch, on_frequency=lambda *row: found.append(row))
    assert ("email", "noemail@x.org", 1.0) in found
    assert scored.report.profile.shared_values == {"email": 1}
    assert not (scored.pairs.weight >= scored.model.threshold).any()


FEW = {
    "no record at all": [],
    "one record": [{"full_name": ["Ann Lee"]}],
    "records without anything to compare": [{}, {}, {}],
    "a name that others may have too": [{"full_name": ["Ann Lee"]}] * 2,
}


@pytest.mark.parametrize("case", FEW)
def test_too_little_to_train_on_is_said(case):
    rows = [normalise(row).encode() for row in FEW[case]]
    with pytest.raises(NoModelError):
        run(OpenedBatch(list(range(len(rows))), ["web"] * len(rows), rows))


def linked(rows):
    """Return the record numbers, from 0 on, of every cluster of more than one that these rows make."""
    numbers = list(range(len(rows)))
    encoded = [normalise(row).encode() for row in rows]
    scored = run(OpenedBatch(numbers, ["web"] * len(rows), encoded))
    label = cluster(numbers, scored.pairs, scored.model.threshold).label.tolist()
    found = [[number for number in numbers if label[number] == least] for least in sorted(set(label))]
    return [records for records in found if len(records) > 1]


@pytest.mark.parametrize("column", ["email", "phone", "user_id", "national_id", "device_id"])
def test_a_single_column_of_peoples_own_values_links_who_shares_one(column):
    values = [f"{600_000_007 + 7919 * n}" + ("@x.org" if column == "email" else "") for n in range(120)]
    rows = [{column: [value]} for value in [*values, *values[:40]]]
    assert linked(rows) == [[n, 120 + n] for n in range(40)]


ONE_PERSON = {"full_name": ["Ana Ruiz"], "birth_date": ["1980-02-03"]}
NOTHING_DIFFERS = {
    "two equal records": [ONE_PERSON | {"email": ["ana@x.org"]}] * 2,
    "a login that one of them explains": [{"user_id": ["u-17"]}, ONE_PERSON | {"user_id": ["u-17"]}],
    "hundreds of equal records": [ONE_PERSON | {"email": ["ana@x.org"], "phone": ["+34600111222"]}] * 300,
    "records equal in everything that there is": [
        ONE_PERSON
        | {
            "email": ["ana@x.org"],
            "phone": ["+34600111222"],
            "national_id": ["12345678Z"],
            "user_id": ["u-17"],
            "loyalty_id": ["L77"],
            "social_handle": ["ana"],
            "device_id": ["d1"],
            "cookie_id": ["c1"],
        }
    ]
    * 100,
}


@pytest.mark.parametrize("case", NOTHING_DIFFERS)
def test_where_nothing_differs_an_own_value_makes_one_person(case):
    rows = NOTHING_DIFFERS[case]
    assert linked(rows) == [list(range(len(rows)))]


def test_a_handful_of_records_is_enough():
    rows = [
        {"full_name": ["Ann Lee"], "email": ["ann@lee.org"], "birth_date": ["1980-02-03"]},
        {"full_name": ["Lee, Ann"], "email": ["ANN@lee.org"], "birth_date": ["1980-02-03"]},
        {"full_name": ["Bob Stone"], "email": ["bob@stone.org"], "birth_date": ["1971-05-09"]},
        {"full_name": ["Carla Ruiz"], "email": ["carla@ruiz.es"], "birth_date": ["1990-11-30"]},
    ]
    batch = OpenedBatch([1, 2, 3, 4], ["web"] * 4, [normalise(row).encode() for row in rows])
    scored = run(batch)
    kept = scored.pairs.where(scored.pairs.weight >= scored.model.threshold)
    assert list(zip(kept.record_a.tolist(), kept.record_b.tolist(), strict=True)) == [(1, 2)]


def test_a_model_of_another_format_is_refused(fake_1000):
    changed = json.loads(fake_1000.model.to_json()) | {"format": 0}
    with pytest.raises(ValueError, match="train again"):
        Model.from_json(json.dumps(changed))


def test_a_model_without_term_frequencies_scores_online_too(monkeypatch):
    """DuckDB takes bare digits for exact decimals, and a sum of many of them overflows."""
    plain = tuple(
        replace(item, levels=tuple(replace(level, frequency=None) for level in item.levels))
        for item in comparisons.CATALOGUE
    )
    monkeypatch.setattr(comparisons, "CATALOGUE", plain)
    batch, _ = labelled("pp_dev")
    some = OpenedBatch(batch.record_nos[:3000], batch.channels[:3000], batch.comparables[:3000])
    scored = run(some)
    assert not scored.model.frequency_columns()
    records = [Comparable.decode(encoded) for encoded in some.comparables]
    online = OnlineScorer(scored.model, lambda _column, _value: None)
    for a, b, weight in zip(
        scored.pairs.record_a[:20].tolist(), scored.pairs.record_b[:20].tolist(),
        scored.pairs.weight[:20].tolist(), strict=True,
    ):  # fmt: skip
        assert online.score(records[a - 1], [records[b - 1]]) == [pytest.approx(weight, abs=1e-6)]
