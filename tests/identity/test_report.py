"""A run's report: complete for machines, readable for people, silent about values."""

import json
import re
import stat

import pytest

from identity.clustering import cluster
from identity.comparable import Comparable
from identity.engine import open_engine
from identity.linking import score
from identity.report import build_report, write_report
from tests.identity.labelled import labelled


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    batch, _ = labelled("senzing_truthset")
    with open_engine(threads=2) as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    report = build_report(scored, clusters, run_id="run-1", more={"created": 3})
    folder = tmp_path_factory.mktemp("home") / "reports"
    return write_report(folder, report, scored.model), scored


def test_the_json_says_what_happened(written):
    (path, _), scored = written
    report = json.loads(path.read_text())
    assert report["run_id"] == "run-1"
    assert report["records"] == 147
    assert report["created"] == 3
    assert report["golden_ids"] == sum(report["cluster_sizes"].values())
    assert report["accepted_pairs"] + report["review_pairs"] == len(scored.pairs)
    assert set(report["seconds"]) == {"load", "block", "train", "predict"}
    assert report["coverage"]["birth_date"]["coverage"] == pytest.approx(0.48, abs=0.02)
    assert report["notices"] == ["1 email value(s) belong to nobody in particular and were not compared"]
    assert report["model"]["threshold"] == scored.model.threshold


def test_the_page_stands_alone_and_shows_splinks_charts(written):
    (_, path), _ = written
    page = path.read_text()
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page), "it loads nothing"
    for word in ("birth_date", "one digit different", "Golden IDs by number of records"):
        assert word in page


def test_no_value_of_the_input_is_in_either(written):
    batch, _ = labelled("senzing_truthset")
    texts = [path.read_text() for path in written[0]]
    plain = re.sub(r"<[^>]*>", " ", texts[1])
    values = {
        item
        for encoded in batch.comparables
        for column, value in Comparable.decode(encoded).columns.items()
        if column not in {"gender", "region", "house_number", "name_suffix"}  # too short to tell apart
        for item in ((value,) if isinstance(value, str) else value)
        if len(item) > 4
    }
    words = set(re.findall(r"[a-z0-9@.+-]+(?: [a-z0-9@.+-]+)*", plain.lower()))
    assert len(values) > 300
    assert not values & words
    assert not [value for value in values if f'"{value}"' in texts[0]]


def test_only_the_owner_may_read_them(written):
    for path in written[0]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
