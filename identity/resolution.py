"""Resolve a few records again, with the same clustering and assignment as a whole run.

The scope is whatever the records are tied to through golden IDs, present or former; it is small, and what
lies outside can't be affected, because overlap and links end at its border.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import Connection

from identity.clustering import Pairs
from identity.difference import Snapshot, difference
from identity.golden_events import Ints
from identity.golden_ids import Assignment, assign_golden_ids, record_weights
from identity.judged_clusters import cluster_judged
from identity.judgement_store import judged_among
from identity.records import RecordFact
from identity.rows import apply, count_up
from identity.small_steps import VERIFIED, Scored
from identity.source_store import declared
from identity.sources import Sources


def no_pairs() -> Pairs:
    """Return no pairs at all."""
    none = np.empty(0, dtype=np.int64)
    return Pairs(none, none, np.empty(0, dtype=np.float64))


def pairs_of(scored: Iterable[Scored]) -> Pairs:
    """Return scored pairs as columns, smaller record number first; weights to 6 decimals."""
    rows = sorted((min(a, b), max(a, b), round(weight, 6)) for a, b, weight in scored)
    if not rows:
        return no_pairs()
    left, right, weights = zip(*rows, strict=True)
    return Pairs(
        np.array(left, dtype=np.int64),
        np.array(right, dtype=np.int64),
        np.array(weights, dtype=np.float64),
    )


def joined(one: Pairs, other: Pairs) -> Pairs:
    """Return the pairs of both."""
    return Pairs(
        np.concatenate([one.record_a, other.record_a]),
        np.concatenate([one.record_b, other.record_b]),
        np.concatenate([one.weight, other.weight]),
    )


def among(pairs: Pairs, record_nos: Iterable[int]) -> Pairs:
    """Return the pairs with both ends in `record_nos`."""
    ends = ints(record_nos)
    return pairs.where(np.isin(pairs.record_a, ends) & np.isin(pairs.record_b, ends))


def touching(pairs: Pairs, record_nos: Iterable[int], *, wanted: bool = True) -> Pairs:
    """Return the pairs with an end in `record_nos`, or (`wanted=False`) those with none."""
    ends = ints(record_nos)
    return pairs.where((np.isin(pairs.record_a, ends) | np.isin(pairs.record_b, ends)) == wanted)


def ints(numbers: Iterable[int]) -> Ints:
    """Return record or golden numbers as a sorted column."""
    return np.array(sorted(numbers), dtype=np.int64)


def resolve(
    conn: Connection,
    before: Snapshot,
    facts: Mapping[int, RecordFact],
    pairs: Pairs,
    *,
    version: int,
    now: int,
    staged: bool = False,
) -> Assignment:
    """Cluster the records in `facts` (live ones only) by `pairs`, and write what changes at `version`.

    All `pairs` are above the threshold of their model; what stands of the judgements and of the declared
    sources overrides them. Records that may not be linked stay alone, whatever pairs and judgements say.
    Inside a write transaction.
    """
    linkable = [record_no for record_no, fact in facts.items() if fact.linkable]
    judged = judged_among(conn, linkable)
    sources = Sources.of({number: facts[number].channel for number in linkable}, declared(conn))
    found = cluster_judged(
        ints(facts), among(pairs, linkable), -np.inf, verified_of(facts), judged, sources=sources
    )
    clusters = found.clusters
    standing = np.array([facts[number].standing for number in clusters.record_nos.tolist()], dtype=np.int64)
    assignment = assign_golden_ids(
        before.state, clusters.record_nos, clusters.label, record_weights(standing)
    )
    if len(assignment.created):
        count_up(conn, "golden_no", len(assignment.created))
    apply(conn, difference(before, assignment, found), version, now, staged=staged)
    return assignment


def verified_of(facts: Mapping[int, RecordFact]) -> Sequence[int]:
    """Return the records that hold a verified identifier."""
    return [record_no for record_no, fact in facts.items() if fact.standing >= VERIFIED]
