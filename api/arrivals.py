"""Records that arrive at the same time are stored and resolved together, so that they share commits.

A thread that brings records while another is at work waits; whoever has the turn takes all that wait.
Requests that bring few records have one thread among them (`received`): a thread for each would mostly wait
for the others, and every change from one to the next costs the interpreter as much as a statement. What each
gets is what it would get if they came one after the other, to which `RecordWriter.write` and
`Resolver.resolve_all` see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from api.resolution import Placement, Resolver
from consent.errors import DestructionIncompleteError
from consent.group_commit import GroupCommit
from consent.incoming import IncomingRecord
from consent.prepared_records import PreparedBatch
from consent.record_contents import Content
from consent.records import RecordWriter, WriteResult
from identity import review_queue, unresolved
from identity.database import Database
from identity.errors import (
    StaleScoresError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreUnreachableError,
)
from identity.online import Decision, Resolution
from identity.records import GoldenId
from identity.store import MembershipReader

MOST_TOGETHER: Final = 64
"""Records of one turn, unless a single request brings more: what comes first must not wait for long."""

_REGATHER_SECONDS: Final = 0.002
"""What it takes the loop to send an answer and to take in the next request, and more."""


_OF_A_STORE: Final = (
    DestructionIncompleteError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreUnreachableError,
    SQLAlchemyError,
    OSError,
)


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

    @property
    def done(self) -> bool:
        """Whether it is answered, by records or by what failed."""
        return self.found is not None or self.failed is not None

    def answers(self) -> list[Arrived]:
        """Return what became of the records. Raises what failed, or the first that kept changing."""
        if self.failed is not None:
            raise self.failed
        answers = []
        for each in self.found or []:
            if isinstance(each, StaleScoresError):
                raise each
            answers.append(each)
        return answers


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
        self._gathered: GroupCommit[_Call] = GroupCommit(self._work, regather_s=_REGATHER_SECONDS)

    def receive(self, records: Sequence[IncomingRecord]) -> list[Arrived]:
        """Store records and give each its golden ID; answer in their order, all of it on disk.

        Raises StaleScoresError if a record keeps changing, and what storing raises: then some may be stored,
        and the same call again, or the next linkage run, resolves them.
        """
        if not records:
            return []
        call = _Call(records)
        self._work([call])
        return call.answers()

    async def received(self, records: Sequence[IncomingRecord]) -> list[Arrived]:
        """Do as `receive` on an event loop, with one thread for all tasks that wait for it."""
        if not records:
            return []
        call = _Call(records)
        await self._gathered.committed([call])
        return call.answers()

    def _work(self, calls: Sequence[_Call]) -> None:
        """Return once `calls` are answered, by this thread or by one that took them into its turn."""
        with self._lock:
            self._waiting.extend(calls)
            mine = not self._busy
            self._busy = True
        failed: BaseException | None = None
        for call in calls:
            if not mine:
                call.ready.wait()
            mine = False  # the others are taken along, or told when their turn has come
            if not call.done:
                try:
                    self._take_a_turn()
                except BaseException as error:  # noqa: BLE001 - raised below: its next call may hold the turn
                    failed = error
        if failed is not None:
            raise failed

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

    def _answer(self, calls: Sequence[_Call], *, ahead: bool = True) -> None:
        try:
            found = iter(self._received([record for call in calls for record in call.records], ahead=ahead))
        except _OF_A_STORE:  # nobody would fare better
            raise
        except Exception as error:  # noqa: BLE001 - handed on to whom it concerns
            if len(calls) == 1 and not ahead:
                calls[0].failed = error
                return
            for call in calls:  # it is some record's: the others must not pay for it, and it is to be stored
                self._answer([call], ahead=False)
            return
        for call in calls:
            call.found = [next(found) for _ in call.records]

    def _received(
        self, records: Sequence[IncomingRecord], *, ahead: bool = True
    ) -> list[Arrived | StaleScoresError]:
        now = self._clock()
        written, resolved = (
            self._stored(records, now)
            if ahead
            else (self._writer.write(records, now=now, resolving=True), {})
        )
        known = self._known([each.record_no for each in written if each.status == "unchanged"])
        waiting = [
            each.record_no
            for each in written
            if each.record_no is not None and each.record_no not in known.keys() | resolved.keys()
        ]
        resolved |= self._resolver.resolve_all(waiting, now) if waiting else {}
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

    def _stored(
        self, records: Sequence[IncomingRecord], now: int
    ) -> tuple[list[WriteResult], dict[int, Resolution | StaleScoresError]]:
        """Store records; resolve in the same commit the new ones, unless another writer is at work."""
        placements: list[Placement] = []

        def placing(batch: PreparedBatch, contents: Sequence[Content]) -> Placement | None:
            placement = self._resolver.ahead(batch, contents, now)
            placements.extend([] if placement is None else [placement])
            return placement

        written = self._writer.write(records, now=now, placing=placing, resolving=True)
        return written, {
            number: found
            for placement in placements
            for number, found in placement.found.items()
            if isinstance(found, Resolution)
        }

    def _known(self, record_nos: Sequence[int | None]) -> dict[int, tuple[GoldenId, Decision]]:
        """Return the golden IDs of records that were resolved as they are, and what was decided."""
        numbers = [number for number in record_nos if number is not None]
        if not numbers:
            return {}
        with self._db.snapshot() as conn:
            waiting = unresolved.among(conn, numbers)  # whoever stored it could not resolve it, or has yet to
            goldens = self._memberships.goldens_of(conn, [no for no in numbers if no not in waiting])
            names = self._memberships.names(conn, goldens.values())
            members = self._memberships.members_of(conn, sorted(set(goldens.values())))
            alone = [no for no, golden_no in goldens.items() if len(members[golden_no]) == 1]
            asked = review_queue.asked_about(conn, alone)
        decided: dict[int, Decision] = {no: "review" if no in asked else "new" for no in alone}
        return {no: (names[golden_no], decided.get(no, "attached")) for no, golden_no in goldens.items()}


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
