"""Records that arrive at the same time are stored and resolved together, so that they share commits.

A thread that brings records while another is at work waits; whoever has the turn takes all that wait. What
each gets is what it would get if they came one after the other, to which `RecordWriter.write` and
`Resolver.resolve_all` see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from api.resolution import Resolver
from consent.errors import ConsentError
from consent.incoming import IncomingRecord
from consent.records import RecordWriter, WriteResult
from identity.database import Database
from identity.errors import IdentityError, StaleScoresError
from identity.online import Decision, Resolution
from identity.records import GoldenId
from identity.store import MembershipReader

MOST_TOGETHER: Final = 64
"""Records of one turn, unless a single request brings more: what comes first must not wait for long."""


class Arrived(NamedTuple):
    """What became of a record; without a golden ID if it was rejected or suppressed."""

    written: WriteResult
    golden_id: GoldenId | None = None
    decision: Decision | None = None


@dataclass(slots=True)
class _Call:
    """One thread's records, and what it waits for: the answer, or its turn."""

    records: Sequence[IncomingRecord]
    ready: Event = field(default_factory=Event)
    found: "list[Arrived | StaleScoresError] | None" = None
    failed: BaseException | None = None


class Arrivals:
    """Stores and resolves. Safe from many threads."""

    def __init__(
        self,
        *,
        db: Database,
        writer: RecordWriter,
        resolver: Resolver,
        memberships: MembershipReader,
        clock: Callable[[], int],
    ) -> None:
        self._db, self._writer, self._resolver = db, writer, resolver
        self._memberships, self._clock = memberships, clock
        self._lock = Lock()
        self._waiting: list[_Call] = []
        self._busy = False

    def receive(self, records: Sequence[IncomingRecord]) -> list[Arrived]:
        """Store records and give each its golden ID; answer in their order, all of it on disk.

        Raises StaleScoresError if a record keeps changing, and what storing raises: then some may be stored,
        and the same call again, or the next linkage run, resolves them.
        """
        if not records:
            return []
        call = _Call(records)
        with self._lock:
            self._waiting.append(call)
            mine = not self._busy
            self._busy = True
        if not mine:
            call.ready.wait()
        if call.found is None and call.failed is None:
            self._take_a_turn()
        if call.failed is not None:
            raise call.failed
        answers = []
        for each in call.found or []:
            if isinstance(each, StaleScoresError):
                raise each
            answers.append(each)
        return answers

    def _take_a_turn(self) -> None:
        """Work for all that wait, the caller first among them, and pass the turn on to who came since."""
        with self._lock:
            calls = _first(self._waiting)
            del self._waiting[: len(calls)]
        try:
            self._answer(calls)
        except BaseException as error:  # handed on to everybody it concerns
            for call in calls:
                call.failed = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            for call in (*calls[1:], *([] if following is None else [following])):
                call.ready.set()

    def _answer(self, calls: Sequence[_Call]) -> None:
        try:
            found = iter(self._received([record for call in calls for record in call.records]))
        except (IdentityError, ConsentError, SQLAlchemyError, OSError):  # a store's: nobody would fare better
            raise
        except Exception as error:  # noqa: BLE001 - handed on to whom it concerns
            if len(calls) == 1:
                calls[0].failed = error
                return
            for call in calls:  # it is some record's, and the others must not pay for it
                self._answer([call])
            return
        for call in calls:
            call.found = [next(found) for _ in call.records]

    def _received(self, records: Sequence[IncomingRecord]) -> list[Arrived | StaleScoresError]:
        now = self._clock()
        written = self._writer.write(records, now=now)
        known = self._known([each.record_no for each in written if each.status == "unchanged"])
        waiting = [
            each.record_no for each in written if each.record_no is not None and each.record_no not in known
        ]
        resolved = self._resolver.resolve_all(waiting, now) if waiting else {}
        found: list[Arrived | StaleScoresError] = []
        for each in written:
            resolution = resolved.get(each.record_no or 0)
            if isinstance(resolution, StaleScoresError):
                found.append(resolution)
            elif isinstance(resolution, Resolution):
                found.append(Arrived(each, resolution.golden_id, resolution.decision))
            else:
                found.append(Arrived(each, *known.get(each.record_no or 0, ())))
        return found

    def _known(self, record_nos: Sequence[int | None]) -> dict[int, tuple[GoldenId, Decision]]:
        """Return the golden IDs of records that were resolved before, and what was decided."""
        numbers = [number for number in record_nos if number is not None]
        if not numbers:
            return {}
        with self._db.snapshot() as conn:
            goldens = self._memberships.goldens_of(conn, numbers)
            names = self._memberships.names(conn, goldens.values())
            members = self._memberships.members_of(conn, sorted(set(goldens.values())))
        return {
            record_no: (names[golden_no], "attached" if len(members[golden_no]) > 1 else "new")
            for record_no, golden_no in goldens.items()
        }


def _first(waiting: Sequence[_Call]) -> list[_Call]:
    """Return the calls of the next turn: at least one, and together at most MOST_TOGETHER records."""
    count = 0
    calls: list[_Call] = []
    for call in waiting:
        count += len(call.records)
        if calls and count > MOST_TOGETHER:
            break
        calls.append(call)
    return calls
