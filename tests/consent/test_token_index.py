"""The token index finds what was added and not removed, whatever was compacted or merged meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, text

from consent import token_index, token_pages
from consent.key_store import KeyStore
from consent.key_tables import key_metadata
from consent.token_index import TokenIndex
from identity.database import Database, open_database
from tests.stores import only_on_sqlite, store_url

ENDS = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**62, 2**63 - 1]
PREFIXES = st.one_of(st.sampled_from(ENDS), st.integers(-(2**63), 2**63 - 1))
NUMBERS = st.integers(-5, 40).filter(bool)


def empty_store(url: str) -> Database:
    keys = open_database(url, secure_delete=True)
    key_metadata.create_all(keys.engine)
    KeyStore(keys).initialise()
    return keys


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Database]:
    database = empty_store(store_url(tmp_path, "keys"))
    yield database
    database.close()


class TokenIndexMachine(RuleBasedStateMachine):
    """Against a set of pairs. One reader keeps its cache throughout; another starts afresh each time."""

    @initialize()
    def start(self) -> None:
        self.keys = empty_store("sqlite://")
        self.index, self.pairs = TokenIndex(), set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(token_index, "_MAX_RECENT_RUNS", 3)
        self.patch.setattr(token_index, "_COMPACTED", 2)
        self.patch.setattr(token_pages, "PAGE_ENTRIES", 4)

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.keys.close()

    @rule(pairs=st.lists(st.tuples(PREFIXES, NUMBERS), max_size=30))
    def add(self, pairs: list[tuple[int, int]]) -> None:
        with self.keys.write() as conn:
            self.index.add(conn, [p for p, _ in pairs], [n for _, n in pairs])
        self.pairs |= set(pairs)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        numbers = data.draw(st.sets(NUMBERS, max_size=5))
        doomed = [pair for pair in self.pairs if pair[1] in numbers]
        with self.keys.write() as conn:
            TokenIndex().remove(conn, [p for p, _ in doomed], [n for _, n in doomed])
        self.pairs -= set(doomed)

    @rule(pairs=st.lists(st.tuples(PREFIXES, NUMBERS), min_size=1, max_size=30))
    def add_and_roll_back(self, pairs: list[tuple[int, int]]) -> None:
        with self.keys.write() as conn:
            self.index.add(conn, [p for p, _ in pairs], [n for _, n in pairs])
            self.index.find(conn, [p for p, _ in pairs])
            conn.rollback()

    @rule(max_ms=st.sampled_from([0.001, 20]))
    def merge(self, max_ms: float) -> None:
        self.index.merge_recent(self.keys, max_ms=max_ms, force=True)

    @invariant()
    def finds_exactly_what_is_there(self) -> None:
        if not hasattr(self, "pairs"):
            return
        wanted = {p for p, _ in self.pairs} | set(ENDS)
        for reader in (self.index, TokenIndex()):
            with self.keys.read() as conn:
                found = reader.find(conn, wanted)
            assert {(prefix, number) for prefix, numbers in found.items() for number in numbers} == self.pairs

    @invariant()
    def counts_its_entries(self) -> None:
        if hasattr(self, "pairs"):
            with self.keys.read() as conn:
                for run in token_index._runs(conn):
                    assert len(token_index._load(conn, run)[0]) == run.entries


TestTokenIndexMachine = TokenIndexMachine.TestCase
TestTokenIndexMachine.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def add(keys: Database, index: TokenIndex, pairs: list[tuple[int, int]]) -> None:
    with keys.write() as conn:
        index.add(conn, [p for p, _ in pairs], [n for _, n in pairs])


def found(keys: Database, prefix: int) -> list[int]:
    with keys.read() as conn:
        return sorted(TokenIndex().find(conn, [prefix]).get(prefix, []))


def test_a_merge_that_crashed_halfway_changes_nothing_and_the_next_one_clears_it(
    keys: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TokenIndex()
    pairs = [(number * 2**50, number) for number in range(1, 4000)]
    add(keys, index, pairs)
    crashes = iter([False, True])
    real = token_index._build_pages

    def crash(*args: object) -> object:
        if next(crashes):
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(token_index, "_build_pages", crash)
    monkeypatch.setattr(token_pages, "PAGE_ENTRIES", 4)
    with pytest.raises(KeyboardInterrupt):
        index.merge_recent(keys, max_ms=0.001, force=True)
    monkeypatch.setattr(token_index, "_build_pages", real)
    assert found(keys, 2**50) == [1]
    assert index.merge_recent(keys, force=True)
    assert found(keys, 2**50) == [1]
    with keys.read() as conn:
        states = [run.state for run in token_index._runs(conn)]
        pages = conn.execute(text("SELECT count(*) FROM token_pages")).scalar_one()
        assert states == [token_index._MAIN]
        assert pages <= 1 << token_index._runs(conn)[0].bits


def test_what_is_removed_while_a_merge_runs_does_not_come_back(
    keys: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_pages, "PAGE_ENTRIES", 4)
    index = TokenIndex()
    pairs = [(number * 2**50, number) for number in range(-4000, 4000) if number]
    add(keys, index, pairs)
    removed = [pairs[0], pairs[-1], pairs[3000]]  # on pages that are written, unwritten, and in between
    real, calls = token_index.time.sleep, []

    def meanwhile(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 3:
            with keys.write() as conn:
                TokenIndex().remove(conn, [p for p, _ in removed], [n for _, n in removed])

    monkeypatch.setattr(token_index.time, "sleep", meanwhile)
    assert index.merge_recent(keys, max_ms=0.001, force=True)
    monkeypatch.setattr(token_index.time, "sleep", real)
    assert len(calls) > 5
    assert [found(keys, prefix) for prefix, _ in removed] == [[], [], []]
    with keys.read() as conn:
        (run,) = token_index._runs(conn)
        assert (run.state, run.entries) == (token_index._MAIN, len(pairs) - 3)


def test_of_two_merges_at_once_one_gives_way_and_nothing_is_lost(
    keys: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_pages, "PAGE_ENTRIES", 4)
    pairs = [(number * 2**50, number) for number in range(1, 4000)]
    add(keys, TokenIndex(), pairs)
    results = []

    def meanwhile(_seconds: float) -> None:
        monkeypatch.setattr(token_index.time, "sleep", lambda _seconds: None)
        results.append(TokenIndex().merge_recent(keys, force=True))

    monkeypatch.setattr(token_index.time, "sleep", meanwhile)
    results.append(TokenIndex().merge_recent(keys, max_ms=0.001, force=True))
    assert results == [True, False]
    assert [found(keys, prefix) for prefix, _ in pairs[::500]] == [[number] for _, number in pairs[::500]]


def test_a_merge_waits_until_it_is_worth_it(keys: Database) -> None:
    index = TokenIndex()
    add(keys, index, [(5, 1)])
    assert not index.merge_recent(keys)
    assert index.merge_recent(keys, force=True)
    assert not index.merge_recent(keys, force=True)


@only_on_sqlite("what of a row it keeps in which page")
def test_padding_covers_what_sqlite_keeps_of_a_row_in_its_page(keys: Database) -> None:
    with keys.read() as conn:
        page_size = conn.execute(text("PRAGMA page_size")).scalar_one()
    most_kept = page_size - 35  # sqlite.org/fileformat2.html, section 1.6, table leaf
    assert len(token_pages.PADDING) >= most_kept


def test_what_was_added_before_is_seldom_written_again(
    keys: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records arrive one by one beside what files brought: most compactions are small."""
    index = TokenIndex()
    for turn in range(10):
        add(keys, index, [(number * 2**50 + turn, number) for number in range(1, 3000)])
    written: list[int] = []
    real = token_index._write_run

    def counting(conn: Connection, prefixes: token_pages.Int64s, numbers: token_pages.Int64s) -> object:
        written.append(len(prefixes))
        return real(conn, prefixes, numbers)

    monkeypatch.setattr(token_index, "_write_run", counting)
    arrivals = [[(-turn * 2**40 - at, 5000 + turn) for at in range(10)] for turn in range(600)]
    for pairs in arrivals:
        add(keys, index, pairs)
    assert sum(written) < 8 * sum(map(len, arrivals))
    with keys.read() as conn:
        assert len(token_index._runs(conn)) <= token_index._MAX_RECENT_RUNS + 1
    assert found(keys, arrivals[300][0][0]) == [5300]
