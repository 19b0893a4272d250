"""The state of all golden IDs as columns of numbers, and one step from state to state. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.golden_events import Events, Ints

NONE: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Who belonged to whom. `record_nos` ascend; `golden_nos` beside them are active.

    `merged_nos` (ascending) redirect to `redirect_nos`; `former_goldens` / `former_records` are the
    pairs of a merged ID and a record that it had. `next_golden_no` was never handed out.
    """

    record_nos: Ints
    golden_nos: Ints
    merged_nos: Ints
    redirect_nos: Ints
    former_goldens: Ints
    former_records: Ints
    next_golden_no: int


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """The new state and what led to it. `old_nos` is aligned with `state.record_nos`, NONE if new.

    `departed_*`: records of the old state that no cluster holds, and the ID they had. `ended_nos` with
    `ended_status` (MERGED, SPLIT, GONE): IDs that stopped being active, or merged ones that became split.
    `redirected_nos`: every merged ID whose redirect is new or changed. `unchanged`: IDs without an event.
    """

    state: State
    old_nos: Ints
    departed_records: Ints
    departed_goldens: Ints
    created: Ints
    reactivated: Ints
    ended_nos: Ints
    ended_status: Ints
    redirected_nos: Ints
    events: Events
    unchanged: int


def empty_state(next_golden_no: int = 1) -> State:
    """Return the state before the first run."""
    none = np.empty(0, dtype=np.int64)
    return State(none, none, none, none, none, none, next_golden_no)


def lookup(wanted: Ints, keys: Ints, values: Ints) -> Ints:
    """Return `values` at the places of `wanted` in the ascending `keys`, NONE where absent."""
    found = np.full(len(wanted), NONE, dtype=np.int64)
    if len(keys):
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[place] == wanted
        found[hit] = values[place[hit]]
    return found


def places(keys: Ints, wanted: Ints) -> Ints:
    """Return where each of `wanted` stands in the ascending `keys`, NONE where absent."""
    return lookup(wanted, keys, np.arange(len(keys), dtype=np.int64))


def pair(left: Ints, right: Ints, span: int) -> Ints:
    """Encode pairs as one integer; right < span. Golden numbers times clusters stay far below 2**63."""
    return left * span + right
