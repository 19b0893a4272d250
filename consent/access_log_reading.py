"""Reading the access log back: verification of its chains, and the entries of a person's records."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from consent.access_log import GENESIS, AccessEntry, canonical


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: how many entries it holds and the hash of its last line."""

    entries: int
    last: str


@dataclass(frozen=True, slots=True)
class AccessLogReport:
    """What verification found. `problems` name file and line, never content; none means intact.

    `torn` counts chains whose last line, or last file, a crash left unfinished: never acknowledged, so
    nothing was revealed.
    """

    entries: int
    segments: int
    torn: int
    heads: Mapping[str, Head]
    problems: tuple[str, ...]


def verify(folder: Path, heads: Mapping[str, Head] | None = None) -> AccessLogReport:
    """Check every chain under `folder`, and that each of `heads`, noted earlier, is still part of it."""
    chains = [_Chain(name, list(paths)) for name, paths in groupby(_segments(folder), key=_chain_name)]
    for chain in chains:
        chain.walk((heads or {}).get(chain.name))
    problems = [problem for chain in chains for problem in chain.problems]
    known = {chain.name for chain in chains}
    problems += [f"{name}: the whole chain is missing" for name in sorted(set(heads or ()) - known)]
    return AccessLogReport(
        entries=sum(chain.entries for chain in chains),
        segments=sum(len(chain.paths) for chain in chains),
        torn=sum(chain.torn for chain in chains),
        heads={chain.name: Head(chain.entries, chain.prev) for chain in chains},
        problems=tuple(problems),
    )


def entries(folder: Path) -> Iterator[AccessEntry]:
    """Every complete entry, chain by chain. Does not verify."""
    for path in _segments(folder):
        for line in _lines(path)[0]:
            content = json.loads(line)
            if "seq" in content:
                yield AccessEntry.from_json(content)


@dataclass(slots=True)
class _Chain:
    """The walk along one chain: what the next line must say, and what was wrong so far."""

    name: str
    paths: list[Path]
    entries: int = 0
    torn: int = 0
    prev: str = GENESIS
    closed: bool = True  # a new segment may begin only after the one before was finished
    problems: list[str] = field(default_factory=list)

    def walk(self, noted: Head | None) -> None:
        """Check all segments; stop at the first fault, after which nothing can be trusted."""
        seen = noted is None
        for number, path in enumerate(self.paths):
            lines, torn = _lines(path)
            for place, line in enumerate(lines):
                if not self.problems:
                    self._check(path, place, line, number)
                seen = seen or noted == Head(self.entries, self.prev)
            if path == self.paths[-1] and (not lines or (torn and not self.closed)):
                self.torn += 1
            elif torn or not lines:
                self._fault(path, len(lines), "ends in an unfinished line")
        if not seen and not self.problems:
            self.problems.append(f"{self.name}: its end, noted earlier, is missing")

    def _check(self, path: Path, place: int, line: bytes, number: int) -> None:
        content = _parse(line)
        if content is None:
            return self._fault(path, place, "is no canonical line of the log")
        if content.get("prev") != self.prev:
            return self._fault(path, place, "does not follow the line before it")
        if not self._fits(content, place, number):
            return self._fault(path, place, "is out of place")
        self.closed = "closed" in content
        self.entries += "seq" in content
        self.prev = hashlib.sha256(line).hexdigest()
        return None

    def _fits(self, content: dict[str, Any], place: int, number: int) -> bool:
        if place == 0:
            return bool(
                self.closed and content.get("segment") == number and content.get("chain") == self.name
            )
        if "closed" in content:
            return bool(not self.closed and content["closed"] == self.entries)
        return bool(not self.closed and content.get("seq") == self.entries)

    def _fault(self, path: Path, place: int, what: str) -> None:
        if not self.problems:
            self.problems.append(f"{path.name}, line {place + 1}: {what}")


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _chain_name(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def _lines(path: Path) -> tuple[list[bytes], bool]:
    """Return the complete lines, and whether an unfinished one follows."""
    *lines, rest = path.read_bytes().split(b"\n")
    return lines, bool(rest)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) and canonical(content) == line else None
