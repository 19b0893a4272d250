"""What a run keeps of contacts and identifiers, and that it keeps nothing of who left while it was at work.

A run opens records, and stores keyed hashes of some of their values minutes later. Whoever destroys a key in
between deletes what older runs kept (`RecordWriter.destroy_keys`) and cannot know of this one's. So once they
are stored the run itself looks which of its values nobody carries any more.
"""

from typing import Final

from consent.frequency_tokens import frequency_token, lookup_token
from consent.prepared_records import RecordStores
from identity import model_store
from identity.statements import Statement

_AT_ONCE: Final = 1_000  # tokens looked for in one snapshot of the key store

_PENDING: Final = Statement("SELECT key_id FROM pending_destructions")


class RunValues:
    """Makes the hashes of one run, and remembers the lookup tokens that they are made of."""

    def __init__(self, stores: RecordStores) -> None:
        self._stores = stores
        self._made: dict[tuple[str, bytes], bytes] = {}  # (column, hash) -> lookup token

    def token(self, column: str, value: str) -> bytes:
        """Return the hash under which the run keeps a value of `column`."""
        hashed = frequency_token(self._stores.index, column, value)
        carried = lookup_token(self._stores.index, column, value)
        if carried is not None:
            self._made[column, hashed] = carried
        return hashed

    def forget_uncarried(self, run_id: str) -> None:
        """Delete what run `run_id` has stored of values that no live record carries.

        A key whose destruction was noted counts as destroyed. One that is noted later is not yet, and whoever
        destroys it finds what is stored by now.
        """
        stores = self._stores
        with stores.db.read() as conn:
            pending = {key_id for (key_id,) in _PENDING.rows(conn)}
        made, gone = list(self._made.items()), []
        for at in range(0, len(made), _AT_ONCE):
            some = made[at : at + _AT_ONCE]
            with stores.keys.read() as conn:
                carriers = stores.key_store.candidates(conn, {token for _, token in some})
            gone += [(run_id, *kept) for kept, token in some if pending.issuperset(carriers[token])]
        if gone:
            with stores.db.write() as conn:
                model_store.delete_frequencies(conn, gone)
