"""Evidence keys and contact points: the part of the key store that consent events need.

A subject (a record or a contact point) has one evidence key, apart from its data key: it seals the ledger's
payloads about the subject and names it in the leaves. A contact point is a number for one contact value,
found by the value's token. Functions run in the caller's transaction of the key store.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.blind_indexes import BlindIndex
from consent.contact_cache import ContactCache
from consent.errors import EpochClosedError
from consent.events import CONTACT, Subject
from consent.token_index import TokenIndex
from consent.vault import EvidenceKey, Vault
from identity.read_snapshots import ReadSnapshot
from identity.statements import Reading, Statement, slices

FOREVER: Final = 2**62
"""`retain_until` of a key that no erasure has dated. Setting a date makes the row smaller, never larger."""

_INSERT = Statement("""
    INSERT INTO evidence_keys (subject_kind, subject_no, wrapped, retain_until)
    VALUES (:kind, :no, :wrapped, :retain_until)
    ON CONFLICT (subject_kind, subject_no) DO NOTHING
""")
_FETCH = Statement("""
    SELECT subject_no, wrapped, retain_until FROM evidence_keys
    WHERE subject_kind = :kind AND subject_no IN :nos
""")
_BLANK = Statement("""
    UPDATE evidence_keys SET wrapped = :empty WHERE subject_kind = :kind AND subject_no = :no
""")
_RETAIN = Statement("""
    UPDATE evidence_keys SET retain_until = :until WHERE subject_kind = :kind AND subject_no = :no
""")
_DUE = Statement("""
    SELECT subject_kind, subject_no, wrapped FROM evidence_keys
    WHERE retain_until <= :now ORDER BY slot
""")

_PAGE = Statement("""
    SELECT slot, subject_kind, subject_no, wrapped, retain_until FROM evidence_keys
    WHERE slot > :after ORDER BY slot LIMIT :limit
""")

_NEXT_CONTACTS = Statement("""
    UPDATE key_counters SET value = value + :n WHERE name = 'contact_no' RETURNING value
""")
_ADD_CONTACT = Statement("INSERT INTO contact_points (contact_no, token) VALUES (:no, :token)")
_CONTACTS = Statement("SELECT contact_no, token FROM contact_points WHERE contact_no IN :numbers")
_BLANK_CONTACT = Statement("UPDATE contact_points SET token = :empty WHERE contact_no = :no")


_CLOSED = Statement("SELECT value FROM key_counters WHERE name = 'closed_epoch'")


def refuse_closed_epochs(conn: Connection, epochs: Sequence[int]) -> None:
    """Raise EpochClosedError for a key wrapped under an epoch that is being destroyed: wrap it anew.

    Asked in the transaction that stores the key, so a key that was wrapped just before cannot be lost.
    """
    if not epochs:
        return
    closed = _CLOSED.rows(conn)
    if closed and min(epochs) <= closed[0][0]:
        raise EpochClosedError("a key was wrapped under an epoch that is closed; try again")


class EvidenceRow(NamedTuple):
    """A subject's wrapped evidence key, as `Vault.new_evidence_key` returned it."""

    subject: Subject
    epoch: int
    wrapped: bytes
    retain_until: int = FOREVER

    def __repr__(self) -> str:
        return f"<evidence key of subject {self.subject.kind}:{self.subject.no}>"


class EvidenceStore:
    """Evidence keys by subject, and contact points by token."""

    def __init__(self, index: TokenIndex) -> None:
        self._index = index
        self._known = ContactCache()

    def insert(self, conn: Connection, rows: Sequence[EvidenceRow]) -> None:
        """Add keys of subjects that have none yet; a subject that has one keeps it."""
        refuse_closed_epochs(conn, [row.epoch for row in rows])
        _INSERT.many(
            conn,
            [(*row.subject, row.epoch.to_bytes(2, "big") + row.wrapped, row.retain_until) for row in rows],
        )

    def fetch(self, conn: Connection, subjects: Iterable[Subject]) -> dict[Subject, EvidenceRow]:
        """Return the live keys of `subjects`; those without one, or whose key is destroyed, are left out."""
        rows: dict[Subject, EvidenceRow] = {}
        by_kind: dict[int, list[int]] = {}
        for subject in subjects:
            by_kind.setdefault(subject.kind, []).append(subject.no)
        for kind, numbers in by_kind.items():
            for part in slices(numbers):
                for no, wrapped, until in _FETCH.rows(conn, kind=kind, nos=part):
                    if wrapped:
                        subject = Subject(kind, no)
                        epoch = int.from_bytes(wrapped[:2], "big")
                        rows[subject] = EvidenceRow(subject, epoch, wrapped[2:], until)
        return rows

    def page(self, conn: Connection, after: int, limit: int) -> tuple[int, list[EvidenceRow]]:
        """Return up to `limit` keys stored after slot `after`, and the last slot read: 0 at the end."""
        rows = _PAGE.rows(conn, after=after, limit=limit)
        live = [
            EvidenceRow(Subject(kind, no), int.from_bytes(wrapped[:2], "big"), wrapped[2:], until)
            for _slot, kind, no, wrapped, until in rows
            if wrapped
        ]
        return (rows[-1][0] if rows else 0), live

    def open_or_create(
        self, conn: Connection, subjects: Iterable[Subject], vault: Vault
    ) -> dict[Subject, EvidenceKey]:
        """Return an opened key for every subject, making those that are missing (write transaction).

        A subject whose key was destroyed is missing from the answer: nothing more may be said about it.
        """
        wanted = list(dict.fromkeys(subjects))
        stored = self.fetch(conn, wanted)
        fresh: dict[Subject, EvidenceKey] = {}
        rows = []
        for subject in wanted:
            if subject not in stored:
                fresh[subject], epoch, wrapped = vault.new_evidence_key(subject.kind, subject.no)
                rows.append(EvidenceRow(subject, epoch, wrapped))
        self.insert(conn, rows)
        kept = self.fetch(conn, fresh)  # where a destroyed key stands, the fresh one was not taken
        opened = {
            subject: vault.open_evidence_key(subject.kind, subject.no, row.epoch, row.wrapped)
            for subject, row in stored.items()
        }
        return opened | {subject: key for subject, key in fresh.items() if subject in kept}

    def retain(self, conn: Connection, subjects: Iterable[Subject], until: int) -> None:
        """Date the destruction of evidence that outlives its subject's data (ms)."""
        _RETAIN.many(conn, [(until, subject.kind, subject.no) for subject in subjects])

    def due(self, conn: Connection, now: int) -> list[Subject]:
        """Return the subjects whose evidence key has reached its date and still exists."""
        return [Subject(kind, no) for kind, no, wrapped in _DUE.rows(conn, now=now) if wrapped]

    def destroy(self, conn: Connection, subjects: Sequence[Subject]) -> None:
        """Blank evidence keys, and the tokens of contact points; then call `KeyStore.truncate_log`."""
        if not subjects:
            return
        _BLANK.many(conn, [(b"", subject.kind, subject.no) for subject in subjects])
        self.forget_contacts(conn, [subject.no for subject in subjects if subject.kind == CONTACT])

    def part(self, conn: Connection, until: Mapping[Subject, int | None]) -> None:
        """Destroy evidence keys (None) or date their end (ms); the tokens of contacts go at once."""
        self.destroy(conn, [subject for subject, end in until.items() if end is None])
        dated = {subject: end for subject, end in until.items() if end is not None}
        self.forget_contacts(conn, [subject.no for subject in dated if subject.kind == CONTACT])
        for subject, end in dated.items():
            self.retain(conn, [subject], end)

    def forget_contacts(self, conn: Connection, contact_nos: Sequence[int]) -> None:
        """Blank the tokens of contact points, whose evidence may live on; then `KeyStore.truncate_log`."""
        tokens = self.tokens_of(conn, contact_nos)
        if tokens:
            found_by = [BlindIndex.prefix(token) for token in tokens.values()]
            self._index.remove(conn, found_by, [-no for no in tokens])
            _BLANK_CONTACT.many(conn, [(b"", no) for no in tokens])

    def find_contacts(
        self, conn: Reading, tokens: Iterable[bytes], *, found: Mapping[int, Sequence[int]] | None = None
    ) -> dict[bytes, int]:
        """Return the contact points that exist for these 32-byte tokens.

        `found` is what the token index said of them, if it was asked already.
        """
        wanted = {token: BlindIndex.prefix(token) for token in tokens}
        if found is None and isinstance(conn, ReadSnapshot):
            numbers = set(self._known.numbers(conn, list(wanted.values())))
        else:  # contact points are entered as negative numbers
            found = self._index.find(conn, wanted.values()) if found is None else found
            numbers = {
                -number for prefix in wanted.values() for number in found.get(prefix, ()) if number < 0
            }
        by_token = {token: no for no, token in self.tokens_of(conn, sorted(numbers)).items()}
        return {token: by_token[token] for token in wanted if token in by_token}

    def contacts(self, conn: Connection, tokens: Iterable[bytes]) -> Mapping[bytes, int]:
        """Return the contact point of every token, making those that are missing (write transaction)."""
        wanted = list(dict.fromkeys(tokens))
        found = self.find_contacts(conn, wanted)
        missing = [token for token in wanted if token not in found]
        if missing:
            last = int(_NEXT_CONTACTS.rows(conn, n=len(missing))[0][0])
            made = dict(zip(missing, range(last - len(missing) + 1, last + 1), strict=True))
            _ADD_CONTACT.many(conn, [(no, token) for token, no in made.items()])
            self._index.add(conn, [BlindIndex.prefix(t) for t in missing], [-no for no in made.values()])
            found |= made
        return found

    def tokens_of(self, conn: Reading, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the token of every contact point that still has one."""
        rows = (row for part in slices(numbers) for row in _CONTACTS.rows(conn, numbers=part))
        return {no: token for no, token in rows if token}
