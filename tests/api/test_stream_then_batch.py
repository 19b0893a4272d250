"""Records fed one by one end where a run over all of them would have put them: same weights, same people."""

from typing import Any

import pytest

from identity import frequencies
from tests.world import World, record, row

NEWCOMERS = ("Adela", "Bruno", "Celia", "Dario", "Elvira", "Felipe")


def arrivals() -> list[dict[str, Any]]:
    """New people of three channels, whose records come mixed, and records of people who are known."""
    new = [record(channel, f"n-{name}", name) for channel in ("town_a", "shop", "app") for name in NEWCOMERS]
    for sent, left_out in zip(new, ("phone", "email", "birth_date") * len(new), strict=False):
        del sent["attributes"][left_out]
    known = [record("app", f"k-{name}", name) for name in ("Delia", "Fabio", "Ines", "Zoe")]
    return [each for pair in zip(new, known * 5, strict=False) for each in pair][: len(new) + len(known)]


def links(world: World) -> dict[tuple[int, int], float]:
    with world.services.db.read() as conn:
        numbers = [no for batch in world.services.memberships.export(conn) for no, _, _ in batch]
        found = world.services.memberships.links(conn, numbers)
    return {(link.record_a, link.record_b): link.weight for link in found}


def owners(world: World) -> dict[int, str]:
    with world.services.db.read() as conn:
        return {
            no: golden_id for batch in world.services.memberships.export(conn) for no, golden_id, _ in batch
        }


def test_a_run_after_a_stream_changes_nobody_and_scores_every_pair_alike(
    settled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a home of POOLED_FROM records: of a smaller one a run knows more names than a stream may."""
    monkeypatch.setattr(frequencies, "POOLED_FROM", 0)
    for sent in arrivals():
        (answer,) = settled.send(sent)
        assert answer["status"] in {"created", "unchanged"}
    streamed, before = owners(settled), links(settled)

    outcome = settled.link()

    assert (outcome["created"], outcome["merged"], outcome["split"]) == (0, 0, 0)
    assert owners(settled) == streamed
    after = links(settled)
    both = before.keys() & after.keys()
    assert len(both) > len(NEWCOMERS)
    differing = {pair for pair in both if abs(before[pair] - after[pair]) > 1e-6}
    assert not differing
    assert after.keys() == before.keys()


def test_a_run_after_a_stream_changes_nobody_in_a_small_home(settled: World) -> None:
    settled.send(*arrivals())
    streamed = owners(settled)
    outcome = settled.link()
    assert (outcome["created"], outcome["merged"], outcome["split"]) == (0, 0, 0)
    assert owners(settled) == streamed


def test_a_file_after_a_stream_and_a_stream_after_a_file_end_alike(settled: World) -> None:
    """The same people, whichever way their records come in."""
    rows = [row(channel, f"b-{name}", name) for channel in ("town_b", "web") for name in NEWCOMERS]
    settled.ingest(*rows)
    settled.send(*(record("app", f"s-{name}", name) for name in NEWCOMERS))
    settled.link()
    owner = owners(settled)
    people = {
        frozenset(no for no, golden_id in owner.items() if golden_id == wanted)
        for wanted in set(owner.values())
    }
    assert sorted(map(len, people))[-len(NEWCOMERS) :] == [3] * len(NEWCOMERS)
