"""The candidates of records that arrive: who shares a token with them, and how much they weigh.

Several records are looked at together, with the statements of one; each gets what it would get alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

from consent.blind_indexes import RECORD
from consent.linkable import LinkableRecords
from consent.packed_tokens import kind_of, unpack_tokens
from consent.prepared_records import RecordStores
from identity.admission import spread
from identity.arriving import Arrival, ScoredCandidate
from identity.comparable import Comparable
from identity.matching import OnlineScorer
from identity.statements import Statement, slices
from identity.store import MembershipReader

BLOCK_LIMIT: Final = 400  # records under one token; of more a few are looked at, spread over all of them
MOST_EVIDENCE: Final = 100  # records that are compared with each other, for the guard
VERIFIED_WEIGHT: Final = 20.0  # bits, a million to one: two channels have verified the same identifier

_CURRENT = Statement("SELECT record_no, key_id, verified FROM records WHERE key_id IN :key_ids")


class Newcomer(NamedTuple):
    """A record as it was when the search began. `was` is its golden number, None if it had none.

    One that is not stored yet brings its `tokens`, packed, and its `comparable` form if it may be linked.
    """

    record_no: int
    key_id: int
    verified: AbstractSet[str]
    was: int | None
    tokens: bytes | None = None
    comparable: bytes | None = None

    def __repr__(self) -> str:
        return f"<record {self.record_no} on its way in>"


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the last published run scored with."""

    run_id: str
    model_version: str
    scorer: OnlineScorer


class Candidates:
    """Finds, opens and scores. Of those who share a token only the permitted ones are opened."""

    def __init__(self, stores: RecordStores, linkable: LinkableRecords) -> None:
        self._stores, self._linkable = stores, linkable
        self._memberships = MembershipReader()

    def of(self, newcomers: Sequence[Newcomer], scoring: Scoring | None, sequence: int) -> list[Arrival]:
        """Return what is known of each before it is resolved; `sequence` was read before `newcomers`."""
        near = _Neighbours(self._stores, newcomers)
        if scoring is None:
            return [self._verified_alike(near, each, sequence) for each in newcomers]
        opened = self._linkable.opened_under(set(chain.from_iterable(near.key_ids.values())))
        brought = {each.key_id: (each.record_no, each.comparable) for each in newcomers if each.comparable}
        forms = chain(opened.items(), brought.items())
        read = {key_id: (no, Comparable.decode(encoded)) for key_id, (no, encoded) in forms}
        scorer, model = scoring.scorer.remembering(), scoring.scorer.model
        arrivals = []
        matching: dict[int, dict[int, float]] = {}
        for each in newcomers:
            if each.key_id not in read:  # it may not be linked
                arrivals.append(Arrival(each.record_no, [], sequence, 0.0, was=each.was))
                continue
            keys = near.key_ids[each.key_id] - {each.key_id}
            others = sorted((read[key_id] for key_id in keys if key_id in read), key=itemgetter(0))
            weights = scorer.score(read[each.key_id][1], [comparable for _, comparable in others])
            kept = [
                ScoredCandidate(no, round(weight, 6))
                for (no, _), weight in zip(others, weights, strict=True)
                if weight >= model.review_threshold
            ]
            strong = {one.record_no: one.weight for one in kept if one.weight >= model.threshold}
            if strong:
                matching[each.record_no] = strong
            arrivals.append(
                Arrival(each.record_no, kept, sequence, model.threshold, scoring.model_version, was=each.was)
            )
        evidence = self._evidence(scorer, dict(read.values()), matching) if matching else {}
        return [replace(each, **evidence.get(each.record_no, {})) for each in arrivals]

    def _verified_alike(self, near: "_Neighbours", newcomer: Newcomer, sequence: int) -> Arrival:
        """Return the candidates before the first run."""
        record_no = newcomer.record_no
        alike = self._linkable.opened([record_no, *near.verified_alike(newcomer)]).record_nos
        if record_no not in alike:  # it may not be linked: it stays alone
            return Arrival(record_no, [], sequence, 0.0, was=newcomer.was)
        scored = [ScoredCandidate(number, VERIFIED_WEIGHT) for number in alike if number != record_no]
        return Arrival(record_no, scored, sequence, VERIFIED_WEIGHT, was=newcomer.was)

    def _evidence(
        self,
        scorer: OnlineScorer,
        known: Mapping[int, Comparable],
        matching: Mapping[int, Mapping[int, float]],
    ) -> dict[int, dict[str, Any]]:
        """Return what each record, its matches and all records of their golden IDs say of each other.

        A record that shares nothing with the arriving one may be the very one that contradicts. `known` are
        the records opened so far. With the evidence come the golden numbers of those heard.
        """
        with self._stores.db.snapshot() as conn:
            owner = self._memberships.goldens_of(conn, sorted(set(chain.from_iterable(matching.values()))))
            held = self._memberships.members_of(conn, sorted(set(owner.values())))
        heard: dict[int, set[int]] = {}
        for newcomer, weights in matching.items():
            golden_nos = sorted({owner[number] for number in weights if number in owner})
            people = [[*held[golden_no]] for golden_no in golden_nos]
            people += [[number] for number in weights if number not in owner]
            heard[newcomer] = {newcomer, *spread(people, weights, MOST_EVIDENCE)}
        if late := set(chain.from_iterable(heard.values())) - known.keys():
            opened = self._linkable.opened(late)
            read = zip(opened.record_nos, map(Comparable.decode, opened.comparables), strict=True)
            known = dict(known) | dict(read)
        owner |= {number: golden_no for golden_no, members in held.items() for number in members}
        found = {}
        for newcomer, numbers in heard.items():
            records = {number: known[number] for number in numbers if number in known}
            owners = {no: owner[no] for no in records if no in owner and no != newcomer}
            evidence = scorer.evidence(list(records), list(records.values()), owners)
            found[newcomer] = {"evidence": evidence, "owners": owners}
        return found


class _Neighbours:
    """The keys under which tokens of some records are listed; nothing is opened."""

    def __init__(self, stores: RecordStores, newcomers: Iterable[Newcomer]) -> None:
        self._stores = stores
        wanted = [each.key_id for each in newcomers]
        brought = {each.key_id: each.tokens for each in newcomers if each.tokens is not None}
        with stores.keys.snapshot() as conn:
            rows = stores.key_store.fetch(conn, [key_id for key_id in wanted if key_id not in brought])
            packed = brought | {key_id: row.tokens for key_id, row in rows.items()}
            self._tokens = {key_id: _tokens(tokens) for key_id, tokens in packed.items()}
            every = {token for tokens in self._tokens.values() for _, token in tokens}
            found = stores.key_store.candidates(conn, every, limit=BLOCK_LIMIT)
        for key_id in brought:  # the store does not list them yet
            for _, token in self._tokens[key_id]:
                found[token].append(key_id)
        self.key_ids = {
            key_id: {key_id, *(no for _, token in self._tokens.get(key_id, ()) for no in found[token])}
            for key_id in wanted
        }
        """By a newcomer's key id: those of all records that share a token with it, its own among them."""

    def verified_alike(self, newcomer: Newcomer) -> list[int]:
        """Return the records that carry one of its verified identifiers, verified as well."""
        tokens = {
            token: kind for kind, token in self._tokens.get(newcomer.key_id, ()) if kind in newcomer.verified
        }
        if not tokens:
            return []
        with self._stores.keys.snapshot() as conn:
            found = self._stores.key_store.find_many(conn, tokens)
        current = self._current(self.key_ids[newcomer.key_id] - {newcomer.key_id})
        alike = set()
        for token, rows in found.items():
            for row in rows:
                record_no, theirs = current.get(row.key_id, (0, frozenset()))
                if tokens[token] in theirs:
                    alike.add(record_no)
        return sorted(alike)

    def _current(self, key_ids: Iterable[int]) -> dict[int, tuple[int, frozenset[str]]]:
        """Return key id -> record and its verified identifiers, for keys of a record's present content."""
        with self._stores.db.snapshot() as conn:
            return {
                key_id: (record_no, frozenset(verified.split(",")))
                for part in slices(sorted(key_ids))
                for record_no, key_id, verified in _CURRENT.rows(conn, key_ids=part)
            }


def _tokens(packed: bytes) -> list[tuple[str, bytes]]:
    pairs = ((kind_of(code), token) for code, token in unpack_tokens(packed))
    return [(kind, token) for kind, token in pairs if kind != RECORD]
