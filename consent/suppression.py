"""Who was erased must not come in again: what an arriving record is compared with.

An entry is a full 256-bit HMAC under a key of its own, made of the lookup token, so that nothing need be
opened to add or to compare one:

- of the record key, and of every personal e-mail, phone, national, loyalty and user ID;
- where somebody else's record carries the identifier too (a household's e-mail), it counts only together
  with the erased person's first name or birth date: erasing a mother does not block her family.

A record that is stored and was not erased is refused by its record key only. A grant made in the person's
own session (`direct`) after the erasure releases the entries that its record fits.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from consent.blind_indexes import RECORD, BlindIndex
from consent.key_store import KeyStore
from consent.packed_tokens import kind_of, unpack_tokens
from consent.record_contents import Content
from consent.suppression_store import Suppressed
from identity.comparable import Comparable
from identity.statements import Reading

PERSONAL: Final = frozenset({"email", "phone", "national_id", "loyalty_id", "user_id"})
"""The identifiers by which a person is known again; a device or a cookie is not a person."""
NAMING: Final = ("first_name", "birth_date")
_KIND: Final = "#suppression"


class Arrivals(NamedTuple):
    """What the list says of arriving records, by their positions.

    `erased` carry the record key of an erased record; `alike` fit an entry otherwise. `released` are the
    entries that a record's own grant releases. `mark`: as `SuppressionStore.mark`.
    """

    erased: frozenset[int] = frozenset()
    alike: frozenset[int] = frozenset()
    released: Mapping[int, tuple[int, ...]] = {}
    mark: int = 0


class SuppressionList:
    """Compares arriving records with the entries, in the caller's snapshot of the key store."""

    def __init__(self, key_store: KeyStore, index: BlindIndex) -> None:
        self._entries, self._index = key_store.suppressions, index

    def matches(self, keys_conn: Reading, contents: Sequence[Content], now: int) -> Arrivals:
        """Return what must be refused, and what is released."""
        mark = self._entries.mark(keys_conn)
        if not mark or not self._entries.any(keys_conn):
            return Arrivals(mark=mark)
        plain = [list(identifying(self._index, content.tokens)) for content in contents]
        found = self._entries.find(keys_conn, {entry for each in plain for _, _, entry in each})
        if not found:
            return Arrivals(mark=mark)
        named = self._named(keys_conn, contents, plain, found)
        erased, alike, released = set(), set(), {}
        for position, content in enumerate(contents):
            fitting = [
                (kind, hit)
                for kind, _, entry in plain[position]
                if (hit := found.get(entry)) is not None and hit.until > now
                if not hit.named or position in named
            ]
            hits = [hit for _, hit in fitting] + named.get(position, [])
            if not fitting:
                continue
            if _comes_back(content, max(hit.erased_at for hit in hits), now):
                released[position] = tuple(sorted({hit.number for hit in hits}))
            elif any(kind == RECORD for kind, _ in fitting):
                erased.add(position)
            else:
                alike.add(position)
        return Arrivals(frozenset(erased), frozenset(alike), released, mark)

    def _named(
        self,
        keys_conn: Reading,
        contents: Sequence[Content],
        plain: Sequence[Sequence[tuple[str, bytes, bytes]]],
        found: Mapping[bytes, Suppressed],
    ) -> dict[int, list[Suppressed]]:
        """Return the entries that the names of records with a household's identifier fit."""
        wanted: dict[int, set[bytes]] = {}
        for position, content in enumerate(contents):
            shared = [token for _, token, entry in plain[position] if entry in found and found[entry].named]
            if shared:
                names = names_of(Comparable.decode(content.comparable))
                wanted[position] = set(together(self._index, shared, names))
        hits = self._entries.find(keys_conn, {entry for entries in wanted.values() for entry in entries})
        fitting = {
            position: [hits[entry] for entry in entries if entry in hits]
            for position, entries in wanted.items()
        }
        return {position: entries for position, entries in fitting.items() if entries}


def identifying(index: BlindIndex, tokens: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield kind, token and entry of the record key and of every personal identifier among packed tokens."""
    for code, token in unpack_tokens(tokens):
        kind = kind_of(code)
        if kind == RECORD or kind in PERSONAL:
            yield kind, token, entry_of(index, token)


def entry_of(index: BlindIndex, token: bytes) -> bytes:
    """Return the entry of a lookup token."""
    return index.token_of_sha256(_KIND, sha256(token).digest())


def together(index: BlindIndex, tokens: Iterable[bytes], names: Iterable[str]) -> Iterator[bytes]:
    """Yield the entries of identifiers together with a first name or birth date."""
    said = list(names)
    for token in tokens:
        for name in said:
            yield index.token_of_sha256(_KIND, sha256(token + name.encode()).digest())


def names_of(comparable: Comparable) -> list[str]:
    """Return the normalised first name and birth date, each marked as what it is."""
    return [f"{column}:{value}" for column in NAMING if (value := comparable.text(column))]


def _comes_back(content: Content, erased_at: int, now: int) -> bool:
    """Whether the record brings a grant that the person gave in their own session after the erasure."""
    given_at = now if content.record.observed_at is None else content.record.observed_at
    direct = any(each.method == "direct" and each.state == "granted" for each in content.record.consents)
    return direct and given_at > erased_at
