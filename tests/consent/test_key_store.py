"""Keys are found by token, destroyed without a trace, and swept when nobody took them up."""

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from consent.blind_indexes import BlindIndex
from consent.errors import DestructionIncompleteError, KeyringError, VaultError
from consent.events import CONTACT, RECORD, Subject
from consent.evidence_store import FOREVER
from consent.key_store import ORPHAN_AGE_MS, KeyRow, KeyStore
from consent.packed_tokens import kind_code, kind_of, pack_tokens, prefixes, unpack_tokens
from tests.consent.key_room import NOW, KeyRoom

EMAIL, BLOCK = kind_code("email"), kind_code("block:surname")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[KeyRoom]:
    one = KeyRoom(tmp_path)
    yield one
    one.close()


def rows(room: KeyRoom, count: int) -> list[KeyRow]:
    """Key rows as ingest makes them: 3 lookup tokens and 6 blocking tokens each."""
    first = room.store.allocate(count)
    made = []
    for key_id in range(first, first + count):
        _, epoch, wrapped = room.vault.new_key(record_no=key_id, key_id=key_id)
        tokens = [(kind_code(kind), os.urandom(32)) for kind in ("record", "email", "phone")]
        packed = pack_tokens(tokens + [(BLOCK, os.urandom(8)) for _ in range(6)])
        made.append(KeyRow(key_id, key_id, epoch, wrapped, packed, os.urandom(16), NOW))
    return made


def insert(room: KeyRoom, made: list[KeyRow]) -> list[KeyRow]:
    with room.keys.write() as conn:
        room.store.insert(conn, made)
    return made


def tokens_of(row: KeyRow) -> list[bytes]:
    return [token for _, token in unpack_tokens(row.tokens)]


def secrets_of(row: KeyRow) -> list[bytes]:
    """All that must vanish. Of a token eight bytes are searched for: so much the index holds of it."""
    return [row.wrapped[16:28], row.wrapped[28:76], row.content_mac, *(token[:8] for token in tokens_of(row))]


def traces(room: KeyRoom, made: list[KeyRow]) -> int:
    """Count the secrets of rows that the key store's files hold, whichever way round a number is written."""
    files = room.key_store_files()
    secrets = [secret[:8] for row in made for secret in secrets_of(row)]
    wanted = np.frombuffer(b"".join([*secrets, *(secret[::-1] for secret in secrets)]), np.uint64)
    seen: set[int] = set()
    for start in range(8):  # wherever in the files it may begin
        windows = np.frombuffer(files, np.uint64, (len(files) - start) // 8, start)
        seen.update(windows[np.isin(windows, wanted)].tolist())
    return sum(one in seen or other in seen for one, other in wanted.reshape(2, -1).T.tolist())


def test_a_row_is_found_by_each_of_its_tokens_as_it_was_written(room: KeyRoom) -> None:
    made = insert(room, rows(room, 50))
    with room.keys.read() as conn:
        for row in made[::7]:
            for token in tokens_of(row):
                assert room.store.find(conn, token) == [row]
        wanted = [tokens_of(row)[0] for row in made]
        assert room.store.find_many(conn, wanted) == {tokens_of(row)[0]: [row] for row in made}
        assert room.store.fetch(conn, [row.key_id for row in made]) == {row.key_id: row for row in made}
        assert list(room.store.scan(conn, 2, 3)) == [row[:4] for row in made[1:3]]


def test_tokens_that_agree_in_eight_bytes_only_are_told_apart(room: KeyRoom) -> None:
    one, two = rows(room, 2)
    token, twin = bytes(32), bytes(8) + b"\1" * 24
    one = one._replace(tokens=pack_tokens([(EMAIL, token)]))
    two = two._replace(tokens=pack_tokens([(EMAIL, twin)]))
    insert(room, [one, two])
    with room.keys.read() as conn:
        assert room.store.find(conn, token) == [one]
        assert room.store.find(conn, twin) == [two]
        assert room.store.find(conn, bytes(31) + b"\2") == []
        assert room.store.candidates(conn, [token]) == {token: [one.key_id, two.key_id]}
        assert room.store.candidates(conn, [token], limit=1) == {token: [two.key_id]}


def test_a_shared_token_finds_all_its_rows_before_and_after_a_merge(room: KeyRoom) -> None:
    shared = b"shared block key"[:8]
    made = [row._replace(tokens=pack_tokens([(BLOCK, shared)])) for row in rows(room, 30)]
    insert(room, made[:20])
    assert room.store.merge_recent(force=True)
    insert(room, made[20:])
    with room.keys.read() as conn:
        assert room.store.find(conn, shared) == made


def test_rows_that_were_rolled_back_are_not_found(room: KeyRoom) -> None:
    (row,) = rows(room, 1)
    with room.keys.write() as conn:
        room.store.insert(conn, [row])
        assert room.store.find(conn, tokens_of(row)[0]) == [row]
        conn.rollback()
    with room.keys.read() as conn:
        assert room.store.find(conn, tokens_of(row)[0]) == []


def test_numbers_are_given_out_once(room: KeyRoom) -> None:
    firsts = [room.store.allocate(n) for n in (1, 5, 2)]
    assert firsts == [1, 2, 7]
    other = KeyStore(room.keys)
    other.initialise(room.ring.home_id)
    assert other.allocate(1) == 9


def test_a_keyring_of_another_home_is_told(room: KeyRoom) -> None:
    with pytest.raises(KeyringError, match="is of home"):
        room.store.initialise(room.ring.home_id ^ 1)


def test_a_destroyed_key_is_found_no_more_and_its_neighbours_are(room: KeyRoom) -> None:
    made = insert(room, rows(room, 10))
    room.store.destroy([made[4].key_id])
    room.store.destroy([made[4].key_id, 999])  # again, and one that never was
    with room.keys.read() as conn:
        assert all(room.store.find(conn, token) == [] for token in tokens_of(made[4]))
        assert all(room.store.candidates(conn, [token]) == {token: []} for token in tokens_of(made[4]))
        assert room.store.fetch(conn, range(1, 11)).keys() == {row.key_id for row in made} - {made[4].key_id}
        assert made[4].key_id not in [key_id for key_id, *_ in room.store.scan(conn, 1, 10)]
        assert room.store.find(conn, tokens_of(made[5])[0]) == [made[5]]


@pytest.mark.parametrize("merged", [False, True], ids=["recent tokens", "merged tokens"])
def test_destruction_leaves_no_byte_of_key_or_token_in_any_file(room: KeyRoom, *, merged: bool) -> None:
    # Many rows in many batches, written out of order: page splits are what leaves copies behind.
    made = rows(room, 6000)
    batches = [made[at : at + 250] for at in range(0, len(made), 250)]
    random.Random(1).shuffle(batches)  # noqa: S311 (a test, not a secret)
    for number, batch in enumerate(batches):
        insert(room, batch)
        if merged and number % 5 == 4:
            room.store.merge_recent(force=True)
    doomed = random.Random(2).sample(made, 1500)  # noqa: S311 (the same)
    gone = {row.key_id for row in doomed}
    alive = [row for row in made if row.key_id not in gone]
    assert traces(room, doomed[:50]) == 50 * 12
    room.store.destroy([row.key_id for row in doomed])
    assert (room.folder / "keys.db-wal").stat().st_size == 0
    assert traces(room, doomed) == 0
    assert traces(room, alive[:50]) == 50 * 12
    with room.keys.read() as conn:
        sample = [tokens_of(row)[3] for row in alive]
        assert sum(map(len, room.store.find_many(conn, sample).values())) == len(alive)


def test_a_reader_that_stays_open_makes_the_destruction_incomplete_and_it_can_be_repeated(
    room: KeyRoom,
) -> None:
    (row, _) = insert(room, rows(room, 2))
    with room.keys.read() as conn:
        room.store.fetch(conn, [1])
        with pytest.raises(DestructionIncompleteError, match="repeat the destruction"):
            room.store.destroy([row.key_id], deadline_s=0.2)
        assert traces(room, [row])
    with room.keys.read() as conn:
        assert room.store.fetch(conn, [row.key_id]) == {}
    room.store.destroy([row.key_id])
    assert traces(room, [row]) == 0


def test_a_destruction_waits_for_a_reader_that_ends(room: KeyRoom) -> None:
    (row,) = insert(room, rows(room, 1))
    opened, done = threading.Event(), threading.Event()

    def read() -> None:
        with room.keys.read() as conn:
            room.store.fetch(conn, [1])
            opened.set()
            done.wait(0.3)

    reader = threading.Thread(target=read)
    reader.start()
    opened.wait()
    room.store.destroy([row.key_id])
    reader.join()
    assert traces(room, [row]) == 0


def test_orphans_are_swept_after_an_hour_and_taken_up_keys_are_kept(room: KeyRoom) -> None:
    made = insert(room, rows(room, 3))
    late = insert(room, [row._replace(created_at=NOW + ORPHAN_AGE_MS) for row in rows(room, 1)])
    with room.db.write() as conn:
        conn.execute(
            text(
                "INSERT INTO records VALUES (:key_id, 'web', :key_id, 0, 0, 0, NULL, '', :empty, :empty, 1)"
            ),
            {"key_id": made[1].key_id, "empty": b""},
        )
    assert room.store.sweep_orphans(room.db, NOW + ORPHAN_AGE_MS) == 0
    assert room.store.sweep_orphans(room.db, NOW + ORPHAN_AGE_MS + 1) == 2
    assert traces(room, [made[0], made[2]]) == 0
    with room.keys.read() as conn:
        assert room.store.fetch(conn, range(1, 5)).keys() == {made[1].key_id, late[0].key_id}
    assert room.store.sweep_orphans(room.db, NOW + 3 * ORPHAN_AGE_MS) == 1


def test_rows_and_errors_show_no_secret(room: KeyRoom) -> None:
    (row,) = rows(room, 1)
    assert repr(row) == f"<key {row.key_id} of record {row.record_no}, epoch 1>"


# Evidence keys and contact points


def test_evidence_keys_are_made_once_and_open_again(room: KeyRoom) -> None:
    subjects = [Subject(RECORD, 1), Subject(CONTACT, 1), Subject(RECORD, 1)]
    evidence = room.store.evidence
    with room.keys.write() as conn:
        first = evidence.open_or_create(conn, subjects, room.vault)
    with room.keys.write() as conn:
        again = evidence.open_or_create(conn, [*subjects, Subject(RECORD, 2)], room.vault)
    assert len(first) == 2
    assert all(again[subject].subject_tag == key.subject_tag for subject, key in first.items())
    assert len({key.subject_tag for key in again.values()}) == 3


def test_destroyed_evidence_leaves_no_trace_and_is_never_made_again(room: KeyRoom) -> None:
    subject, other = Subject(RECORD, 1), Subject(RECORD, 2)
    evidence = room.store.evidence
    with room.keys.write() as conn:
        evidence.open_or_create(conn, [subject, other], room.vault)
        wrapped = evidence.fetch(conn, [subject])[subject].wrapped
    room.store.destroy([], evidence={subject: None})
    assert wrapped[16:24] not in room.key_store_files()
    with room.keys.write() as conn:
        assert evidence.open_or_create(conn, [subject, other], room.vault).keys() == {other}
        assert evidence.page(conn, 0, 10)[1] == list(evidence.fetch(conn, [other]).values())


def test_retained_evidence_comes_due_on_its_date(room: KeyRoom) -> None:
    subject = Subject(CONTACT, 4)
    evidence = room.store.evidence
    with room.keys.write() as conn:
        evidence.open_or_create(conn, [subject], room.vault)
        assert evidence.fetch(conn, [subject])[subject].retain_until == FOREVER
        evidence.retain(conn, [subject], NOW)
        assert evidence.due(conn, NOW - 1) == []
        assert evidence.due(conn, NOW) == [subject]
        evidence.destroy(conn, [subject])
        assert evidence.due(conn, NOW) == []


def test_a_contact_point_keeps_its_number_and_vanishes_with_its_token(room: KeyRoom) -> None:
    one, two = os.urandom(32), os.urandom(32)
    evidence = room.store.evidence
    with room.keys.write() as conn:
        made = dict(evidence.contacts(conn, [one, two, one]))
    room.store.merge_recent(force=True)
    with room.keys.write() as conn:
        assert evidence.contacts(conn, [two, one]) == made == {one: 1, two: 2}
        assert evidence.find_contacts(conn, [one, os.urandom(32)]) == {one: 1}
        assert room.store.find(conn, one) == []
    room.store.destroy([], evidence={Subject(CONTACT, 1): None})
    files = room.key_store_files()
    assert one[:8] not in files
    assert one[7::-1] not in files
    with room.keys.write() as conn:
        assert evidence.contacts(conn, [one]) == {one: 3}


# Packed tokens

LONG = st.tuples(
    st.sampled_from(["record", "email", "phone", "cookie_id"]).map(kind_code),
    st.binary(min_size=32, max_size=32),
)
SHORT = st.tuples(st.just(BLOCK), st.binary(min_size=8, max_size=8))


@given(st.lists(st.one_of(LONG, SHORT), max_size=12))
def test_packed_tokens_come_out_as_they_went_in(pairs: list[tuple[int, bytes]]) -> None:
    packed = pack_tokens(pairs)
    assert unpack_tokens(packed) == sorted(pairs, key=lambda pair: pair[0] == BLOCK)
    assert list(prefixes(packed)) == [BlindIndex.prefix(token) for _, token in unpack_tokens(packed)]


@given(st.binary(min_size=1, max_size=60))
def test_damaged_packed_tokens_raise_only_the_vaults_error(garbage: bytes) -> None:
    try:
        found = unpack_tokens(garbage)
    except VaultError:
        return
    assert len(prefixes(garbage)) == len(found)


def test_a_token_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong length"):
        pack_tokens([(EMAIL, bytes(8))])


def test_kinds_have_codes() -> None:
    assert kind_of(kind_code("national_id")) == "national_id"
    assert kind_of(kind_code("block:anything")) == "block:"
    assert prefixes(b"") == ()
