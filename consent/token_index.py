"""Find numbers by token: sorted runs of (prefix, number) in pages, a small log-structured merge tree.

Tokens are random, so a B-tree of them dirties one page a token: ingest fell from 27k to 10k records a second
within 100,000 records, and page splits left copies of tokens that a deletion does not reach. Instead
every batch is one sorted run; `add` compacts small runs, `merge_recent` merges them into the one `main` run.

What a page looks like is in `consent.token_pages`.

Recent runs are cached in memory, keyed by a random stamp that changes with every change; pages of the
main run are read when asked for. All writing happens inside the caller's write transactions except
`merge_recent`, whose crash leaves a run `building` (ignored by readers, dropped by the next merge).
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import Connection

from consent import token_pages
from consent.token_pages import Entries, Int64s
from identity.database import Database
from identity.statements import Reading, Statement, slices

_RECENT, _MAIN, _BUILDING, _GARBAGE = range(4)
_MAX_RECENT_RUNS: Final = 24  # each costs a look-up about 4 us
_SMALL: Final = 1_000  # entries of a run that is cached as a dictionary, 100 bytes each
_COMPACTED: Final = 16  # runs merged into one
_COMPACTION_ENTRIES: Final = 300_000  # about 20 ms
_MERGE_AT: Final = 100_000
_MERGE_AT_MOST: Final = 4_000_000  # 64 MB cached by every process that looks up

_RUNS = Statement("SELECT run, state, bits, entries, stamp FROM token_runs ORDER BY run")
_ADD_RUN = Statement("""
    INSERT INTO token_runs (run, state, bits, entries, stamp) VALUES (:run, :state, :bits, :entries, :stamp)
""")
_NEXT_RUN = Statement("UPDATE key_counters SET value = value + 1 WHERE name = 'run_no' RETURNING value")
_SET_STATE = Statement("UPDATE token_runs SET state = :state, entries = :entries WHERE run = :run")
_SET_CHANGED = Statement("UPDATE token_runs SET entries = :entries, stamp = :stamp WHERE run = :run")
_DROP_RUN = Statement("DELETE FROM token_runs WHERE run = :run")
_ADD_PAGE = Statement("INSERT INTO token_pages (page_id, entries) VALUES (:page_id, :entries)")
_SET_PAGE = Statement("UPDATE token_pages SET entries = :entries WHERE page_id = :page_id")
_PAGES = Statement("SELECT page_id, entries FROM token_pages WHERE page_id IN :page_ids ORDER BY page_id")
_PAGE_RANGE = Statement("""
    SELECT entries FROM token_pages WHERE page_id >= :first AND page_id < :end ORDER BY page_id
""")
_DROP_PAGES = Statement("DELETE FROM token_pages WHERE page_id >= :first AND page_id < :end")
_ANY_PAGE = Statement("SELECT min(page_id) FROM token_pages WHERE page_id >= :first AND page_id < :end")


class _Run(NamedTuple):
    run: int
    state: int
    bits: int
    entries: int
    stamp: int

    def page_id(self, bucket: int) -> int:
        return (self.run << token_pages.MAX_BITS) + bucket


class _Cached(NamedTuple):
    """A recent run in memory; a small one as a dictionary as well, which answers ten times as fast."""

    entries: Entries
    small: Mapping[int, Sequence[int]] | None

    @classmethod
    def of(cls, entries: Entries) -> "_Cached":
        if len(entries[0]) > _SMALL:
            return cls(entries, None)
        small: dict[int, list[int]] = {}
        for prefix, number in zip(entries[0].tolist(), entries[1].tolist(), strict=True):
            small.setdefault(prefix, []).append(number)
        return cls(entries, small)


class TokenIndex:
    """(prefix, number) pairs, found by prefix. A prefix is a signed 64-bit integer, and so is a number."""

    def __init__(self) -> None:
        self._cache: dict[tuple[int, int], _Cached] = {}

    def add(self, conn: Connection, prefixes: Sequence[int], numbers: Sequence[int]) -> None:
        """Add pairs as one run, and compact when there are many small runs."""
        if not len(prefixes):
            return
        entries = token_pages.ordered(np.array(prefixes, np.int64), np.array(numbers, np.int64))
        new = _write_run(conn, *entries)
        # Under a stamp that nobody meets if the transaction is rolled back.
        self._cache = self._cache | {(new.run, new.stamp): _Cached.of(entries)}
        runs = _runs(conn)
        recent = sorted((r for r in runs if r.state == _RECENT), key=lambda run: run.entries)
        smallest = _alike(recent)
        if len(recent) <= _MAX_RECENT_RUNS or sum(run.entries for run in smallest) > _COMPACTION_ENTRIES:
            return
        if not any(run.state == _BUILDING for run in runs):  # a merge is reading these very runs
            _write_run(conn, *token_pages.merged([_load(conn, run) for run in smallest]))
            for run in smallest:
                _DROP_PAGES.run(conn, first=run.page_id(0), end=run.page_id(1 << run.bits))
                _DROP_RUN.run(conn, run=run.run)

    def find(self, conn: Reading, prefixes: Iterable[int]) -> dict[int, list[int]]:
        """Return the numbers stored under each prefix; prefixes without any are left out."""
        distinct = set(prefixes)
        found: dict[int, list[int]] = {}
        if not distinct:
            return found
        wanted = np.array(sorted(distinct), np.int64)
        runs = _runs(conn)
        for cached in self._recent(conn, [run for run in runs if run.state == _RECENT]):
            if cached.small is None:
                token_pages.collect(found, wanted, *cached.entries)
                continue
            for prefix in cached.small.keys() & distinct:
                found.setdefault(prefix, []).extend(cached.small[prefix])
        for run in runs:
            if run.state == _MAIN:
                token_pages.collect(found, wanted, *token_pages.joined(_pages(conn, run, wanted)))
        return found

    def remove(self, conn: Connection, prefixes: Sequence[int], numbers: Sequence[int]) -> None:
        """Remove every pair that has both its prefix and its number in the arguments, from every run."""
        wanted, gone = np.unique(np.array(prefixes, np.int64)), np.unique(np.array(numbers, np.int64))
        if not len(wanted):
            return
        for run in _runs(conn):
            removed = _scrub(conn, run, wanted, gone)
            if removed:
                _SET_CHANGED.run(conn, run=run.run, entries=run.entries - removed, stamp=secrets.randbits(63))

    def merge_recent(
        self, keys: Database, *, max_ms: int = 20, pause_ms: int = 0, force: bool = False
    ) -> bool:
        """Merge the recent runs into the main run when they are worth it (`force`: if there are any).

        Holds the write lock at most about `max_ms` at a time and then pauses. Returns whether it merged.
        """
        with keys.read() as conn:
            runs = _runs(conn)
        if not _worth_merging(runs, force=force) and all(run.state in {_RECENT, _MAIN} for run in runs):
            return False
        with keys.write() as conn:
            runs = _runs(conn)
            sources = [run for run in runs if run.state in {_RECENT, _MAIN}]
            for run in runs:
                if run.state == _BUILDING:  # left by a crash, or by a merger that will notice and stop
                    _SET_STATE.run(conn, run=run.run, state=_GARBAGE, entries=run.entries)
            merging = _worth_merging(runs, force=force)
            new = _new_run(conn, _BUILDING, _bits_of(sources), 0) if merging else None
        merged = new is not None and self._build(keys, new, sources, max_ms, pause_ms)
        _drop_garbage(keys, max_ms, pause_ms)
        return merged

    def _build(self, keys: Database, new: _Run, sources: list[_Run], max_ms: int, pause_ms: int) -> bool:
        bucket, written = 0, 0
        while bucket < 1 << new.bits:
            with keys.write() as conn:
                until = time.monotonic() + max_ms / 1000
                # Read inside the lock and by stamp: what was removed meanwhile must not come back.
                now = {run.run: run for run in _runs(conn)}
                if now.get(new.run, new).state != _BUILDING or not all(s.run in now for s in sources):
                    return False
                recent = [
                    cached.entries
                    for cached in self._recent(conn, [now[s.run] for s in sources if s.state == _RECENT])
                ]
                main = [now[s.run] for s in sources if s.state == _MAIN]
                while True:  # at least one step, however long the reading took
                    bucket, count = _build_pages(conn, new, bucket, recent, main)
                    written += count
                    if bucket == 1 << new.bits or time.monotonic() > until:
                        break
            time.sleep(pause_ms / 1000)
        with keys.write() as conn:
            now = {run.run: run for run in _runs(conn)}
            if new.run not in now or now[new.run].state != _BUILDING:
                return False
            # While building, `entries` counts (below zero) what was removed from pages already written.
            entries = written + now[new.run].entries
            _SET_STATE.run(conn, run=new.run, state=_MAIN, entries=entries)
            for run in sources:
                _SET_STATE.run(conn, run=run.run, state=_GARBAGE, entries=run.entries)
        return True

    def _recent(self, conn: Reading, runs: list[_Run]) -> "list[_Cached]":
        known = self._cache
        cache = {
            (run.run, run.stamp): known.get((run.run, run.stamp)) or _Cached.of(_load(conn, run))
            for run in runs
        }
        self._cache = cache  # one assignment: threads see the old or the new dictionary
        return list(cache.values())


def _alike(recent: Sequence[_Run]) -> Sequence[_Run]:
    """Return the runs to compact, of `recent` ones ascending by size: at least two.

    A run that is more than twice as large as all smaller ones together is left out: written again with every
    few additions, it would make each of them wait longer than the last.
    """
    count, entries = 0, 0
    for run in recent[:_COMPACTED]:
        if count >= 2 and run.entries > 2 * entries:
            break
        count, entries = count + 1, entries + run.entries
    return recent[:count]


def _runs(conn: Reading) -> list[_Run]:
    return [_Run._make(row) for row in _RUNS.rows(conn)]


def _new_run(conn: Connection, state: int, bits: int, entries: int) -> _Run:
    number = int(_NEXT_RUN.rows(conn)[0][0])
    run = _Run(number, state, bits, entries, secrets.randbits(63))
    _ADD_RUN.many(conn, [run])
    return run


def _worth_merging(runs: list[_Run], *, force: bool) -> bool:
    recent = sum(run.entries for run in runs if run.state == _RECENT)
    main = sum(run.entries for run in runs if run.state == _MAIN)
    return recent >= min(max(_MERGE_AT, main // 2), _MERGE_AT_MOST) or (force and recent > 0)


def _bits_of(sources: list[_Run]) -> int:
    """Pages of a merged run: never fewer than the main run's, so that one old page feeds whole new ones."""
    main = [run.bits for run in sources if run.state == _MAIN]
    return max([token_pages.bits_for(sum(run.entries for run in sources)), *main])


def _load(conn: Reading, run: _Run, first: int = 0, end: int | None = None) -> Entries:
    end = 1 << run.bits if end is None else end
    rows = _PAGE_RANGE.rows(conn, first=run.page_id(first), end=run.page_id(end))
    return token_pages.joined([token_pages.decode(page) for (page,) in rows])


def _pages(conn: Reading, run: _Run, wanted: Int64s) -> list[Entries]:
    return [token_pages.decode(page) for _, page in _page_rows(conn, run, wanted)]


def _page_rows(conn: Reading, run: _Run, wanted: Int64s) -> list[tuple[int, bytes]]:
    ids = (np.unique(token_pages.buckets(wanted, run.bits)) + run.page_id(0)).tolist()
    return [row for part in slices(ids) for row in _PAGES.rows(conn, page_ids=part)]


def _write_run(conn: Connection, prefixes: Int64s, numbers: Int64s) -> _Run:
    run = _new_run(conn, _RECENT, token_pages.bits_for(len(prefixes)), len(prefixes))
    _write_pages(conn, run, 0, 1 << run.bits, (prefixes, numbers))
    return run


def _write_pages(conn: Connection, run: _Run, first: int, end: int, entries: Entries) -> None:
    prefixes, numbers = entries
    if end - first == 1:
        edges = [0, len(prefixes)]
    else:
        edges = np.searchsorted(token_pages.buckets(prefixes, run.bits), np.arange(first, end + 1)).tolist()
    rows = [
        (run.page_id(first + at), token_pages.encode(prefixes[low:high], numbers[low:high]))
        for at, (low, high) in enumerate(pairwise(edges))
        if high > low
    ]
    _ADD_PAGE.many(conn, rows)


def _build_pages(
    conn: Connection, new: _Run, bucket: int, recent: list[Entries], main: list[_Run]
) -> tuple[int, int]:
    """Write some pages of a merged run from `bucket` on; return the next bucket and the entries written."""
    finer = max((new.bits - run.bits for run in main), default=0)
    end = min(bucket + max(64, 1 << finer), 1 << new.bits)
    parts = [_load(conn, run, bucket >> finer, end >> finer) for run in main]
    for prefixes, numbers in recent:
        low = 0 if bucket == 0 else np.searchsorted(prefixes, token_pages.first_prefix(bucket, new.bits))
        high = (
            None
            if end == 1 << new.bits
            else np.searchsorted(prefixes, token_pages.first_prefix(end, new.bits))
        )
        parts.append((prefixes[low:high], numbers[low:high]))
    entries = token_pages.merged(parts)
    _write_pages(conn, new, bucket, end, entries)
    return end, len(entries[0])


def _scrub(conn: Connection, run: _Run, wanted: Int64s, gone: Int64s) -> int:
    """Rewrite the pages of `run` without the pairs; return how many there were."""
    rows = _page_rows(conn, run, wanted)
    pages = [token_pages.decode(page) for _, page in rows]
    prefixes, numbers = token_pages.joined(pages)
    doomed = np.isin(numbers, gone) & np.isin(prefixes, wanted)
    if not doomed.any():
        return 0
    changed, at = [], 0
    for (page_id, _), (page_prefixes, page_numbers) in zip(rows, pages, strict=True):
        keep = ~doomed[at : at + len(page_prefixes)]
        at += len(page_prefixes)
        if not keep.all():
            page = token_pages.encode(page_prefixes[keep], page_numbers[keep])
            changed.append((page, page_id))
    _SET_PAGE.many(conn, changed)
    return int(doomed.sum())


def _drop_garbage(keys: Database, max_ms: int, pause_ms: int) -> None:
    while True:
        with keys.write() as conn:
            until = time.monotonic() + max_ms / 1000
            garbage = [run for run in _runs(conn) if run.state == _GARBAGE]
            while garbage:
                run = garbage[-1]
                whole = {"first": run.page_id(0), "end": run.page_id(1 << run.bits)}
                first = _ANY_PAGE.rows(conn, **whole)[0][0]
                if first is None:
                    _DROP_RUN.run(conn, run=run.run)
                    garbage.pop()
                else:
                    _DROP_PAGES.run(conn, first=first, end=min(first + 64, whole["end"]))
                if time.monotonic() > until:
                    break
        if not garbage:
            return
        time.sleep(pause_ms / 1000)
