"""What a newcomer finds: the files, the commands and the settings that the documents promise."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", ".ci/run",
        "docs/architecture.md", "docs/threat-model.md", "docs/linkage.md", "docs/getting-started.md",
        "docs/operations.md", "docs/adr/README.md", ".pre-commit-config.yaml",
    ],
)  # fmt: skip
def test_the_file_is_there_and_not_empty(name: str) -> None:
    assert (ROOT / name).stat().st_size > 40


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "check", "bench", "lock"])
def test_make_knows_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_ci_runs_what_a_developer_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_pre_commit_runs_our_own_tools_and_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    for repository in config["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            assert hook["entry"].startswith(".venv/bin/")


def test_duckdb_and_the_wheel_of_its_cipher_have_one_version() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", lock, re.MULTILINE))
    assert versions["duckdb"] == versions["duckdb-extension-httpfs"]


def test_warnings_are_errors_and_checks_are_strict() -> None:
    pytest_options = PYPROJECT["tool"]["pytest"]["ini_options"]
    assert pytest_options["filterwarnings"][0] == "error"
    assert {"--strict-markers", "--strict-config"} <= set(pytest_options["addopts"])
    assert PYPROJECT["tool"]["mypy"]["strict"] is True


def test_the_command_and_the_packages_are_those_of_the_contract() -> None:
    assert PYPROJECT["project"]["name"] == "aurea"
    assert PYPROJECT["project"]["scripts"] == {"aurea": "api.cli:main"}
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["identity*", "consent*", "api*"]


@pytest.mark.parametrize("package", ["identity", "consent", "api"])
def test_every_file_the_packages_need_at_run_time_is_shipped(package: str) -> None:
    """Everything under a package that is no Python is named by `package-data`."""
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"].get(package, [])
    shipped = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    files = {
        path
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts
    }
    assert files <= shipped


def test_the_changelog_is_in_keep_a_changelog_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Changelog"
    assert "## [Unreleased]" in lines
    kinds = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
