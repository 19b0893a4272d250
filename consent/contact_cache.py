"""Which contact point a token is, without asking the token index: what every profile read needs to know.

Contact points are only ever added, numbered in the order in which they are committed. So a process keeps the
first 8 bytes of every token with its number, and a read asks for those added since, which are mostly none:
0.01 ms, where a look-up in the index takes 0.2 ms and more. A number found so counts only if the snapshot
still holds the whole token under it, for one that was destroyed, or is younger than the snapshot, stays here.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final

import numpy as np

from consent.blind_indexes import BlindIndex
from consent.token_pages import Int64s
from identity.read_snapshots import ReadSnapshot
from identity.statements import Statement

_SETTLED_AT: Final = 10_000
"""As many recent contact points lie in a dictionary, 100 bytes each; the others in arrays, 16 bytes each."""

_SINCE = Statement("""
    SELECT contact_no, token FROM contact_points WHERE contact_no > :last ORDER BY contact_no
""")


class ContactCache:
    """(prefix of the token, number) of every contact point this process has seen. Safe from many threads.

    Read snapshots alone may ask: what a write transaction sees of its own could be rolled back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0
        self._recent: dict[int, list[int]] = {}
        self._prefixes: Int64s = np.empty(0, np.int64)  # ascending
        self._numbers: Int64s = np.empty(0, np.int64)

    def numbers(self, conn: ReadSnapshot, prefixes: Sequence[int]) -> list[int]:
        """Return the contact points that may have a token with one of these prefixes."""
        self._catch_up(conn)
        with self._lock:  # the arrays and the dictionary change together
            settled, numbers = self._prefixes, self._numbers
            found = [no for prefix in prefixes for no in self._recent.get(prefix, ())]
        if len(settled):
            wanted = np.array(prefixes, np.int64)
            first, end = np.searchsorted(settled, wanted, "left"), np.searchsorted(settled, wanted, "right")
            for at in np.nonzero(end > first)[0].tolist():
                found += numbers[first[at] : end[at]].tolist()
        return found

    def _catch_up(self, conn: ReadSnapshot) -> None:
        added = _SINCE.rows(conn, last=self._last)
        if not added:
            return
        with self._lock:
            for no, token in added:
                if no > self._last:  # another thread may have been faster
                    if token:
                        self._recent.setdefault(BlindIndex.prefix(token), []).append(no)
                    self._last = no
            if len(self._recent) > _SETTLED_AT:
                self._settle()

    def _settle(self) -> None:
        pairs = [(prefix, no) for prefix, numbers in self._recent.items() for no in numbers]
        prefixes = np.concatenate([self._prefixes, np.array([prefix for prefix, _ in pairs], np.int64)])
        numbers = np.concatenate([self._numbers, np.array([no for _, no in pairs], np.int64)])
        order = np.argsort(prefixes, kind="stable")
        self._prefixes, self._numbers = prefixes[order], numbers[order]
        self._recent = {}
