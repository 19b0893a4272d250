"""A home to ingest into, and a look at everything that landed; also one ingest as a process of its own.

python -m tests.api.ingest.room HOME FILE    prints a line after every chunk that is stored
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from api.ingest.mapping import FileMapping, parse_mapping
from api.ingest.pipeline import ingest_file
from api.ingest.progress import IngestProgress, Silent
from api.ingest.report import IngestReport
from api.settings import Settings
from api.stores import create_home, load_keyring, open_keys, open_operational
from consent.events import RECORD, Subject
from consent.linkable import LinkableRecords
from consent.purposes import Purposes
from consent.records import RecordWriter
from consent.sealed_records import SealedRecords
from consent.vault import SOURCE_ID
from consent.worker_stores import record_stores
from tests.stores import environment

NOW: Final = 1_790_000_000_000

Landed = dict[tuple[str, str], tuple[Any, ...]]


class Room:
    """A home, opened for ingest."""

    def __init__(self, home: Path) -> None:
        settings = Settings.from_environment(environment(home))
        create_home(settings)
        self.keyring, self.purposes = load_keyring(settings), Purposes.load()
        db, keys = open_operational(settings), open_keys(settings)
        self.stores = record_stores(db, keys, self.keyring, self.purposes, origin="aurea.test")
        self.writer = RecordWriter(self.stores)
        self.now = NOW

    def ingest(
        self,
        path: Path,
        *,
        mapping: FileMapping | None = None,
        channel: str | None = None,
        grants: Sequence[str] = (),
        workers: int | None = None,
        progress: IngestProgress | None = None,
    ) -> IngestReport:
        return ingest_file(
            self.writer,
            self.keyring,
            path,
            clock=lambda: self.now,
            mapping=mapping,
            channel=channel,
            grants=grants,
            workers=workers,
            progress=progress,
        )

    def mapping(self, **content: Any) -> FileMapping:
        return parse_mapping(content, purposes=frozenset(self.purposes.by_name))

    def landed(self) -> Landed:
        """Everything stored, opened, by record key: what two homes must have in common."""
        linkable = dict(LinkableRecords(self.stores, lambda: self.now).live())
        opener = SealedRecords(self.stores.db, self.stores.keys, self.stores.key_store, self.stores.vault)
        names = (SOURCE_ID, "first_name", "last_name", "email", "phone", "birth_date", "trait:shop")
        landed: Landed = {}
        with self.stores.db.read() as conn:
            for record_no, record in opener.open_fields(sorted(linkable), names).items():
                events = self.stores.ledger.events_for(conn, [Subject(RECORD, record_no)])
                said = tuple((event.purpose, event.state, event.source) for event in events)
                key = (record.channel, str(record.source_id))
                assert key not in landed, "a record landed twice"
                landed[key] = (
                    record.observed_at,
                    record.attributes,
                    record.traits,
                    record.verified,
                    said,
                    linkable[record_no],
                )
        return landed

    def key_rows(self) -> int:
        """How many data keys are alive."""
        with self.stores.keys.read() as conn:
            return int(
                conn.execute(text("SELECT count(*) FROM record_keys WHERE length(wrapped) > 0")).scalar_one()
            )

    def close(self) -> None:
        self.stores.db.close()
        self.stores.keys.close()


def write_csv(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


class _Said(Silent):
    def advance(self, rows: int, share: float) -> None:  # noqa: ARG002 - the signature of the Protocol
        sys.stdout.write(f"{rows}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    room = Room(Path(sys.argv[1]))
    room.ingest(Path(sys.argv[2]), grants=["identity_linking"], workers=2, progress=_Said())
    room.close()
