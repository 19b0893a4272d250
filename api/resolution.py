"""A record that arrives is resolved at once: candidates by blind index, scores by the published model.

Candidates are the records that share a blocking or lookup token; of these only the permitted ones are
opened, to be scored by the same model as in a run. Before the first run there is no model: then only an
identifier that both channels have verified attaches a record to another.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from threading import Lock
from typing import Final

from consent.blind_indexes import RECORD, BlindIndex
from consent.frequency_tokens import frequency_token as token_of
from consent.key_store import KeyRow
from consent.linkable import LinkableRecords
from consent.packed_tokens import kind_of, unpack_tokens
from consent.prepared_records import RecordStores
from identity import model_store
from identity.admission import spread
from identity.comparable import Comparable
from identity.contradictions import Evidence
from identity.errors import StaleScoresError
from identity.matching import OnlineScorer
from identity.model import Model
from identity.online import OnlineResolver, Resolution, ScoredCandidate
from identity.statements import Reading, Statement, slices
from identity.store import PUBLISHED, MembershipReader

BLOCK_LIMIT: Final = 400  # records under one token; of more a few are looked at, spread over all of them
MOST_EVIDENCE: Final = 100  # records that are compared with each other, for the guard
VERIFIED_WEIGHT: Final = 20.0  # bits, a million to one: two channels have verified the same identifier
_ATTEMPTS: Final = 5

_RECORD = Statement("SELECT key_id, verified FROM records WHERE record_no = :record_no")
_CURRENT = Statement("SELECT record_no, key_id, verified FROM records WHERE key_id IN :key_ids")
_DEPARTED = Statement(f"""
    SELECT d.record_no
    FROM departures d JOIN memberships m ON m.record_no = d.record_no
    WHERE m.valid_from <= {PUBLISHED} AND m.valid_to > {PUBLISHED}
""")  # noqa: S608 - a constant of our own


def frequency_token(index: BlindIndex) -> Callable[[str, str], bytes]:
    """Return what makes the keyed hash under which the frequency of a value is kept."""
    return lambda column, value: token_of(index, column, value)


class Resolver:
    """Resolves one record at a time. Safe from many threads; holds the scorer of the published model."""

    def __init__(self, stores: RecordStores, linkable: LinkableRecords, online: OnlineResolver) -> None:
        self._stores, self._linkable, self._online = stores, linkable, online
        self._token = frequency_token(stores.index)
        self._memberships = MembershipReader()
        self._loading = Lock()
        self._loaded: _Scoring | None = None

    def resolve(self, record_no: int, now: int) -> Resolution:
        """Give a stored record its golden ID. Raises StaleScoresError if it keeps changing."""
        for attempt in range(_ATTEMPTS):
            with self._stores.db.snapshot() as conn:  # all of it before anything is looked for
                sequence = self._linkable.sequence_in(conn)
                was = self._memberships.golden_of(conn, record_no)
                scoring = self._scoring_in(conn)
                ((key_id, verified),) = _RECORD.rows(conn, record_no=record_no)
            near = _Neighbours(self._stores, key_id)
            if scoring is None:
                found = self._verified_alike(record_no, near, verified)
            else:
                found = self._candidates(record_no, near, scoring)
            try:
                return self._online.attach(
                    record_no, found.scored, sequence=sequence, threshold=found.threshold, now=now,
                    model_version=found.model_version, evidence=found.evidence, owners=found.owners, was=was,
                )  # fmt: skip
            except StaleScoresError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    def detach_departed(self, now: int) -> None:
        """Take records that were deleted, and then a crash came, out of their golden IDs."""
        with self._stores.db.read() as conn:
            departed = [record_no for (record_no,) in _DEPARTED.rows(conn)]
        if departed:
            self._online.detach(departed, now)

    def close(self) -> None:
        """Forget the model."""
        with self._loading:
            self._loaded = None

    def _verified_alike(self, record_no: int, near: "_Neighbours", verified: str) -> "_Candidates":
        """Return the candidates before the first run."""
        numbers = near.verified_alike(frozenset(verified.split(",")) - {""})
        alike = self._linkable.opened([record_no, *numbers]).record_nos
        if record_no not in alike:  # it may not be linked: it stays alone
            return _Candidates(0.0, [], None)
        scored = [ScoredCandidate(number, VERIFIED_WEIGHT) for number in alike if number != record_no]
        return _Candidates(VERIFIED_WEIGHT, scored, None)

    def _candidates(self, record_no: int, near: "_Neighbours", scoring: "_Scoring") -> "_Candidates":
        """Return the candidates worth a steward's look or more."""
        scorer, model = scoring.scorer.remembering(), scoring.scorer.model
        batch = self._linkable.opened_under([near.key_id, *near.key_ids])
        opened = dict(zip(batch.record_nos, map(Comparable.decode, batch.comparables), strict=True))
        newcomer = opened.pop(record_no, None)
        if newcomer is None:  # it may not be linked
            return _Candidates(0.0, [], None)
        weights = scorer.score(newcomer, list(opened.values()))
        kept = [
            ScoredCandidate(no, round(weight, 6))
            for no, weight in zip(opened, weights, strict=True)
            if weight >= model.review_threshold
        ]
        matching = {each.record_no: each.weight for each in kept if each.weight >= model.threshold}
        if not matching:
            return _Candidates(model.threshold, kept, scoring.model_version)
        known = {record_no: newcomer, **opened}
        evidence, owners = self._evidence(scorer, known, matching)
        return _Candidates(model.threshold, kept, scoring.model_version, evidence, owners)

    def _evidence(
        self, scorer: OnlineScorer, known: Mapping[int, Comparable], matching: Mapping[int, float]
    ) -> tuple[Evidence, dict[int, int]]:
        """Return what the arriving record, its matches and all records of their golden IDs say of each other.

        A record that shares nothing with the arriving one may be the very one that contradicts. `known` are
        the records opened so far, the arriving one first. With it come the golden numbers of those heard.
        """
        newcomer = next(iter(known))
        with self._stores.db.snapshot() as conn:
            owner = self._memberships.goldens_of(conn, sorted(matching))
            held = self._memberships.members_of(conn, sorted(set(owner.values())))
        people = [list(held[golden_no]) for golden_no in sorted(held)]
        people += [[number] for number in matching if number not in owner]
        heard = {newcomer, *spread(people, matching, MOST_EVIDENCE)}
        records = {number: known[number] for number in heard & known.keys()}
        if late := heard - known.keys():
            opened = self._linkable.opened(late)
            records |= zip(opened.record_nos, map(Comparable.decode, opened.comparables), strict=True)
        owners = {
            number: golden_no
            for golden_no, members in held.items()
            for number in members
            if number in records and number != newcomer
        }
        return scorer.evidence(list(records), list(records.values()), owners), owners

    def scoring(self) -> tuple[Model, OnlineScorer] | None:
        """Return the model of the last published run with its scorer; None before the first run."""
        with self._stores.db.snapshot() as conn:
            found = self._scoring_in(conn)
        return None if found is None else (found.scorer.model, found.scorer)

    def _scoring_in(self, conn: Reading) -> "_Scoring | None":
        run_id = model_store.current_run(conn)
        if run_id is None:
            return None
        with self._loading:
            if self._loaded is None or self._loaded.run_id != run_id:
                self._loaded = self._load(conn)
            return self._loaded

    def _load(self, conn: Reading) -> "_Scoring | None":
        current = model_store.load_current(conn)
        if current is None:
            return None
        run_id, name, model = current
        known: dict[str, dict[bytes, float]] = {}
        for (column, token), share in model_store.frequencies(conn, run_id).items():
            known.setdefault(column, {})[token] = share

        def frequency(column: str, value: str) -> float | None:
            shares = known.get(column)  # of a column without any, no value need be hashed
            return None if shares is None else shares.get(self._token(column, value))

        return _Scoring(run_id, name, OnlineScorer(model, frequency, known.keys()))


@dataclass(frozen=True, slots=True)
class _Scoring:
    """What the last published run scored with."""

    run_id: str
    model_version: str
    scorer: OnlineScorer


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Scored candidates, the weight from which they match, and the name of the model that scored them."""

    threshold: float  # bits
    scored: list[ScoredCandidate]
    model_version: str | None
    evidence: Evidence | None = None  # of the record and its candidates, where one of them matches
    owners: Mapping[int, int] | None = None  # the golden numbers of these candidates, where they have one


class _Neighbours:
    """The keys under which a token of one record's is listed; nothing is opened."""

    def __init__(self, stores: RecordStores, key_id: int) -> None:
        self._stores, self.key_id = stores, key_id
        with stores.keys.snapshot() as conn:
            row: KeyRow | None = stores.key_store.fetch(conn, [key_id]).get(key_id)
            pairs = unpack_tokens(row.tokens) if row is not None else []
            self._tokens = [(kind_of(code), token) for code, token in pairs if kind_of(code) != RECORD]
            found = stores.key_store.candidates(conn, [token for _, token in self._tokens], limit=BLOCK_LIMIT)
        self.key_ids: Sequence[int] = sorted({no for numbers in found.values() for no in numbers} - {key_id})

    def verified_alike(self, verified: AbstractSet[str]) -> list[int]:
        """Return the records that carry one of its `verified` identifiers, verified as well."""
        tokens = {token: kind for kind, token in self._tokens if kind in verified}
        if not tokens:
            return []
        with self._stores.keys.snapshot() as conn:
            found = self._stores.key_store.find_many(conn, tokens)
        current = self._current()
        alike = set()
        for token, rows in found.items():
            for row in rows:
                record_no, theirs = current.get(row.key_id, (0, frozenset()))
                if tokens[token] in theirs:
                    alike.add(record_no)
        return sorted(alike)

    def _current(self) -> dict[int, tuple[int, frozenset[str]]]:
        """Return key id -> record and its verified identifiers, for keys of a record's present content."""
        with self._stores.db.snapshot() as conn:
            return {
                key_id: (record_no, frozenset(verified.split(",")))
                for part in slices(self.key_ids)
                for record_no, key_id, verified in _CURRENT.rows(conn, key_ids=part)
            }
