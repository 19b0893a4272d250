"""Writing the memberships file: whole, for its owner only, where it was asked for."""

import json
from pathlib import Path

import pytest

from api.memberships import MembershipsError, read_truth
from identity.records import RecordKey
from tests.world import World, row


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memberships_are_never_written_through_a_planted_link(world: World, ending: str) -> None:
    world.ingest(row("crm", "1", "Ana"))
    victim = world.folder / "victim"
    victim.write_text("kept")
    for planted in (f".m.{ending}.partial", f"m.{ending}"):
        (world.folder / planted).symlink_to(victim)
    world.answer("memberships", "--out", str(world.folder / f"m.{ending}"))
    written = world.folder / f"m.{ending}"
    assert victim.read_text() == "kept"
    assert not written.is_symlink()
    assert written.stat().st_mode & 0o777 == 0o600
    assert not (world.folder / f".m.{ending}.partial").exists()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_truth_names_records_as_they_are_named(tmp_path: Path, ending: str) -> None:
    ids = ("3F2504E0-4F89-11D3-9A0C-0305E82C3301", "4F2504E0-4F89-11D3-9A0C-0305E82C3301")
    rows = [{"channel": "crm", "source_id": each, "person": "007"} for each in ids]
    csv = [",".join(line) for line in (rows[0], *(each.values() for each in rows))]
    truth = tmp_path / f"truth.{ending}"
    truth.write_text("\n".join(csv if ending == "csv" else map(json.dumps, rows)))
    assert read_truth(truth) == {RecordKey("crm", each): "007" for each in ids}


def test_rows_of_a_truth_without_a_person_make_no_person_of_all_who_have_none(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("channel,source_id,person\ncrm,1,a\ncrm,2,\ncrm,3,\n")
    assert read_truth(truth) == {RecordKey("crm", "1"): "a"}


def test_a_truth_with_other_columns_is_refused(tmp_path: Path) -> None:
    for name, text in {
        "a.jsonl": '{"channel": "crm", "id": "1", "person": "a"}\n',
        "a.csv": "x,y\n1,2\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(MembershipsError, match="cannot be read as columns"):
            read_truth(tmp_path / name)
