"""The run report as a person sees it: every chart is drawn, and the page asks nobody for anything."""

import json
import re

import pytest

from identity.model import Model
from identity.report import write_report
from tests.browser import opened
from tests.world import World

ADDED = {
    "contact_classes": {"email": {"personal": 120, "household": 9, "junk": 1}},
    "canaries": {"records": 200, "people": 50, "precision": 0.99, "recall": 0.9, "f1": 0.943},
}


@pytest.fixture
def town(settled: World) -> World:
    """A town that was linked twice."""
    settled.link(retrain=True)
    return settled


def test_every_chart_is_drawn_without_a_request_or_a_complaint(town: World) -> None:
    runs = town.settings.runs_dir
    latest = max(
        (json.loads(path.read_text()) for path in runs.glob("*.json")), key=lambda run: run["finished_at"]
    )
    _, path = write_report(runs, {**latest, **ADDED}, Model.from_json(json.dumps(latest["model"])))
    with opened(path) as seen:
        seen.page.wait_for_selector("html[data-charts]", state="attached", timeout=30_000)
        for name in re.findall(r'data-chart="([\w-]+)"', path.read_text()):
            marks = seen.page.locator(
                f"#{name} svg [role=graphics-symbol], #{name} svg [role=graphics-object]"
            )
            assert marks.count() > 0, name
            box = seen.page.locator(f"#{name} svg").bounding_box()
            assert box is not None
            assert box["width"] > 200, name
            assert box["height"] > 50, name
        assert seen.page.locator("figure").count() == int(
            seen.page.evaluate("document.documentElement.dataset.charts")
        )
        assert seen.page.locator("#drift svg").count() == 1, "two runs make a history"
        assert seen.requests == []
        assert seen.complaints == []


def test_the_page_could_not_ask_if_it_wanted_to(town: World) -> None:
    """The policy stops what a script, an image or a form would send, even to this machine."""
    page = max(town.settings.runs_dir.glob("*.html"), key=lambda path: path.stat().st_mtime)
    with opened(page) as seen:
        answer = seen.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
        assert answer == "refused"
        assert any("Content Security Policy" in complaint for complaint in seen.complaints)
