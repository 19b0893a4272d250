"""What a process remembers of contact points is what the token index says, whatever came and went."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import contact_cache
from consent.evidence_store import EvidenceStore
from consent.token_index import TokenIndex
from tests.consent.test_token_index import empty_store

TOKENS = [
    bytes([first]) * 8 + bytes([last]) * 24 for first in range(12) for last in (1, 2)
]  # prefixes collide
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "destroy", "roll back", "ask"]), st.sets(st.sampled_from(TOKENS), max_size=6)
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps=STEPS)
def test_a_snapshot_and_a_transaction_find_the_same_contact_points(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[bytes]]]
) -> None:
    keys = empty_store(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'keys.db'}")
    store = EvidenceStore(TokenIndex())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contact_cache, "_SETTLED_AT", 3)
        for step, tokens in [*steps, ("ask", set(TOKENS))]:
            if step == "ask":
                with keys.snapshot() as snapshot, keys.read() as conn:
                    assert store.find_contacts(snapshot, TOKENS) == store.find_contacts(conn, TOKENS)
                continue
            with pytest.raises(ZeroDivisionError) if step == "roll back" else keys.write() as conn:
                if step == "add":
                    store.contacts(conn, tokens)
                elif step == "destroy":
                    store.forget_contacts(conn, sorted(store.find_contacts(conn, tokens).values()))
                else:
                    with keys.write() as undone:
                        store.contacts(undone, tokens)
                        raise ZeroDivisionError
    keys.close()


def test_a_contact_point_of_another_process_is_found_by_the_next_snapshot(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    keys = empty_store(url)
    here, there = EvidenceStore(TokenIndex()), EvidenceStore(TokenIndex())
    with keys.snapshot() as snapshot:
        assert here.find_contacts(snapshot, TOKENS) == {}
        with keys.write() as conn:
            added = there.contacts(conn, TOKENS[:2])
        assert here.find_contacts(snapshot, TOKENS) == {}  # committed after this snapshot
    with keys.snapshot() as snapshot:
        assert here.find_contacts(snapshot, TOKENS) == added
    keys.close()
