"""`aurea evaluate`: one object for machines, a page for people."""

from pathlib import Path

import pytest

from tests.world import TOWN, World


@pytest.fixture
def truth(settled: World) -> Path:
    """A linked town of two channels, and a truth that takes Delia's two records for two people."""
    persons = {("town_a", "Delia"): "another Delia"}
    lines = [
        f"{channel},{name},{persons.get((channel, name), name)}\n"
        for name in TOWN
        for channel in ("town_a", "town_b")
    ]
    path = settled.folder / "truth.csv"
    path.write_text("channel,source_id,person\n" + "".join(lines))
    return path


def test_machines_get_the_figures_their_intervals_and_where_they_come_from(
    settled: World, truth: Path
) -> None:
    found = settled.answer("evaluate", "--truth", str(truth))
    right = (len(TOWN) - 1) / len(TOWN)
    assert found["pairwise"]["precision"] == pytest.approx(right)
    assert found["pairwise"]["recall"] == 1.0
    interval = found["intervals"]["pairwise"]["precision"]
    assert interval["low"] < right < interval["high"] == 1.0
    assert found["mistakes"] == {"mixed": 1, "mixed_people": 2, "split_people": 0}
    assert {name: part["records"] for name, part in found["by_channel"].items()} == {
        "town_a": len(TOWN), "town_b": len(TOWN),
    }  # fmt: skip
    assert found["by_golden_size"]["2"]["mixed"] == 1
    assert found["by_person_size"]["1"]["people"] == 2
    assert settled.answer("evaluate", "--truth", str(truth)) == found, "the draws are the same every time"


def test_people_get_a_page_without_a_record_key(settled: World, truth: Path) -> None:
    done = settled.command("evaluate", "--truth", str(truth))
    assert done.returncode == 0
    assert "Golden IDs that mix people: 1 (2 people)." in done.stdout
    assert "town_a" in done.stdout
    assert "0.957" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert not [name for name in TOWN if name in done.stdout]
