"""A run's report: complete for machines, readable for people, silent about values."""

import base64
import hashlib
import json
import re
import stat

import numpy as np
import pytest
from altair.utils.schemapi import validate_jsonschema
from altair.vegalite.v6.schema.core import load_schema

from identity.clustering import cluster
from identity.comparable import Comparable
from identity.engine import open_engine
from identity.linking import score
from identity.report import build_report, write_report
from identity.run_history import read_history
from tests.identity.labelled import labelled

SEEN_ELSEWHERE = {
    "seams": {
        "bridges": 1_234, "golden_ids": 1_100, "refused": 77,
        "weakest": [
            {"golden_no": 4001, "records": [11, 12], "weight": 0.5, "parts": [3, 2], "certain": False},
            {"golden_no": 4002, "records": [21, 25], "weight": None, "parts": [2, 2], "certain": True},
        ],
    },
    "contact_classes": {"email": {"personal": 120, "household": 9, "junk": 1}},
    "outcome": {
        "merged": 1, "split": 0, "drift": 0.01, "gates": ["too many would be joined"],
        "forced": "the <new> shop",
        "canaries": {"records": 200, "people": 50, "precision": 0.99, "recall": 0.9, "f1": 0.943},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    batch, _ = labelled("senzing_truthset")
    with open_engine(threads=2) as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    report = build_report(
        scored, clusters, run_id="run-1", finished_at=1_780_000_000_000, more={"created": 3, **SEEN_ELSEWHERE}
    )
    folder = tmp_path_factory.mktemp("home") / "reports"
    return write_report(folder, report, scored.model), scored, clusters


def test_the_weakest_bridges_stand_in_a_table_by_number(written):
    (_, path), _, _ = written
    rows = re.findall(r"<tr><td>(400\d)</td>(.*?)</tr>", path.read_text())
    assert rows == [
        ("4001", "<td>11 12</td><td>0.50</td><td>3 + 2</td>"),
        ("4002", "<td>21 25</td><td>a steward&#x27;s word</td><td>2 + 2</td>"),
    ]


def without_vega(page):
    """The page without its one script, which is the same on every page."""
    return re.sub(r"<script>.*?</script>", " ", page, flags=re.DOTALL)


def test_the_json_says_what_happened(written):
    (path, _), scored, clusters = written
    report = json.loads(path.read_text())
    assert report["run_id"] == "run-1"
    assert report["records"] == 147
    assert report["created"] == 3
    assert report["golden_ids"] == sum(report["cluster_sizes"].values())
    assert report["accepted_pairs"] + report["review_pairs"] == len(scored.pairs)
    assert {"load", "block", "compare", "train"} <= set(report["seconds"])
    assert report["finished_at"] == 1_780_000_000_000
    assert sum(report["match_weights"]["pairs"]) == len(scored.pairs)
    assert report["largest"] == max(np.unique(clusters.label, return_counts=True)[1])
    assert report["coverage"]["birth_date"]["coverage"] == pytest.approx(0.48, abs=0.02)
    shared, *pooled = report["notices"]
    assert shared == "1 email value(s) belong to nobody in particular and were not compared"
    assert pooled
    assert all("are worth the same" in notice for notice in pooled)
    assert report["model"]["threshold"] == scored.model.threshold


def test_the_page_stands_alone_and_has_a_chart_for_each_question(written):
    (_, path), _, _ = written
    page = path.read_text()
    charts = re.findall(r'data-chart="([\w-]+)"', page)
    assert charts == [
        "cluster-sizes", "match-weights", "threshold-choice", "contact-classes", "canaries",
        "largest-blocks", "agreement", "parameters",
    ]  # fmt: skip
    assert all(f'<figure id="{name}"' in page for name in charts)
    assert not re.search(r"<[^>]*(src|href)\s*=\s*[\"'](?!#)", without_vega(page)), "it loads nothing"
    assert "run-1, 2026-05-28 20:26 UTC" in page
    assert "published nevertheless, because: the &lt;new&gt; shop" in page
    for word in ("birth_date", "Golden IDs by number of records", "1,234 links in 1,100 golden IDs"):
        assert word in page


def test_every_chart_is_what_vega_lites_schema_allows(written):
    """Making the page does not look: it would take as long again."""
    (_, path), _, _ = written
    scripts = re.findall(r'data-chart="[\w-]+">(.*?)</script>', path.read_text())
    assert len(scripts) == 8
    for script in scripts:
        validate_jsonschema(json.loads(script), load_schema())


def test_the_policy_of_the_page_allows_its_own_script_and_nothing_else(written):
    (_, path), _, _ = written
    page = path.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}' 'unsafe-eval';" in policy
    assert "http" not in policy


def test_the_page_shows_the_runs_whose_reports_lie_beside_it(written, tmp_path):
    (path, _), scored, _ = written
    report = json.loads(path.read_text())
    for number in (1, 2, 3):
        known = {"run_id": f"run-{number}", "finished_at": number, "golden_ids": 70 + number}
        _, page = write_report(tmp_path, {**report, **known}, scored.model)
    (tmp_path / "run-notes.json").write_text("[]")
    drift = re.search(r'data-chart="drift">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    assert drift.count('"figure": "golden IDs"') == 3
    assert [found["golden_ids"] for found in read_history(tmp_path)] == [71, 72, 73]


def test_a_reason_can_end_no_script(written, tmp_path):
    (path, _), scored, _ = written
    report = json.loads(path.read_text())
    report["blocking"][0]["rule"] = "</script><script>alert(1)</script>"
    _, page = write_report(tmp_path, report, scored.model)
    assert page.read_text().count("<script>") == 1


def test_no_value_of_the_input_is_in_either(written):
    batch, _ = labelled("senzing_truthset")
    texts = [path.read_text() for path in written[0]]
    plain = re.sub(r"<[^>]*>", " ", without_vega(texts[1]))
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
