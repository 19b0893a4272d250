"""What Prometheus is told, and that the dashboard asks for nothing else."""

import json
import re
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.world import World, record

DASHBOARD = Path(__file__).resolve().parents[2] / "ops" / "grafana-dashboard.json"
NAME = re.compile(r"\baurea_\w+")


def samples(world: World) -> dict[str, float]:
    """The last value of each sample by its name, labels left out."""
    content = world.anonymous().get("/metrics").text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
    }


@pytest.fixture
def used(settled: World) -> World:
    settled.send(record("crm", "1", "Ana"))
    reader = settled.client("consumer")
    reader.get(f"/v1/profiles/{settled.golden_id('crm', '1')}", params={"purpose": "personalization"})
    return settled


def test_every_metric_of_the_dashboard_is_exposed_and_every_metric_is_on_it(used: World) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in NAME.findall(target["expr"])}
    exposed = {name for name in samples(used) if name.startswith("aurea_")}
    assert asked <= exposed
    assert {name for name in exposed if not name.endswith("_created")} <= asked


def test_gauges_tell_ledger_keys_queues_and_the_last_run(used: World) -> None:
    services = used.services
    with services.db.read() as conn:
        size = services.ledger.size(conn)
    before = samples(used)
    assert before["aurea_ledger_events"] == size > 0
    assert before["aurea_ledger_signed_events"] == 0
    assert before["aurea_last_run_finished_seconds"] == pytest.approx(used.clock() / 1000)
    assert before["aurea_published_version"] == 1
    services.ledger.checkpoint(used.clock())
    officer = used.client("officer")
    asked = {"type": "access", "jurisdiction": "ES"}
    identifiers = [{"type": "email", "value": "ana@example.com"}]
    assert officer.post("/v1/requests", json=asked | {"identifiers": identifiers}).status_code == 201
    services.rotation.rotate(used.clock())
    after = samples(used)
    assert after["aurea_ledger_signed_events"] == size
    assert after["aurea_requests_open"] == 1
    assert (after["aurea_key_epoch"], after["aurea_key_epochs"]) == (2, 2)
    assert (
        after["aurea_erasures_unfinished"] == after["aurea_webhook_dead"] == after["aurea_webhook_queue"] == 0
    )


def test_a_read_that_cannot_be_logged_is_refused_and_counted(used: World) -> None:
    used.services.access_log.close()
    shutil.rmtree(used.settings.access_log_dir)
    used.settings.access_log_dir.write_text("a file")
    before = samples(used)["aurea_access_log_failures_total"]
    reader = used.client("consumer")
    path = f"/v1/profiles/{used.golden_id('crm', '1')}"
    answer = reader.get(path, params={"purpose": "personalization"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:aurea:problem:access-log")
    assert samples(used)["aurea_access_log_failures_total"] == before + 1


def test_no_label_names_a_person(used: World) -> None:
    content = used.anonymous().get("/metrics").text
    for trace in ("Ana", "ana@example.com", used.golden_id("crm", "1"), "crm"):
        assert trace not in content
