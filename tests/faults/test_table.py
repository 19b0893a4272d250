"""The table of faults in docs/operations.md: each fault names its test, each file of tests here is named."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def faults() -> dict[str, str]:
    """The faults of the table with the test of each, as it is cited."""
    page = (ROOT / "docs/operations.md").read_text()
    section = page.partition("\n## Faults\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): row[2].strip() for row in rows[1:]}


def test_every_fault_names_a_test_that_exists() -> None:
    assert len(faults()) > 10
    for fault, cited in faults().items():
        found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", cited)
        assert found, f"{fault}: names no test"
        assert re.search(rf"^def {found[2]}\(", (ROOT / found[1]).read_text(), re.MULTILINE), cited


def test_every_file_of_faults_is_in_the_table() -> None:
    cited = " ".join(faults().values())
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in files if f"tests/faults/{name}" not in cited} == set()
