"""How far an ingest is: a bar on a terminal, a plain line now and then elsewhere, nothing for machines."""

import time
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES: Final = 10.0


class IngestProgress(Protocol):
    """Told after every batch that is durably stored."""

    def advance(self, rows: int, share: float) -> None:
        """`rows` rows of the file are done, `share` (0 to 1) of all."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Silent:
    """Says nothing."""

    def advance(self, rows: int, share: float) -> None:
        """Ignore it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Lines(Silent):
    """A plain line every ten seconds, for logs and pipes."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name, self._stream = name, stream
        self._started = self._said = time.monotonic()

    def advance(self, rows: int, share: float) -> None:
        """Say how far it is, if the last line was a while ago."""
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            rate = rows / (now - self._started)
            print(f"{self._name}: {rows:,} rows, {share:.0%}, {rate:,.0f} rows/s", file=self._stream)


class Bar(Silent):
    """A progress bar with rate and remaining time."""

    def __init__(self, name: str, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            console=console,
        )
        self._name = name
        self._task: TaskID | None = None
        self._started = time.monotonic()

    def advance(self, rows: int, share: float) -> None:
        """Move the bar."""
        if self._task is not None:
            rate = rows / max(time.monotonic() - self._started, 0.001)
            self._progress.update(self._task, completed=share, rows=rows, rate=rate)

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task(self._name, total=1.0, rows=0, rate=0.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def progress_for(name: str, stream: TextIO) -> IngestProgress:
    """Return a bar if `stream` is a terminal, else plain lines."""
    if stream.isatty():
        return Bar(name, Console(file=stream))
    return Lines(name, stream)
