"""JSON Lines: one object a line, UTF-8. Lines are parsed by the workers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from api.ingest.chunks import Malformed
from identity.attributes import STANDARD

_LONGEST_LINE: Final = 1 << 20  # 1 MiB; a longer line is rejected without being held in memory
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class JsonChunk:
    """Lines as they are in the file."""

    numbers: list[int]
    lines: list[bytes]

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any] | Malformed]]:
        """Yield each line parsed, with its number."""
        for number, line in zip(self.numbers, self.lines, strict=True):
            yield number, _parse(line)


class JsonLinesFile:
    """A JSON Lines file. Columns are whatever its lines name."""

    order = STANDARD

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self.columns: frozenset[str] = frozenset()

    def seek_columns(self, wanted: frozenset[str]) -> None:
        """Read on until every one of `wanted` was seen in some line: a sparse column may come late."""
        found: set[str] = set()
        with self._path.open("rb") as file:
            for _, line in _lines(file):
                row = _parse(line)
                if not isinstance(row, Malformed):
                    found.update(row)
                    if wanted <= found:
                        break
        self.columns = frozenset(found)

    def chunks(self, size: int) -> Iterator[tuple[JsonChunk, float]]:
        """Yield the lines in order; blank lines are no rows."""
        numbers: list[int] = []
        lines: list[bytes] = []
        with self._path.open("rb") as file:
            for number, line in _lines(file):
                numbers.append(number)
                lines.append(line)
                if len(lines) == size:
                    yield JsonChunk(numbers, lines), file.tell() / max(self._size, 1)
                    numbers, lines = [], []
            if lines:
                yield JsonChunk(numbers, lines), 1.0


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers. Of one over the limit only the start is kept."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            _skip_line(file)
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.isspace():
            yield number, line


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _parse(line: bytes) -> Mapping[str, Any] | Malformed:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Malformed(_why(line))
    return row if isinstance(row, dict) else Malformed("the line is no JSON object")


def _why(line: bytes) -> str:
    if len(line) == _LONGEST_LINE:
        return "the line is longer than 1 MiB"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "holds bytes that are no text"
    return "the line is no JSON"
