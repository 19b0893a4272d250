"""`aurea` in a process of its own, without waiting for the libraries each time.

A process that has imported what starts no thread waits here; each command is a fork of it, which imports the
rest, reads its arguments, environment, folder and standard input, and ends as the installed one.
What a fork can't show (what `aurea` imports by itself, another seed for hashes) is for `World.process`.
"""

import ast
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
OURS = ("api", "consent", "identity")
THREADED = ("duckdb", "pyarrow", "splink")  # they start threads when imported, and no thread outlives a fork


class Commands:
    """The waiting process of one test process; started at the first command, ends with its standard input."""

    def __init__(self) -> None:
        self._waiting: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], *, stdin: str, environment: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run `aurea` with `arguments`, and nothing but `environment`, in `folder`."""
        umask = os.umask(0o077)
        os.umask(umask)
        with TemporaryDirectory() as held:
            files = [Path(held, name) for name in ("stdin", "stdout", "stderr")]
            files[0].write_text(stdin)
            order = {
                "arguments": list(arguments), "environment": dict(environment), "folder": str(folder),
                "umask": umask, "files": [str(file) for file in files],
            }  # fmt: skip
            status = self._ask(json.dumps(order))
            return subprocess.CompletedProcess(
                ["aurea", *arguments], status, files[1].read_text(), files[2].read_text()
            )

    def _ask(self, order: str) -> int:
        if self._waiting is None:
            self._waiting = subprocess.Popen(
                [sys.executable, "-m", "tests.commands"], cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        asked, answers = self._waiting.stdin, self._waiting.stdout
        assert asked is not None
        assert answers is not None
        try:
            asked.write(order + "\n")
            asked.flush()
            return int(answers.readline())
        except BaseException:  # a late answer would be taken for that of the next order
            self.close()
            raise

    def close(self) -> None:
        """End the waiting process."""
        if self._waiting is not None:
            self._waiting.kill()
            self._waiting.communicate()
            self._waiting = None


@cache
def commands() -> Commands:
    """Return the one of this test process."""
    return Commands()


def trees() -> dict[str, ast.Module]:
    """Map the name of each of our modules -> its tree."""
    found = {}
    for file in sorted(file for package in OURS for file in (ROOT / package).rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the modules that statements import, and what may be one."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_threaded(name: str, modules: Mapping[str, ast.Module], seen: set[str]) -> bool:
    """Whether importing one of our modules imports one of THREADED."""
    seen.add(name)
    return any(
        each.partition(".")[0] in THREADED
        or (each in modules and each not in seen and is_threaded(each, modules, seen))
        for each in imports(modules[name].body)
    )


def wait() -> None:
    """Fork for each order on standard input and print how the fork ended; returns in a fork alone."""
    modules = trees()
    every = (node for tree in modules.values() for node in ast.walk(tree))  # however late it is imported
    others = {name for name in imports(every) if name.partition(".")[0] not in {*OURS, *THREADED}}
    for name in (*sorted(others), *(name for name in modules if not is_threaded(name, modules, set()))):
        with suppress(ImportError):  # of an extra that is not installed, or no module
            import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer
    sys.exit()


def become(order: dict[str, object]) -> None:
    """Make this fork the process that was ordered."""
    arguments, environment, files = order["arguments"], order["environment"], order["files"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    assert isinstance(files, list)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    encoding = os.environ.get("PYTHONIOENCODING")
    if encoding is not None:  # read where a process starts, and this one has started
        for stream in (sys.stdout, sys.stderr):
            assert isinstance(stream, TextIOWrapper)
            stream.reconfigure(encoding=encoding)
    os.chdir(str(order["folder"]))
    os.umask(int(str(order["umask"])))
    sys.argv = ["aurea", *arguments]


if __name__ == "__main__":
    wait()
    from api.cli import main

    sys.exit(main())  # type: ignore[func-returns-value]  # as the installed script does
