"""How many different people a client may be told of a day: what bounds the enumeration of a customer base.

Whoever wants to read takes a unit before anybody is looked up and gives it back where nobody new was told.
Where there is no unit left the answer is 429 whoever is asked for, so that it says nothing of anybody.
A day is one of UTC.

Workers take units from the store in blocks and tell it once a second whom they told, so that no read waits
for a write but the first of a block. Stated bounds, for any number of workers: a client is never told of
more than its quota (but for the second and further successors of split IDs); of the last units up to one in
16 may be in another worker's hand, for two seconds; the block of a worker that was killed is lost until
midnight. A person told by two workers within the second takes two units until they have told the store.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final

from starlette.concurrency import run_in_threadpool

from api.auth import Caller
from api.limit_store import day_of, merge_people, set_day
from api.problems import QUOTA_SPENT, too_often
from identity.database import Database

DAY_MS: Final = 86_400_000
PART_BITS: Final = 4_096
_SHARE: Final = 16  # a block is at most this part of what is left
_BLOCK: Final = 1_024
_REFUSED_SECONDS: Final = 1.0  # how long a refusal is believed before the store is asked again


class _Day:
    """What this worker knows of one client's day."""

    __slots__ = ("block", "day", "fresh", "known", "left", "quota", "refused_until", "used")

    def __init__(self, day: int, quota: int) -> None:
        self.day, self.quota = day, quota
        self.left = 0  # units in hand
        self.block = 0
        self.known: dict[int, int] = {}  # part -> bits of who was told
        self.fresh: dict[int, int] = {}  # of these what the store was not told yet
        self.used = False  # since the last exchange
        self.refused_until = 0.0

    def take(self, people: int) -> bool:
        """Take so many units out of hand, if they are there."""
        if self.left < people:
            return False
        self.left -= people
        self.used = True
        return True

    def is_due(self) -> bool:
        """Whether there is something to tell the store, to take from it or to give back."""
        return bool(self.fresh) or (self.left < self.block // 2 if self.used else self.left != 0)

    def add(self, golden_no: int) -> bool:
        """Remember that this person was told; whether it is the first time."""
        part, bit = golden_no // PART_BITS, 1 << (golden_no % PART_BITS)
        before = self.known.get(part, 0)
        if before & bit:
            return False
        self.known[part] = before | bit
        self.fresh[part] = self.fresh.get(part, 0) | bit
        return True


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What a worker tells the store, gives back and asks for."""

    client_id: str
    day: int
    quota: int
    fresh: Mapping[int, int]  # part -> bits of whom it told
    left: int  # units that stay in its hand
    back: int
    needed: int  # at least; 0: it wants none


Tell = Callable[[Iterable[int]], None]


class PeopleQuota:
    """The quotas of all clients, as one worker keeps them. Safe from many threads."""

    def __init__(self, db: Database, clock: Callable[[], int]) -> None:
        self._db, self._clock = db, clock
        self._days: dict[str, _Day] = {}
        self._lock = Lock()
        self._exchanging = Lock()

    @contextmanager
    def reserved(self, caller: Caller, people: int = 1) -> Iterator[Tell]:
        """Hold units for so many people; what is yielded notes whom `caller` is told. The rest is given back.

        Raises a 429 problem before anybody is looked up.
        """
        if caller.quota is None:
            yield _nobody_counts
            return
        day = self._take(caller.client_id, caller.quota, people)
        with self._held(day, people) as tell:
            yield tell

    @asynccontextmanager
    async def reserved_soon(self, caller: Caller, people: int = 1) -> AsyncIterator[Tell]:
        """Do as `reserved` on an event loop: where this worker has none in hand, a thread asks the store."""
        if caller.quota is None:
            yield _nobody_counts
            return
        day = self._at_hand(caller.client_id, caller.quota, people)
        if day is None:
            day = await run_in_threadpool(self._take, caller.client_id, caller.quota, people)
        with self._held(day, people) as tell:
            yield tell

    @contextmanager
    def _held(self, day: _Day, people: int) -> Iterator[Tell]:
        """Count whom is told, and give the units of the others back."""
        new = 0

        def tell(golden_nos: Iterable[int]) -> None:
            nonlocal new
            with self._lock:
                new += sum(day.add(number) for number in golden_nos)

        try:
            yield tell
        finally:
            with self._lock:
                day.left += people - new

    def tell(self) -> None:
        """Tell the store whom clients were told, take new blocks, and give back what is not used."""
        today = self._clock() // DAY_MS
        with self._lock:
            for client_id in [each for each, day in self._days.items() if day.day != today]:
                del self._days[client_id]
            due = [(each, day, day.used) for each, day in self._days.items() if day.is_due()]
            for day in self._days.values():
                day.used = False
        for client_id, day, used in due:
            self._exchange(client_id, day, 1 if used else 0)

    def give_back(self) -> None:
        """Return everything in hand to the store: this worker ends."""
        with self._lock:
            held = [(each, day) for each, day in self._days.items() if day.fresh or day.left]
        for client_id, day in held:
            self._exchange(client_id, day, 0)

    def _take(self, client_id: str, quota: int, people: int) -> _Day:
        """Take units out of this worker's hand, into which a block comes if need be."""
        while (day := self._at_hand(client_id, quota, people)) is None:
            with self._lock:
                day = self._day(client_id, quota)
                refused = time.monotonic() < day.refused_until
            # What came may be taken by others before this thread has it: then there may be more.
            if refused or not self._exchange(client_id, day, people, unless_left=people):
                with self._lock:
                    if not refused:
                        day.refused_until = time.monotonic() + _REFUSED_SECONDS
                raise too_often((DAY_MS - self._clock() % DAY_MS) / 1_000, QUOTA_SPENT)
        return day

    def _at_hand(self, client_id: str, quota: int, people: int) -> _Day | None:
        """Take units out of this worker's hand if it holds enough."""
        with self._lock:
            day = self._day(client_id, quota)
            return day if day.take(people) else None

    def _day(self, client_id: str, quota: int) -> _Day:
        today = self._clock() // DAY_MS
        day = self._days.get(client_id)
        if day is None or day.day != today:
            day = self._days[client_id] = _Day(today, quota)
        if day.quota != quota:  # it was given another one
            day.quota, day.refused_until = quota, 0.0
        return day

    def _exchange(self, client_id: str, day: _Day, needed: int, *, unless_left: int | None = None) -> bool:
        """Tell whom this worker told, and hold a block; or with `needed` = 0 hold nothing any more.

        Return whether at least `needed` units came to be in hand: False where the store has too few.
        """
        with self._exchanging:
            with self._lock:
                if unless_left is not None and day.left >= unless_left:
                    return True  # another thread was here meanwhile
                fresh, day.fresh = day.fresh, {}
                # Taken out of hand first: what is given back may be another worker's at once.
                back = max(0, day.left - 2 * day.block) if needed else max(0, day.left)
                day.left -= back
                asked = _Exchange(client_id, day.day, day.quota, fresh, day.left, back, needed)
            try:
                known, granted, block = self._settle(asked)
            except BaseException:
                with self._lock:
                    day.left += back
                    for part, bits in fresh.items():
                        day.fresh[part] = day.fresh.get(part, 0) | bits
                raise
            with self._lock:
                day.left, day.block = day.left + granted, block
                for part, bits in known.items():
                    day.known[part] = day.known.get(part, 0) | bits
                return day.left >= needed

    def _settle(self, asked: "_Exchange") -> tuple[dict[int, int], int, int]:
        """Do so in the store; return who was told in those parts, the units granted, the size of a block."""
        with self._db.write(counted=False) as conn:
            told, reserved = day_of(conn, asked.client_id, asked.day)
            known, new = merge_people(conn, asked.client_id, asked.day, asked.fresh)
            told += new
            reserved -= asked.back
            reserved -= sum(bits.bit_count() for bits in asked.fresh.values())  # in hand until now
            block = max(1, min(_BLOCK, (asked.quota - told) // _SHARE))
            wanted = max(block, asked.needed) - asked.left if asked.needed else 0
            granted = max(0, min(wanted, asked.quota - told - reserved))
            set_day(conn, asked.client_id, asked.day, told, reserved + granted)
        return known, granted, block


def _nobody_counts(_golden_nos: Iterable[int]) -> None:
    """Do nothing: this caller has no quota."""
