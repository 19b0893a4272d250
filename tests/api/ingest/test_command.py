"""The exit status of `aurea ingest`: 0 done, 2 wrong usage and nothing written, 3 done with rejected rows."""

import pytest

from tests.world import World

GOOD = "channel,source_id,first_name\nweb,1,Ana\n"
CASES: dict[str, tuple[str, str, tuple[str, ...], int]] = {
    "all rows are good": (GOOD, "", (), 0),
    "a row without a source_id": (GOOD + "web,,Eva\n", "", (), 3),
    "a mapping with a misspelt key": (GOOD, 'chanel = "web"', (), 2),
    "a mapping that names a missing column": (GOOD, '[attributes]\nemail = "mail"', (), 2),
    "no channel anywhere": ("source_id\n1\n", "", (), 2),
    "a channel that is stated twice": (GOOD, "", ("--channel", "web"), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_the_exit_status_says_what_became_of_the_file(world: World, case: str) -> None:
    content, mapping, arguments, status = CASES[case]
    (world.folder / "in.csv").write_text(content)
    if mapping:
        (world.folder / "map.toml").write_text(mapping)
        arguments = ("--mapping", "map.toml")
    done = world.command("ingest", "in.csv", *arguments, "--json")
    assert done.returncode == status, done.stderr
    assert bool(done.stdout) == (status != 2)
    assert (world.folder / "in.csv.rejected.jsonl").exists() == (status == 3)
