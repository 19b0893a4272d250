"""From the old state and every record's new golden number to all that changed. Pure; see golden_ids."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from identity.distinct import distinct
from identity.golden_events import GONE, MERGED, SPLIT, Events, Ints, Ragged
from identity.golden_state import NONE, Assignment, State, lookup, pair, places


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """What became of the active IDs that no cluster got."""

    nos: Ints
    status: Ints
    redirect: Ints  # NONE unless merged
    homes: Ragged  # where their records are now


@dataclass(frozen=True, slots=True, eq=False)
class _Redirects:
    """The merged IDs after this step, those whose redirect moved, and those that scattered."""

    nos: Ints
    targets: Ints
    moved: Ints
    lost: Ints
    lost_to: Ragged


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """From the old state and the new golden number of every record to everything that changed."""

    previous: State
    records: Ints
    golden: Ints
    old: Ints
    created: Ints
    reactivated: Ints

    def assignment(self) -> Assignment:
        """Work out the new state, its events and what the caller has to write."""
        before = distinct(self.previous.golden_nos)
        departed = ~np.isin(self.previous.record_nos, self.records, assume_unique=True)
        ends = self._ends(before[~np.isin(before, self.golden)])
        redirects = self._redirects(ends)
        formers, former_records = self._formers(ends, redirects.lost)
        state = State(
            self.records, self.golden, redirects.nos, redirects.targets, formers, former_records,
            self.previous.next_golden_no + len(self.created),
        )  # fmt: skip
        events = self._events(ends, redirects)
        return Assignment(
            state=state,
            old_nos=self.old,
            departed_records=self.previous.record_nos[departed],
            departed_goldens=self.previous.golden_nos[departed],
            created=self.created,
            reactivated=self.reactivated,
            ended_nos=np.concatenate([ends.nos, redirects.lost]),
            ended_status=np.concatenate([ends.status, np.full(len(redirects.lost), SPLIT, dtype=np.int64)]),
            redirected_nos=redirects.moved,
            events=events,
            unchanged=len(before) - int(np.isin(before, events.golden_nos).sum()),
        )

    def _ends(self, ended: Ints) -> _Ends:
        moved = np.isin(self.old, ended)
        homes = Ragged.of(np.searchsorted(ended, self.old[moved]), self.golden[moved], len(ended))
        sizes = homes.sizes()
        status = np.select([sizes == 0, sizes == 1], [GONE, MERGED], SPLIT).astype(np.int64)
        redirect = np.full(len(ended), NONE, dtype=np.int64)
        redirect[status == MERGED] = homes.values[homes.offsets[:-1][status == MERGED]]
        return _Ends(ended, status, redirect, homes)

    def _redirects(self, ends: _Ends) -> _Redirects:
        kept = ~np.isin(self.previous.merged_nos, self.reactivated)
        merged, before = self.previous.merged_nos[kept], self.previous.redirect_nos[kept]
        target, scattered, homes = self._majority(merged)
        merging = ends.status == MERGED
        # Without a living former record: follow the old target if it merged just now.
        orphan = target == NONE
        onward = lookup(before, ends.nos[merging], ends.redirect[merging])
        target[orphan] = np.where(onward[orphan] != NONE, onward[orphan], before[orphan])
        moved = merged[(target != before) & ~scattered]
        nos = np.concatenate([merged[~scattered], ends.nos[merging]])
        targets = np.concatenate([target[~scattered], ends.redirect[merging]])
        order = np.argsort(nos)
        return _Redirects(
            nos=nos[order],
            targets=targets[order],
            moved=np.sort(np.concatenate([moved, ends.nos[merging]])),
            lost=merged[scattered],
            lost_to=homes.take(scattered),
        )

    def _majority(self, merged: Ints) -> tuple[Ints, npt.NDArray[np.bool_], Ragged]:
        """Where more than half of the living former records of each merged ID are, else NONE.

        Then, which of them have living records but no such place, and every place they have.
        """
        place = places(self.records, self.previous.former_records)
        use = (place != NONE) & np.isin(self.previous.former_goldens, merged)
        index = np.searchsorted(merged, self.previous.former_goldens[use])
        home = self.golden[place[use]]
        total = np.bincount(index, minlength=len(merged))
        span = self.previous.next_golden_no + len(self.created)
        edge, shared = np.unique(pair(index, home, span), return_counts=True)
        row, column = edge // span, edge % span
        target = np.full(len(merged), NONE, dtype=np.int64)
        wins = 2 * shared > total[row]
        target[row[wins]] = column[wins]
        return target, (total > 0) & (target == NONE), Ragged.of(row, column, len(merged))

    def _formers(self, ends: _Ends, lost: Ints) -> tuple[Ints, Ints]:
        """Pairs (merged ID, former record) after this step; records that departed are forgotten."""
        over = np.concatenate([self.reactivated, lost])
        keep = ~np.isin(self.previous.former_goldens, over)
        keep &= np.isin(self.previous.former_records, self.records)
        new = np.isin(self.old, ends.nos[ends.status == MERGED])
        goldens = np.concatenate([self.previous.former_goldens[keep], self.old[new]])
        records = np.concatenate([self.previous.former_records[keep], self.records[new]])
        order = np.lexsort((records, goldens))
        return goldens[order], records[order]

    def _events(self, ends: _Ends, redirects: _Redirects) -> Events:
        """One event per golden ID that changed."""
        joined = self.old != self.golden
        now = lookup(self.previous.record_nos, self.records, self.golden)
        left = now != self.previous.golden_nos
        gave = self.previous.golden_nos
        closed = [self.created, self.reactivated, ends.nos, redirects.moved, redirects.lost]
        updated = np.setdiff1d(np.concatenate([self.golden[joined], gave[left]]), np.concatenate(closed))
        split, gone = ends.status == SPLIT, ends.status == GONE
        splits = np.sort(np.concatenate([ends.nos[split], redirects.lost]))
        groups = [self.created, self.reactivated, updated, redirects.moved, splits, ends.nos[gone]]
        goldens = np.concatenate(groups)  # in the order of KINDS
        kinds = np.repeat(np.arange(len(groups), dtype=np.int64), [len(nos) for nos in groups])

        left &= np.isin(gave, updated)
        away = left & (now != NONE)
        split_homes = ends.homes.take(split)
        others = [
            (gave[away], now[away]),
            (redirects.moved, lookup(redirects.moved, redirects.nos, redirects.targets)),
            (ends.nos[split][split_homes.rows()], split_homes.values),
            (redirects.lost[redirects.lost_to.rows()], redirects.lost_to.values),
        ]
        index, count = _Places(goldens), len(goldens)
        return Events(
            kinds=kinds,
            golden_nos=goldens,
            joined=Ragged.of(index.of(self.golden[joined]), self.records[joined], count),
            left=Ragged.of(index.of(gave[left]), self.previous.record_nos[left], count),
            others=Ragged.of(
                index.of(np.concatenate([nos for nos, _ in others])),
                np.concatenate([values for _, values in others]),
                count,
            ),
        )


class _Places:
    """Where each golden number stands in the list of events."""

    def __init__(self, goldens: Ints) -> None:
        self._order = np.argsort(goldens)
        self._sorted = goldens[self._order]

    def of(self, goldens: Ints) -> Ints:
        return self._order[np.searchsorted(self._sorted, goldens)]
