"""Profiles that are given again as long as nothing has changed since they were made.

Most of what a read costs is unwrapping keys, opening fields and choosing among their values, each time to the
same end. So an answer is kept, with the state of both stores and of the keyring from before anything was read
for it. While that is their state still, reading again would find the same rows, and so the same decision and
the same values. Whatever is committed by whatever process (a withdrawal, an erasure, a linkage run, also what
concerns somebody else) is another state, and with it everything that was kept is dropped. Time alone
changes answers too: none is kept past the moment from which it could (`consent.cases.settled_until`).

Nothing here is a way past the door: it is the door that keeps, asks for and logs every answer again.

Plaintext in memory is bounded: so many answers, for so long, of so many characters each; `sweep` drops
what nobody may be told any more though nobody asks.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from consent.access_log import AccessEntry
from consent.answers import Profile, RevealRequest
from consent.cases import Decided
from consent.vault import Vault
from identity.database import Database

LONGEST_S: Final = 30.0
MOST_CHARACTERS: Final = 4_096
"""Of the values of one answer that is kept, and of those it was asked by."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, what the access log said of it, and how long it holds by itself."""

    profile: Profile = field(repr=False)
    entry: AccessEntry
    key_ids: tuple[int, ...]  # under which its records are sealed
    until: int  # from then on time may have changed it (ms); since then it is the profile's `as_of`
    dropped_at: float = field(init=False)  # by the monotonic clock

    def __post_init__(self) -> None:
        """Let it go with the moment at which it may not be given any more."""
        seconds = min(LONGEST_S, (self.until - self.profile.as_of) / 1000)
        object.__setattr__(self, "dropped_at", time.monotonic() + seconds)


class Recalled:
    """A request that is answered as one before was: with that answer, as of now."""

    __slots__ = ("entry", "kept", "now")

    def __init__(self, request: RevealRequest, kept: Kept, now: int) -> None:
        self.kept, self.now = kept, now
        said = kept.entry
        self.entry = AccessEntry(
            now, request.client, said.purpose, said.decision, said.attributes, said.golden_no, said.record_nos
        )

    @property
    def named(self) -> tuple[int, ...]:
        """The golden numbers that the answer names."""
        return (self.kept.profile.golden_no,)

    @property
    def profile(self) -> Profile:
        """The answer."""
        made = self.kept.profile
        return Profile(  # `dataclasses.replace` takes several times as long
            made.golden_no,
            made.golden_id,
            made.requested_id,
            made.purpose,
            self.now,
            made.confidence,
            made.attributes,
            made.traits,
            made.withheld,
            made.channels,
            made.records,
            made.household,
        )

    def __repr__(self) -> str:
        return "<recalled answer>"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is decided of several requests: anew, or as before. `state` is from before anything was read."""

    state: Hashable
    now: int  # ms
    of_requests: Sequence[Decided | Recalled]


class KeptAnswers:
    """What one process keeps: at most so many answers. Safe from many threads."""

    def __init__(self, db: Database, keys: Database, vault: Vault, *, most: int) -> None:
        self._db, self._keys, self._vault = db, keys, vault
        self._most = most
        self._held: Hashable = None
        self._answers: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def keeps(self) -> bool:
        """Whether any answer may be kept."""
        return self._most > 0

    def state(self) -> Hashable:
        """Return the present state of what answers are made of, and drop what was made in another.

        None where that cannot be told, on PostgreSQL: nothing is kept then.
        """
        commits = self._db.commits(), self._keys.commits()
        found = None if None in commits else (*commits, *self._vault.epochs())
        if found != self._held:
            with self._lock:
                self._held, self._answers = found, OrderedDict()
        return found

    def find(self, state: Hashable, request: RevealRequest, now: int) -> Kept | None:
        """Return what answers `request` in the `state` that was found for it."""
        if state is None:
            return None
        with self._lock:
            kept = self._answers.get(_asked(request)) if state == self._held else None
        if kept is None or not kept.profile.as_of <= now < kept.until or kept.dropped_at <= time.monotonic():
            return None
        return kept

    def keep(self, state: Hashable, request: RevealRequest, kept: Kept) -> None:
        """Keep an answer that was made of what was read in `state`, or later."""
        if not self.keeps or kept.until <= kept.profile.as_of:
            return
        if _characters(request, kept.profile) > MOST_CHARACTERS:
            return
        with self._lock:
            if state != self._held:
                return
            self._answers.pop(_asked(request), None)
            if len(self._answers) >= self._most:
                self._answers.popitem(last=False)  # the oldest
            self._answers[_asked(request)] = kept

    def sweep(self) -> bool:
        """Drop what has changed or was kept long enough; return whether anything is left.

        Everything is dropped where that cannot be told.
        """
        try:
            self.state()
        except BaseException:
            self.forget()
            raise
        now = time.monotonic()
        with self._lock:
            for asked in [asked for asked, kept in self._answers.items() if kept.dropped_at <= now]:
                del self._answers[asked]
            return bool(self._answers)

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._held, self._answers = None, OrderedDict()


def _asked(request: RevealRequest) -> Hashable:
    """Return what was asked: whoever may ask it at all is answered the same, but for names and the log."""
    return request.purpose, request.golden_id, request.identifiers, request.opted_out


def _characters(request: RevealRequest, profile: Profile) -> int:
    asked = (each.value for each in request.identifiers)
    values = (*asked, *profile.attributes.values(), *profile.traits.values())
    return sum(len(value) if isinstance(value, str) else sum(map(len, value)) for value in values)
