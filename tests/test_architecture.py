"""The shape of the code that reviews would otherwise have to watch over."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("identity", "consent", "api")
HARD_LIMIT, SOFT_LIMIT = 400, 300  # lines of one file

# A module is pure (no I/O, no clock, no randomness) if its docstring says so in one of these forms. These
# must be; any other that says so is held to it too.
SAYS_PURE = re.compile(r"\(pure\)|\bPure[.:;]|\bPure and deterministic")
MUST_BE_PURE = {
    "consent.blind_indexes", "consent.decisions", "consent.events", "consent.merkle", "consent.permission",
    "consent.erasure_receipt_verification", "consent.retention",
    "identity.blocking_keys", "identity.clustering", "identity.comparisons", "identity.evaluation",
    "identity.golden_ids", "identity.model", "identity.normalise", "identity.survivorship",
    "identity.canaries", "identity.gates", "identity.hysteresis", "identity.model_comparison",
    "identity.model_files", "consent.deadlines", "consent.request_rules",
}  # fmt: skip
# Names, tables of constants and error classes need not say it.
PLAIN = {"attributes", "errors", "records"}

# Modules that read a file or an engine, or hold the shapes of requests, whose types pure modules name.
VOCABULARY = {
    "api.schemas", "api.times", "consent.key_providers", "consent.purposes", "identity.blocking",
}  # fmt: skip

# What a pure module may not even import. (`datetime` is needed for dates; its clock is checked apart.)
IMPURE_LIBRARIES = {
    "asyncio", "duckdb", "fastapi", "glob", "http", "httpx", "io", "logging", "multiprocessing", "os",
    "pathlib", "pyarrow", "random", "secrets", "shutil", "socket", "splink", "sqlalchemy", "sqlite3",
    "structlog", "subprocess", "tempfile", "threading", "time", "typer", "urllib", "uuid",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today", "time", "time_ns"}


def sources(*packages: str) -> Iterator[tuple[str, Path, ast.Module]]:
    """Yield the dotted name, the path and the tree of every module of `packages`."""
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> set[str]:
    """Return the absolute names of every module imported anywhere in `tree`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield the last name of what is called, with the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield function.attr, node
            elif isinstance(function, ast.Name):
                yield function.id, node


def tracked(*patterns: str) -> list[Path]:
    """Return the files git knows, those that match `patterns` if any are given."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


MODULES = list(sources())
PURE = {name for name, _, tree in MODULES if SAYS_PURE.search(ast.get_docstring(tree) or "")}
PURE_MODULES = [(name, tree) for name, _, tree in MODULES if name in PURE]


def test_imports_go_one_way_from_api_to_consent_to_identity() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_modules_that_hold_rules_say_that_they_are_pure() -> None:
    assert not MUST_BE_PURE - PURE


@pytest.mark.parametrize(("name", "tree"), PURE_MODULES, ids=[name for name, _ in PURE_MODULES])
def test_a_pure_module_reaches_no_io_no_clock_and_no_randomness(name: str, tree: ast.Module) -> None:
    imported = imports(tree)
    assert not {module for module in imported if module.partition(".")[0] in IMPURE_LIBRARIES}
    ours = {module for module in imported if module.partition(".")[0] in PACKAGES and _is_module(module)}
    plain = {module for module in ours if module.rpartition(".")[2] in PLAIN}
    assert not ours - PURE - plain - VOCABULARY, "a pure module imports only pure modules"
    assert not {called for called, _ in calls(tree) if called in {"open", "print", "input", *CLOCKS}}


def _is_module(dotted: str) -> bool:
    path = ROOT / Path(*dotted.split("."))
    return path.with_suffix(".py").is_file()


def test_identity_and_consent_are_told_the_time() -> None:
    """The only clock is handed in by api; durations may be measured with monotonic clocks."""
    clocks = {f"{module}.{name}" for module in ("time", "datetime", "date") for name in CLOCKS}
    readers = {
        name
        for name, _, tree in sources("identity", "consent")
        for _, call in calls(tree)
        if ast.unparse(call.func) in clocks
    }
    assert readers <= {"consent.access_log"}  # names its segments by the clock; entries are told the time


def test_only_settings_reads_the_environment() -> None:
    """Writing a variable for worker processes to come is not reading."""
    readers = set()
    for name, _, tree in MODULES:
        written = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in {"environ", "getenv"}
                and id(node) not in written
            ):
                readers.add(name)
    assert readers == {"api.settings"}


def test_http_stays_in_api() -> None:
    web = {"fastapi", "starlette", "uvicorn", "typer", "httpx"}
    assert not {
        name
        for name, _, tree in sources("identity", "consent")
        if {module.partition(".")[0] for module in imports(tree)} & web
    }


def test_no_file_outgrows_one_concept() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked("*.py")
    }
    long = sorted(f"{length} {name}" for name, length in lengths.items() if length > SOFT_LIMIT)
    sys.stdout.write("\n  ".join([f"files over {SOFT_LIMIT} lines:", *long]) + "\n")
    assert not {name: length for name, length in lengths.items() if length > HARD_LIMIT}


NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)?(?P<rest>.*)")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[a-z0-9, -]+\])?(?P<rest>.*)")


@pytest.mark.parametrize("pattern", [NOQA, TYPE_IGNORE], ids=["ruff", "mypy"])
def test_every_ignored_finding_names_its_rule_and_says_why(pattern: re.Pattern[str]) -> None:
    silent = []
    for path in tracked("*.py"):
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = pattern.search(line)
            if found and not (found["codes"] and len(found["rest"].strip(" -#")) >= 8):
                silent.append(f"{path.relative_to(ROOT)}:{number}")
    assert not silent


def test_every_rule_switched_off_in_pyproject_has_a_comment() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("ignore = [") + 1
    ignored = lines[start : lines.index("]", start)]
    assert ignored
    assert not [line for line in ignored if "#" not in line]
    settings = tomllib.loads("\n".join(lines))
    overrides = settings["tool"]["mypy"].get("overrides", [])
    for key in {key for override in overrides for key in override if key != "module"}:
        assert any(line.startswith(f"{key} =") and "#" in line for line in lines)


# A person's or a build machine's folders; examples in docs use relative paths or AUREA_HOME.
MACHINE_PATH = re.compile(r"(?<![\w.:}])/(?:work|tmp|root|home|Users|mnt)/[A-Za-z0-9_.-]+")


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in tracked():
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        found += [f"{path.relative_to(ROOT)}: {hit}" for hit in MACHINE_PATH.findall(content)]
    assert not found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock", "requirements-image.lock"])
def test_a_lock_file_pins_every_package_by_hash_and_names_no_host(name: str) -> None:
    content = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in content
    assert "index-url" not in content
    pins = [line for line in content.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert pins
    for pin in pins:
        assert "==" in pin
        assert pin.rstrip().endswith("\\"), "a pin without hashes"
