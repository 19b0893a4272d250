"""The ledger keeps what was said in order, proves it, and every kind of tampering shows."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from consent import checkpoints, entries, merkle
from consent.errors import CheckpointError, LedgerCorruptError
from consent.events import CONTACT, RECORD, STATES, ConsentEvent, Subject
from consent.ledger import Ledger, Tiles
from consent.ledger_verification import VerifyReport
from consent.vault import EvidenceKey
from identity.database import open_database
from identity.tables import metadata
from tests.consent.key_room import NOW, ORIGIN, KeyRoom, event
from tests.stores import spoken, store_url


@pytest.fixture
def room(tmp_path: Path) -> Iterator[KeyRoom]:
    one = KeyRoom(tmp_path)
    yield one
    one.close()


@pytest.fixture
def filled(room: KeyRoom) -> KeyRoom:
    """Six hundred entries about forty subjects, a checkpoint of the first three hundred, one of all."""
    room.say(*(event(no % 40 + 1, STATES[no % 5], at=NOW + no) for no in range(300)))
    room.ledger.checkpoint(NOW + 300)
    room.say(*(event(no % 40 + 1, STATES[no % 5], at=NOW + no) for no in range(300, 600)))
    room.ledger.checkpoint(NOW + 600)
    return room


def run(room: KeyRoom, sql: str, **values: object) -> None:
    with room.db.write() as conn:
        conn.execute(text(spoken(sql)), values)


def events_of(room: KeyRoom, *subjects: Subject) -> list[ConsentEvent]:
    with room.db.read() as conn:
        return room.ledger.events_for(conn, subjects)


def test_events_come_back_as_they_were_said_in_the_order_of_the_ledger(room: KeyRoom) -> None:
    said = [
        event(1, "granted"),
        replace(event(7, "objected", kind=CONTACT), notice=None, expires_at=NOW + 9, source="client:ünï"),
        event(1, "withdrawn", at=NOW - 5),  # a claimed time decides nothing
    ]
    assert room.say(*said[:2]) == 0
    assert room.say(said[2]) == 2
    indexed = [replace(one, index=index) for index, one in enumerate(said)]
    assert events_of(room, Subject(CONTACT, 7), Subject(RECORD, 1)) == indexed
    assert events_of(room, Subject(CONTACT, 1)) == []
    with room.db.read() as conn:
        assert room.ledger.events_at(conn, [2, 0, 9]) == [indexed[0], indexed[2]]
        assert room.ledger.size(conn) == 3


def test_an_append_that_is_rolled_back_leaves_no_gap(room: KeyRoom) -> None:
    room.say(event())
    with room.db.write() as conn:
        room.ledger.append(conn, [])
        conn.rollback()
    assert room.say(event()) == 1


def test_the_ledger_and_the_checkpoint_of_nothing_verify(room: KeyRoom) -> None:
    note = room.ledger.checkpoint(NOW)
    assert note.startswith(f"{ORIGIN}\n0\n")
    assert room.ledger.verify(note).ok
    room.say(event())
    assert room.ledger.verify(note).ok


@pytest.mark.parametrize("batch", [1, 255, 256, 257, 700])
def test_stored_nodes_give_the_same_tree_however_entries_were_batched(room: KeyRoom, batch: int) -> None:
    total = 700
    if batch == 1:
        total = 260
    for first in range(0, total, batch):
        room.say(*(event(1, at=NOW + no) for no in range(first, min(first + batch, total))))
    with room.db.read() as conn:
        hashes = [row.leaf_hash for row in conn.execute(text("SELECT leaf_hash FROM ledger ORDER BY idx"))]
        for size in (1, 2, 255, 256, 257, 259, total):
            tiles = Tiles(conn, size)
            assert merkle.tree_root(size, tiles.subtree) == merkle.root(hashes[:size])
    report = room.ledger.verify()
    assert (report.ok, report.size, report.proven) == (True, total, total)


def test_a_second_level_of_nodes_is_written_with_the_leaf_that_completes_it(room: KeyRoom) -> None:
    key, _, _ = room.vault.new_evidence_key(RECORD, 1)
    one = room.ledger.prepare(event(), key)
    with room.db.write() as conn:
        for _ in range(4):
            room.ledger.append(conn, [one] * 16_390)
        levels = conn.execute(
            text("SELECT level, count(*) AS n FROM ledger_nodes GROUP BY level ORDER BY level")
        )
        assert [tuple(row) for row in levels] == [(1, 256), (2, 1)]
        assert merkle.tree_root(65_560, Tiles(conn, 65_560).subtree) == merkle.root([one.leaf_hash] * 65_560)


def test_every_entry_is_proven_against_the_checkpoint(filled: KeyRoom) -> None:
    checkpoint = checkpoints.verify(
        filled.ledger.checkpoint(NOW), ORIGIN, filled.ring.signing_key().public_key()
    )
    for index in (0, 1, 255, 256, 511, 512, 599):
        with filled.db.read() as conn:
            hash_ = merkle.leaf_hash(filled.ledger.leaf(conn, index))
        proof = filled.ledger.inclusion_proof(index, checkpoint.size)
        merkle.verify_inclusion(index, checkpoint.size, hash_, proof, checkpoint.root)


def test_a_later_checkpoint_is_proven_to_extend_an_earlier_one(filled: KeyRoom) -> None:
    with filled.db.read() as conn:
        notes = [row.note for row in conn.execute(text("SELECT note FROM checkpoints ORDER BY size"))]
    public = filled.ring.signing_key().public_key()
    first, second = (checkpoints.verify(note, ORIGIN, public) for note in notes)
    proof = filled.ledger.consistency_proof(first.size, second.size)
    merkle.verify_consistency(first.size, second.size, first.root, second.root, proof)


def test_proofs_of_what_is_not_there_are_refused(filled: KeyRoom) -> None:
    for ask in (
        lambda: filled.ledger.inclusion_proof(600, 600),
        lambda: filled.ledger.inclusion_proof(0, 601),
        lambda: filled.ledger.inclusion_proof(-1, 600),
        lambda: filled.ledger.consistency_proof(0, 600),
        lambda: filled.ledger.consistency_proof(5, 601),
    ):
        with pytest.raises(merkle.ProofError):
            ask()
    with filled.db.read() as conn, pytest.raises(merkle.ProofError):
        filled.ledger.leaf(conn, 600)


def test_a_proof_reads_hundreds_of_rows_and_not_all(filled: KeyRoom) -> None:
    with filled.db.read() as conn:
        tiles = Tiles(conn, 600)
        merkle.inclusion_proof(300, 600, tiles.subtree)
        assert sum(map(len, tiles._tiles.values())) <= 256 * 2 + 88 + 2


def test_the_same_tree_is_signed_once(filled: KeyRoom) -> None:
    assert filled.ledger.checkpoint(NOW + 601) == filled.ledger.checkpoint(NOW + 602)


# Attacks on the stored ledger: what is done, and the first entry that verification names.

FORGED = """
    UPDATE ledger SET leaf = CAST(replace(CAST(leaf AS TEXT), 'objected', 'granted') AS BLOB) WHERE idx = 403
"""
EMPTIED = """
    UPDATE ledger SET sealed = NULL, subject_kind = NULL, subject_no = NULL, purpose = NULL, state = NULL,
        source = NULL, method = NULL, notice = NULL, event_time = NULL, expires_at = NULL
    WHERE idx = 2
"""
ATTACKS: dict[str, tuple[list[str], int]] = {
    "a leaf is edited": ([FORGED], 403),
    "a leaf is text": (["UPDATE ledger SET leaf = 'text' WHERE idx = 4"], 4),
    "a leaf hash is edited": (["UPDATE ledger SET leaf_hash = zeroblob(32) WHERE idx = 10"], 10),
    "an entry is dropped": (["DELETE FROM ledger WHERE idx = 57"], 57),
    "the first entry is dropped": (["DELETE FROM ledger WHERE idx = 0"], 0),
    "two entries are exchanged": (
        [
            "UPDATE ledger SET idx = -1 WHERE idx = 20",
            "UPDATE ledger SET idx = 20 WHERE idx = 21",
            "UPDATE ledger SET idx = 21 WHERE idx = -1",
        ],
        0,
    ),
    "an entry is dropped and the rest moved up": (
        ["DELETE FROM ledger WHERE idx = 590", "UPDATE ledger SET idx = idx - 1 WHERE idx > 590"],
        599,
    ),
    "the end is cut off": (["DELETE FROM ledger WHERE idx >= 580"], 580),
    "a column says another state": (["UPDATE ledger SET state = 'granted' WHERE idx = 2"], 2),
    "a column says another purpose": (["UPDATE ledger SET purpose = 'analytics' WHERE idx = 44"], 44),
    "a column says another time": (["UPDATE ledger SET expires_at = 1 WHERE idx = 3"], 3),
    "a column says another notice": (["UPDATE ledger SET notice = 'x' WHERE idx = 5"], 5),
    "a column says another source": (["UPDATE ledger SET source = 'client:x' WHERE idx = 6"], 6),
    "a column says another method": (["UPDATE ledger SET method = 'import' WHERE idx = 8"], 8),
    "an entry is given to another subject": (["UPDATE ledger SET subject_no = 3 WHERE idx = 7"], 7),
    "an entry is given to a subject without a key": (
        ["UPDATE ledger SET subject_no = 3333 WHERE idx = 7"],
        7,
    ),
    "a sealed payload is edited": (["UPDATE ledger SET sealed = zeroblob(90) WHERE idx = 9"], 9),
    "a sealed payload is removed": (["UPDATE ledger SET sealed = NULL WHERE idx = 9"], 9),
    "a withdrawal is emptied as if its person were erased": ([EMPTIED], 2),
    "a stored node is edited": (["UPDATE ledger_nodes SET hash = zeroblob(32) WHERE idx = 1"], 256),
    "a stored node is removed": (["DELETE FROM ledger_nodes WHERE idx = 0"], 0),
    "a stray node is added": (["INSERT INTO ledger_nodes VALUES (1, 2, zeroblob(32))"], 512),
    "a checkpoint is edited": (["UPDATE checkpoints SET note = replace(note, '600', '599')"], 0),
}


@pytest.mark.parametrize(("statements", "first_bad"), ATTACKS.values(), ids=ATTACKS)
def test_tampering_is_found_where_it_begins(filled: KeyRoom, statements: list[str], first_bad: int) -> None:
    assert filled.ledger.verify().ok
    for statement in statements:
        run(filled, statement)
    report = filled.ledger.verify()
    assert not report.ok
    assert report.reason
    assert report.first_bad == first_bad, report.reason


def kept_outside(room: KeyRoom) -> str:
    return room.ledger.checkpoint(NOW)


def fork(room: KeyRoom, folder: Path, keep: int) -> SimpleNamespace:
    """The operator's own forgery: the same keys, the first `keep` events, then a different history."""
    db = open_database(store_url(folder, "fork"))
    metadata.create_all(db.engine)
    ledger = room.a_ledger(db)
    with room.db.read() as conn:
        rows = conn.execute(text("SELECT * FROM ledger WHERE idx < :keep ORDER BY idx"), {"keep": keep})
        originals = [
            entries.PreparedEntry(one, row.leaf, row.leaf_hash, row.sealed)
            for row, one in zip(rows, room.ledger.events_at(conn, range(keep)), strict=True)
        ]
    with db.write() as conn:
        ledger.append(conn, originals)
    return SimpleNamespace(db=db, ledger=ledger)


def test_a_checkpoint_kept_outside_shows_a_cut_off_end_that_the_ledger_itself_hides(
    filled: KeyRoom, tmp_path: Path
) -> None:
    outside = kept_outside(filled)
    forged = fork(filled, tmp_path, 500)
    with closing(forged.db):
        assert forged.ledger.verify().ok
        report = forged.ledger.verify(outside)
        assert (report.ok, report.first_bad) == (False, 500)
        assert "lost its end" in str(report.reason)


def test_a_checkpoint_kept_outside_shows_a_fork(filled: KeyRoom, tmp_path: Path) -> None:
    outside = kept_outside(filled)
    forged = fork(filled, tmp_path, 599)
    with closing(forged.db):
        filled.say(event(3, "granted", at=NOW + 9_999), ledger=forged.ledger, db=forged.db)
        forged.ledger.checkpoint(NOW)
        assert forged.ledger.verify().ok
        report = forged.ledger.verify(outside)
        assert not report.ok
        assert "not those of a signed checkpoint" in str(report.reason)


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM ledger WHERE idx >= 580",
        "UPDATE ledger SET leaf_hash = zeroblob(32) WHERE idx = 599",
        "UPDATE ledger_nodes SET hash = zeroblob(32) WHERE idx = 0",
    ],
    ids=["rolled back", "rewritten", "rewritten in a node"],
)
def test_no_checkpoint_is_signed_for_a_tree_that_does_not_extend_the_last(
    filled: KeyRoom, attack: str
) -> None:
    run(filled, attack)
    with pytest.raises(LedgerCorruptError):
        filled.ledger.checkpoint(NOW)
    filled.say(event()) if "DELETE" not in attack else None
    with pytest.raises(LedgerCorruptError):
        filled.ledger.checkpoint(NOW)


def test_a_checkpoint_by_another_key_or_of_another_ledger_is_refused(filled: KeyRoom, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with closing(KeyRoom(folder)) as other:
        report = filled.ledger.verify(other.ledger.checkpoint(NOW))
        assert (report.ok, report.first_bad) == (False, 0)
        assert "not signed by this ledger's key" in str(report.reason)
    elsewhere = Ledger(filled.db, filled.vault, filled.store, filled.ring.signing_key(), "aurea.test/other")
    assert "another ledger" in str(elsewhere.verify().reason)
    assert "not a checkpoint" in str(filled.ledger.verify("hello").reason)


def test_shredding_removes_what_was_said_and_the_tree_still_verifies(filled: KeyRoom) -> None:
    subject = Subject(RECORD, 3)
    before = filled.ledger.verify(kept_outside(filled))
    filled.store.destroy([], evidence={subject: None})
    between = filled.ledger.verify()
    with filled.db.write() as conn:
        assert filled.ledger.shred(conn, [subject, Subject(CONTACT, 3)]) == 15
    after = filled.ledger.verify(kept_outside(filled))
    assert [(r.ok, r.root, r.size) for r in (before, between, after)] == [(True, before.root, 600)] * 3
    counts = [(r.proven, r.unproven, r.shredded) for r in (before, between, after)]
    assert counts == [(600, 0, 0), (585, 15, 0), (585, 0, 15)]
    assert events_of(filled, subject) == []
    assert len(events_of(filled, Subject(RECORD, 4))) == 15
    assert filled.ledger.inclusion_proof(2, 600)
    assert filled.say(event(4)) == 600


# Leaves and payloads

KEY = EvidenceKey(b"k" * 32, b"context")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
EVENTS = st.builds(
    ConsentEvent,
    index=st.none(),
    subject=st.builds(Subject, st.sampled_from([1, 2]), st.integers(1, 2**53 - 1)),
    purpose=TEXT,
    state=st.sampled_from(STATES),
    method=TEXT,
    source=TEXT,
    notice=st.none() | TEXT,
    event_time=st.integers(0, 2**53 - 1),
    recorded_at=st.integers(0, 2**53 - 1),
    expires_at=st.none() | st.integers(0, 2**53 - 1),
)


@given(EVENTS, st.none() | st.just("ab" * 32))
def test_leaves_are_canonical_json_and_payloads_open_to_the_event(
    said: ConsentEvent, policy: str | None
) -> None:
    prepared = entries.prepare(said, KEY, policy)
    fields = entries.read_leaf(prepared.leaf)
    assert (fields.time, fields.type, fields.policy) == (said.recorded_at, said.state, policy)
    entries.check_columns(said, fields)
    entries.check_payload(said, fields, prepared.leaf_hash, prepared.sealed, KEY)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abcdefghijklmnopqrstuvwxyz_", max_size=6), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_our_canonical_form_is_rfc_8785(value: object) -> None:
    assert entries.canonical(value) == rfc8785.dumps(value)


@given(EVENTS)
def test_a_leaf_says_nothing_that_could_be_guessed(said: ConsentEvent) -> None:
    one, two = (entries.prepare(said, KEY) for _ in range(2))
    assert entries.read_leaf(one.leaf).commitment != entries.read_leaf(two.leaf).commitment
    assert one.sealed != two.sealed
    assert repr(one) == f"<prepared entry {one.leaf_hash.hex()[:8]}>"


TWISTS: dict[str, Callable[[bytes], bytes]] = {
    "spaces": lambda leaf: leaf.replace(b":", b": ", 1),
    "another order": lambda leaf: leaf.replace(b'"version":1', b'"version":1,"a":1'),
    "another version": lambda leaf: leaf.replace(b'"version":1', b'"version":2'),
    "no commitment": lambda leaf: leaf.replace(b"commitment", b"comment"),
    "a tag that is no hash": lambda leaf: leaf.replace(b'"subject":"', b'"subject":"zz'),
    "no JSON": lambda leaf: leaf[1:],
    "a list": lambda _leaf: b"[]",
}


@pytest.mark.parametrize("twist", TWISTS.values(), ids=TWISTS)
def test_a_leaf_in_any_other_form_is_refused(twist: Callable[[bytes], bytes]) -> None:
    leaf = entries.prepare(event(), KEY).leaf
    entries.read_leaf(leaf)
    with pytest.raises(LedgerCorruptError):
        entries.read_leaf(twist(leaf))


def test_an_unknown_state_is_not_prepared() -> None:
    with pytest.raises(ValueError, match="unknown state"):
        entries.prepare(event(state="maybe"), KEY)


def test_a_report_is_plain_data(filled: KeyRoom) -> None:
    report = filled.ledger.verify()
    assert isinstance(report, VerifyReport)
    assert (report.checkpoints, report.first_bad, report.reason) == (2, None, None)
    assert issubclass(CheckpointError, Exception)
