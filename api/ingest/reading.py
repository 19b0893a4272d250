"""Which reader reads a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from api.ingest.chunks import Reader
from api.ingest.csv_file import CsvFile
from api.ingest.errors import InputFileError
from api.ingest.json_lines import JsonLinesFile
from api.ingest.parquet_file import ParquetFile


def open_reader(path: Path) -> Reader:
    """Open `path` by its ending, else by its first bytes. Raises InputFileError."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise InputFileError(f"{path.name}: cannot be read: {error.strerror}") from error
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputFileError(f"{path.name}: is UTF-16; save it as UTF-8")
    if path.suffix.lower() in _JSON and start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        raise InputFileError(f"{path.name}: holds a JSON array; write one object per line (JSON Lines)")
    return _READERS[_format(path, start)](path)


def _format(path: Path, start: bytes) -> str:
    by_ending = _ENDINGS.get(path.suffix.lower())
    if start.startswith(b"PAR1"):
        return "parquet"
    if by_ending is not None:
        return by_ending
    return "json" if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"


_READERS: Final[Mapping[str, Callable[[Path], Reader]]] = {
    "csv": CsvFile,
    "json": JsonLinesFile,
    "parquet": ParquetFile,
}
_JSON: Final = frozenset({".json", ".jsonl", ".ndjson"})
_ENDINGS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
