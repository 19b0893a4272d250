"""CSV (RFC 4180, UTF-8, header in line 1) row by row, losing no good row to a bad one."""

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from api.ingest.chunks import Malformed
from api.ingest.errors import InputFileError
from consent.incoming import MAX_VALUE_BYTES

# A field beyond this ends the row as malformed: an unclosed quote cannot swallow a whole file.
_LONGEST_FIELD: Final = 32 * MAX_VALUE_BYTES
_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class CsvChunk:
    """Rows as lists of cells, with the physical line on which each begins."""

    names: tuple[str, ...]
    lines: list[int]
    cells: list[list[str] | Malformed]

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self) -> Iterator[tuple[int, Mapping[str, str] | Malformed]]:
        """Yield each row with its line number."""
        for line, row in zip(self.lines, self.cells, strict=True):
            yield line, row if isinstance(row, Malformed) else dict(zip(self.names, row, strict=True))


class CsvFile:
    """A CSV file. Undecodable bytes are kept as lone surrogates, so that only their row is rejected."""

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(_LONGEST_FIELD)
        self._path = path
        self._size = path.stat().st_size
        with self._open() as file:
            header = file.readline()
        self._delimiter = _delimiter(header)
        self.order = self._header()
        self.columns = frozenset(self.order)

    def seek_columns(self, wanted: frozenset[str]) -> None:
        """Nothing to look for: the header names every column."""

    def chunks(self, size: int) -> Iterator[tuple[CsvChunk, float]]:
        """Yield the rows in order; blank lines are no rows."""
        lines: list[int] = []
        cells: list[list[str] | Malformed] = []
        with self._open() as file:
            rows = self._rows(file)
            next(rows)  # the header
            for line, row in rows:
                lines.append(line)
                cells.append(row)
                if len(lines) == size:
                    yield CsvChunk(self.order, lines, cells), self._share(file)
                    lines, cells = [], []
            if lines:
                yield CsvChunk(self.order, lines, cells), 1.0

    def _open(self) -> TextIO:
        return self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")

    def _share(self, file: TextIO) -> float:
        return file.buffer.tell() / max(self._size, 1)

    def _header(self) -> tuple[str, ...]:
        name = self._path.name
        with self._open() as file:
            header = next(self._rows(file), (1, Malformed("")))[1]
        if isinstance(header, Malformed):
            raise InputFileError(f"{name}: line 1 holds no column names")
        columns = tuple(column.strip() for column in header)
        try:
            "".join(columns).encode()
        except UnicodeEncodeError:
            raise InputFileError(f"{name}: the column names are not UTF-8") from None
        if len(set(columns)) < len(columns):
            raise InputFileError(f"{name}: two columns have one name")
        return columns

    def _rows(self, file: TextIO) -> Iterator[tuple[int, list[str] | Malformed]]:
        """Rows with the line they begin on.

        A stray quote makes the parser read on into the next lines. So when a row of several lines is
        malformed, only its first line is given up and the others are read again by themselves.
        """
        lines = _Lines(file)
        # strict: text after a closing quote is an error, which is how a stray quote is noticed.
        parser = csv.reader(lines, delimiter=self._delimiter, strict=True)
        width = 0
        while True:
            lines.begin_row()
            reason = "the row has another number of fields than the header"
            try:
                row = next(parser)
            except StopIteration:
                return
            except csv.Error as error:
                row = []
                reason = (
                    "a value over 4 KiB or an unclosed quote" if "limit" in str(error) else "a stray quote"
                )
            else:
                if not row:
                    continue
                width = width or len(row)
                if len(row) == width:
                    yield lines.row_line, row
                    continue
            lines.give_back_all_but_first()
            yield lines.row_line, Malformed(reason)


class _Lines:
    """Physical lines for the parser, remembering those of the current row so that they can be re-read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self._next_line = 1
        self.row_line = 1

    def begin_row(self) -> None:
        self._row = []
        self.row_line = self._next_line

    def give_back_all_but_first(self) -> None:
        returned = self._row[1:]
        self._again.extendleft(reversed(returned))
        self._next_line -= len(returned)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self._row.append(line)
        self._next_line += 1
        return line


def _delimiter(header: str) -> str:
    """Return the comma; where the header has none, another delimiter that spreadsheets write."""
    return next((mark for mark in _DELIMITERS if mark in header), ",")
