"""Settings that cannot be meant are refused at the start, by their name and never by their value."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.settings import NAMES, SECRETS, Settings, SettingsError, unknown_names

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


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_whose_file_is_empty_is_refused_and_no_default_takes_its_place(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("\n")
    named = {"AUREA_HOME": str(tmp_path), f"{name}_FILE": str(tmp_path / "secret")}
    with pytest.raises(SettingsError, match=f"^{name}_FILE names an empty file$"):
        Settings.from_environment(named)


def test_a_misspelt_variable_is_named_with_the_one_that_is_meant() -> None:
    given = {"AUREA_PURPOSE": "/policy.toml", "AUREA_DATABSE_URL": "hush", "AUREA_XYZ": "1", "HOME": "/root"}
    assert unknown_names(given) == [
        "AUREA_DATABSE_URL is no setting: is AUREA_DATABASE_URL meant?",
        "AUREA_PURPOSE is no setting: is AUREA_PURPOSES meant?",
        "AUREA_XYZ is no setting",
    ]
    assert unknown_names(dict.fromkeys([*NAMES, "AUREA_KEYS_URL_FILE", "AUREA_TEST_STORE"], "")) == []


def test_a_command_tells_of_a_misspelt_variable_apart_from_its_answer(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AUREA_HOME": str(tmp_path / "home"), "AUREA_PURPOSE": "x"}
    run = [sys.executable, "-c", "from api.cli import main; main()", "init", "--json"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["created"]) == (0, True)
    assert done.stderr == "aurea: AUREA_PURPOSE is no setting: is AUREA_PURPOSES meant?\n"
