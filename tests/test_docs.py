"""The documents say what is there: commands, routes, settings, purposes, tests, files and benchmarks."""

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

from api import cli
from api.app import create_app
from api.ingest.mapping import fit, parse_mapping
from api.settings import NAMES
from tests.world import World

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
ADRS = sorted((DOCS / "adr").glob("[0-9]*.md"))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands(command: Any, path: tuple[str, ...] = ("aurea",)) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, under its whole name."""
    inside = getattr(command, "commands", None)
    if inside:
        for name, inner in inside.items():
            yield from commands(inner, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_its_options_are_documented(name: str) -> None:
    page = text(DOCS / "command-line.md")
    assert name in page
    for parameter in COMMANDS[name].params:
        long = [option for option in (*parameter.opts, *parameter.secondary_opts) if option.startswith("--")]
        assert not long or any(option in page for option in long if option != "--help"), long


def test_every_route_is_documented(world: World) -> None:
    page = text(DOCS / "api.md")
    undocumented = [
        f"{method.upper()} {path}"
        for path, methods in create_app(world.services).openapi()["paths"].items()
        for method in methods
        if path not in page
    ]
    assert not undocumented


def test_every_setting_is_documented() -> None:
    read = set(re.findall(r'"(AUREA_[A-Z_]+)"', text(ROOT / "api" / "settings.py"))) - {"AUREA_TEST_"}
    assert read == NAMES, "else a command would call one that is read no setting"
    page = text(DOCS / "operations.md")
    assert {name for name in NAMES if f"`{name}`" not in page} == set()
    assert set(re.findall(r"`(AUREA_[A-Z_]+)`", page)) <= NAMES


def test_every_purpose_of_the_default_policy_is_documented() -> None:
    policy = tomllib.loads(text(ROOT / "consent" / "purposes.toml"))
    page = text(DOCS / "purposes.md")
    assert {name for name in policy["purposes"] if name not in page} == set()


def code_lines(page: Path) -> Iterator[str]:
    """Yield the lines of code blocks, fenced or indented."""
    fenced = False
    for line in text(page).splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_a_page_shows_exists(page: Path) -> None:
    makefile = text(ROOT / "Makefile")
    for line in code_lines(page):
        words = line.removeprefix("$ ").split("#")[0].split()
        if words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        if words[:1] in (["aurea"], [".venv/bin/aurea"]) and len(words) > 1 and words[1] != "--help":
            found = next(
                (name for name in COMMANDS if f"aurea {' '.join(words[1:])} ".startswith(f"{name} ")), None
            )
            assert found, line
            known = {
                option
                for parameter in COMMANDS[found].params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            assert {word for word in words if word.startswith("--")} <= known, line


def test_the_mapping_that_getting_started_shows_can_be_used() -> None:
    shown = [line for line in code_lines(DOCS / "getting-started.md") if not line.startswith("aurea ")]
    first = shown.index('channel = "crm"')
    last = next(n for n, line in enumerate(shown) if line.startswith("personalization = "))
    mapping = parse_mapping(
        tomllib.loads("\n".join(shown[first : last + 1])), purposes=["identity_linking", "personalization"]
    )
    assert len(fit(mapping, mapping.named, channel=None).attributes) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_every_named_file_exists(page: Path) -> None:
    content = text(page)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", content):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for name in re.findall(r"`((?:identity|consent|api|tests|benchmarks|docs)/[\w./-]+)(?:::\w+)?`", content):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_test_a_page_cites_exists(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text(page).replace("\n  ", "")):
        assert re.search(rf"def {name}\(", text(ROOT / path)), f"{path}::{name}"


def test_each_of_the_owasp_ten_has_an_answer_with_a_test() -> None:
    walked = text(DOCS / "threat-model.md").partition("## OWASP API Security Top 10 (2023)")[2]
    sections = re.split(r"^### API(\d+):2023 ", walked.partition("\n## ")[0], flags=re.MULTILINE)[1:]
    answers = dict(zip(map(int, sections[::2]), sections[1::2], strict=True))
    assert list(answers) == list(range(1, 11))
    for number, answer in answers.items():
        cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", answer)
        assert cited, number
        for path, name in cited:
            assert re.search(rf"^def {name}\(", text(ROOT / path), re.MULTILINE), f"{path}::{name}"


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_a_decision_has_its_parts_and_its_figures_come_from_a_benchmark(page: Path) -> None:
    content = text(page)
    for part in ("## Context", "## Decision", "## Figures", "## Consequences"):
        assert part in content
    assert page.name in text(DOCS / "adr" / "README.md")
    lines = list(code_lines(page))
    for command, output in pairwise(lines):
        if command.startswith("$ python benchmarks/"):
            script = command.removeprefix("$ python ").split()[0]
            assert (ROOT / script).is_file()
            name = json.loads(output)["benchmark"].partition(".")[0]
            assert name == Path(script).stem, f"{page.name}: {command}"


def test_the_performance_page_names_benchmarks_and_options_that_exist() -> None:
    commands = re.findall(
        r"^    \$ python (benchmarks/\w+\.py)(.*)$", text(DOCS / "performance.md"), re.MULTILINE
    )
    assert len(commands) >= 8
    for script, options in commands:
        source = text(ROOT / script)
        assert not [word for word in options.split() if word.startswith("--") and f'"{word}"' not in source]
