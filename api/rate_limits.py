"""How often a client may ask: token buckets that all workers share, without a write for a request.

A bucket is one number, the time at which it is full again (the generic cell rate algorithm). Each worker
decides in memory and tells the store every second what it has let through; from then on the others know.
So with W workers a client that floods all of them gets, over any T seconds, at most
burst + rate * T + (W - 1) * (burst + rate * 1 s): what it had too much is taken off afterwards. While the
store cannot be written each worker counts alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from api.limit_store import spend
from identity.database import Database

SYNC_SECONDS: Final = 1.0
BURST_SECONDS: Final = 2  # a full bucket holds the requests of so long
_LONGEST: Final = 60_000_000  # us that a bucket may be in debt, however many workers were flooded


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a second, and how many at once after a pause."""

    per_second: float
    burst: float

    @classmethod
    def of(cls, per_second: int) -> "Rate":
        """Return a rate whose bucket holds the requests of BURST_SECONDS."""
        return cls(per_second, per_second * BURST_SECONDS)


class RateLimits:
    """The buckets of one worker. Safe from many threads."""

    def __init__(self, db: Database, clock: Callable[[], int]) -> None:
        self._db, self._clock = db, clock
        self._full_at: dict[str, float] = {}  # us
        self._spent: dict[str, tuple[float, float]] = {}  # not told to the store: since when, how much; us
        self._lock = Lock()
        self._telling = Lock()

    def wait(self, bucket: str, rate: Rate) -> float:
        """Let one request through and return 0, or return after how many seconds one would be let through."""
        each, now = 1_000_000 / rate.per_second, self._clock() * 1_000
        with self._lock:
            full_at = max(self._full_at.get(bucket, now), now)
            if full_at > now + _LONGEST:  # no debt is so large: the clock was set back
                full_at = now
            early = full_at + each - now - rate.burst * each
            if early > 0:
                return early / 1_000_000
            self._full_at[bucket] = full_at + each
            since, amount = self._spent.get(bucket, (now, 0))
            self._spent[bucket] = (since, amount + each)
        return 0.0

    def give_back(self, bucket: str, rate: Rate) -> None:
        """Undo one request that was let through."""
        each = 1_000_000 / rate.per_second
        with self._lock:
            self._full_at[bucket] = self._full_at.get(bucket, 0) - each
            since, amount = self._spent.get(bucket, (self._clock() * 1_000, 0))
            self._spent[bucket] = (since, amount - each)

    def tell(self) -> None:
        """Tell the store what was let through since, and learn what the other workers did."""
        with self._telling:
            with self._lock:
                spent, self._spent = self._spent, {}
            if spent:
                try:
                    self._exchange(spent)
                except BaseException:
                    self._take_back(spent)
                    raise
            self._forget_full()

    def _exchange(self, spent: dict[str, tuple[float, float]]) -> None:
        told = {bucket: (int(since), int(amount)) for bucket, (since, amount) in spent.items()}
        now = self._clock() * 1_000
        with self._db.write(counted=False) as conn:
            known = spend(conn, told, now, _LONGEST)
        with self._lock:
            for bucket, full_at in known.items():
                self._full_at[bucket] = max(self._full_at.get(bucket, 0), full_at)

    def _take_back(self, spent: dict[str, tuple[float, float]]) -> None:
        with self._lock:
            for bucket, (since, amount) in spent.items():
                _, more = self._spent.get(bucket, (0, 0))
                self._spent[bucket] = (since, amount + more)

    def _forget_full(self) -> None:
        now = self._clock() * 1_000
        with self._lock:
            full = [bucket for bucket, at in self._full_at.items() if at < now and bucket not in self._spent]
            for bucket in full:
                del self._full_at[bucket]
