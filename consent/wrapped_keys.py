"""Reading the wrapped data keys of many records, in transactions of a few milliseconds.

So a destruction is never kept waiting.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from consent.prepared_records import RecordStores
from identity.statements import slices

_KEYS_AT_ONCE: Final = 4000  # about 10 ms
_DENSE: Final = 4  # read a range of key numbers if at most so many times the keys wanted


class WrappedKey(NamedTuple):
    """A wrapped data key and its epoch."""

    epoch: int
    key: bytes

    def __repr__(self) -> str:
        return f"<wrapped key of epoch {self.epoch}>"


def wrapped_keys(stores: RecordStores, key_ids: Sequence[int]) -> dict[int, WrappedKey]:
    """Return the live ones of `key_ids`. Each transaction of the key store is a few milliseconds long."""
    found: dict[int, WrappedKey] = {}
    ordered = sorted(key_ids)
    for at in range(0, len(ordered), _KEYS_AT_ONCE):
        part = ordered[at : at + _KEYS_AT_ONCE]
        if part[-1] - part[0] < _DENSE * len(part):
            with stores.keys.snapshot(single=True) as conn:
                for key_id, _, epoch, wrapped in stores.key_store.scan(conn, part[0], part[-1]):
                    found[key_id] = WrappedKey(epoch, wrapped)
            continue
        for few in slices(part):
            with stores.keys.snapshot(single=True) as conn:
                for key_id, epoch, wrapped in stores.key_store.wrapped(conn, few):
                    found[key_id] = WrappedKey(epoch, wrapped)
    return found
