"""Which golden IDs each client was told: its change feed tells it of no others.

A disclosure is stored before the answer leaves, so that a crash can lose an answer but never a later
`gone` for an ID that a consumer holds. What this process has stored before costs nothing again.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from threading import Lock
from typing import Final

from sqlalchemy import Connection

from api.auth import Caller
from api.store import add_disclosures, disclosed
from consent.group_commit import GroupCommit
from identity.database import Database

_REMEMBERED: Final = 200_000  # pairs; about 30 MB at most


class Disclosures:
    """Remembers disclosures to consumers; other roles read the whole feed and need none."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._lock = Lock()
        self._together = GroupCommit[tuple[str, int]](self._store)

    def note(self, caller: Caller, golden_nos: Iterable[int]) -> bool:
        """Store that `caller` is about to be told these golden IDs; whether any of them is new."""
        new = self._new(caller, golden_nos)
        if new:
            self._store(new)
        return bool(new)

    def noted(self, caller: Caller, golden_nos: Iterable[int]) -> Awaitable[None] | None:
        """Do as `note` on an event loop, where all that wait share one transaction; None: nothing is new."""
        new = self._new(caller, golden_nos)
        return self._together.committed(new) if new else None

    def _new(self, caller: Caller, golden_nos: Iterable[int]) -> list[tuple[str, int]]:
        if caller.role != "consumer":
            return []
        with self._lock:
            pairs = dict.fromkeys((caller.client_id, number) for number in golden_nos)
            return [pair for pair in pairs if pair not in self._known]

    def _store(self, pairs: Sequence[tuple[str, int]]) -> None:
        with self._db.write(counted=False) as conn:
            add_disclosures(conn, pairs)
        with self._lock:
            self._known.update(dict.fromkeys(pairs))
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def among(self, conn: Connection, caller: Caller, golden_nos: Sequence[int]) -> set[int]:
        """Return those of `golden_nos` that `caller` may be told of in its change feed."""
        if caller.role != "consumer":
            return set(golden_nos)
        return disclosed(conn, caller.client_id, golden_nos)
