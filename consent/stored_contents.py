"""A record's sealed content with its wrapped key, as one snapshot of both stores shows them."""

from collections.abc import Iterable
from functools import lru_cache

from consent.errors import KeyUnavailableError
from consent.key_store import KeyRow
from consent.vault import DataKey, Vault, unpack_fields


@lru_cache(maxsize=1024)
def identifiers(verified: str) -> tuple[str, ...]:
    """Return the identifier types of a record's stored list, which are separated by commas."""
    return tuple(name for name in verified.split(",") if name)


class StoredContent:
    """What a record is sealed under and what is sealed. The key is unwrapped once, by whoever may first."""

    __slots__ = ("_data_key", "_fields", "channel", "key", "observed_at", "record_no", "sealed", "verified")

    def __init__(
        self, *, record_no: int, channel: str, observed_at: int, verified: str, sealed: bytes, key: KeyRow
    ) -> None:
        self.record_no, self.channel, self.observed_at = record_no, channel, observed_at
        self.verified = verified  # comma-separated identifier types
        self.sealed, self.key = sealed, key
        self._data_key: DataKey | None = None
        self._fields: dict[str, bytes] = {}

    def open_named(self, vault: Vault, names: Iterable[str]) -> dict[str, bytes] | None:
        """Open those of `names` that the record has; None if its key's epoch was destroyed.

        Raises VaultError where a stored value was altered.
        """
        key = self._data_key
        if key is None:
            try:
                key = self._data_key = vault.open_key(
                    record_no=self.record_no,
                    key_id=self.key.key_id,
                    epoch=self.key.epoch,
                    wrapped=self.key.wrapped,
                )
            except KeyUnavailableError:
                return None
            self._fields = unpack_fields(self.sealed)
        return key.open_each(self._fields, names)

    def __repr__(self) -> str:
        return f"<sealed content of record {self.record_no}>"
