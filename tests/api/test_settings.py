"""Settings that cannot be meant are refused at the start, by their name and never by their value."""

from pathlib import Path

import pytest

from api.settings import Settings, SettingsError

REFUSED = {
    "an erasure log in a folder that does not exist": ("AUREA_ERASURE_LOG", "{}/nowhere/erasures.jsonl"),
    "an erasure log that is a folder": ("AUREA_ERASURE_LOG", "{}"),
    "a ledger's name of two lines": ("AUREA_LEDGER_ORIGIN", "shop.example\n9"),
    "a ledger's name with an odd line break": ("AUREA_LEDGER_ORIGIN", "shop.example\u2028x"),
    "a ledger's name with a space": ("AUREA_LEDGER_ORIGIN", "shop example"),
    "a ledger's name with the sign that ends it in a key": ("AUREA_LEDGER_ORIGIN", "shop+consent"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(tmp_path: Path, what: str) -> None:
    name, value = REFUSED[what]
    with pytest.raises(SettingsError, match=f"^{name} must") as told:
        Settings.from_environment({"AUREA_HOME": str(tmp_path), name: value.format(tmp_path)})
    assert value.format(tmp_path) not in str(told.value)


def test_an_erasure_log_on_another_disk_or_in_a_home_that_is_to_be_made_is_taken(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for home, log in (("home", tmp_path / "disk" / "log.jsonl"), ("new", tmp_path / "new" / "log.jsonl")):
        named = {"AUREA_HOME": str(tmp_path / home), "AUREA_ERASURE_LOG": str(log)}
        assert Settings.from_environment(named).erasure_log == log
