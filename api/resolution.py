"""A record that arrives is resolved at once: candidates by blind index, scores by the published model.

Candidates are the records that share a blocking or lookup token; of these only the permitted ones are
opened, to be scored by the same model as in a run. Before the first run there is no model: then only an
identifier that both channels have verified attaches a record to another.
"""

from collections.abc import Callable, Mapping, Sequence
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

_RECORD = Statement("SELECT key_id, verified FROM records WHERE record_no IN :record_nos")
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
            with self._stores.db.snapshot() as conn:  # both before anything is looked for
                sequence = self._linkable.sequence_in(conn)
                was = self._memberships.golden_of(conn, record_no)
            found = self._candidates(record_no)
            try:
                return self._online.attach(
                    record_no, found.scored, sequence=sequence, threshold=found.threshold, now=now,
                    model_version=found.model_version, evidence=found.evidence, was=was,
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

    def _candidates(self, record_no: int) -> "_Candidates":
        """Return the candidates worth a steward's look or more."""
        near = _Neighbours(self._stores, record_no)
        scoring = self._scoring()
        if scoring is None:
            alike = self._linkable.opened([record_no, *near.verified_alike()]).record_nos
            if record_no not in alike:  # it may not be linked: it stays alone
                return _Candidates(0.0, [], None)
            scored = [ScoredCandidate(number, VERIFIED_WEIGHT) for number in alike if number != record_no]
            return _Candidates(VERIFIED_WEIGHT, scored, None)
        scorer, model = scoring.scorer, scoring.scorer.model
        batch = self._linkable.opened([record_no, *near.record_nos])
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
        evidence = None
        if matching:
            known = {record_no: newcomer, **opened}
            evidence = self._evidence(scorer, known, matching)
        return _Candidates(model.threshold, kept, scoring.model_version, evidence)

    def _evidence(
        self, scorer: OnlineScorer, known: Mapping[int, Comparable], matching: Mapping[int, float]
    ) -> Evidence:
        """Return what the arriving record, its matches and all records of their golden IDs say of each other.

        A record that shares nothing with the arriving one may be the very one that contradicts. `known` are
        the records opened so far, the arriving one first.
        """
        newcomer = next(iter(known))
        with self._stores.db.snapshot() as conn:
            owner = self._memberships.goldens_of(conn, sorted(matching))
            people = [
                [member.record_no for member in self._memberships.members(conn, golden_no)]
                for golden_no in sorted(set(owner.values()))
            ]
        people += [[number] for number in matching if number not in owner]
        heard = {newcomer, *spread(people, matching, MOST_EVIDENCE)}
        opened = self._linkable.opened(heard - known.keys())
        late = zip(opened.record_nos, map(Comparable.decode, opened.comparables), strict=True)
        records = {number: known[number] for number in heard & known.keys()} | dict(late)
        return scorer.evidence(list(records), list(records.values()))

    def scoring(self) -> tuple[Model, OnlineScorer] | None:
        """Return the model of the last published run with its scorer; None before the first run."""
        found = self._scoring()
        return None if found is None else (found.scorer.model, found.scorer)

    def _scoring(self) -> "_Scoring | None":
        with self._stores.db.snapshot() as conn:
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
        known = model_store.frequencies(conn, run_id)
        return _Scoring(run_id, name, OnlineScorer(model, lambda c, v: known.get((c, self._token(c, v)))))


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


class _Neighbours:
    """The records that share a token with one record; nothing is opened."""

    def __init__(self, stores: RecordStores, record_no: int) -> None:
        self._stores = stores
        with stores.db.snapshot(single=True) as conn:
            ((self._key_id, verified),) = _RECORD.rows(conn, record_nos=[record_no])
        self._verified = frozenset(verified.split(",")) - {""}
        with stores.keys.snapshot() as conn:
            row: KeyRow | None = stores.key_store.fetch(conn, [self._key_id]).get(self._key_id)
            pairs = unpack_tokens(row.tokens) if row is not None else []
            self._tokens = [(kind_of(code), token) for code, token in pairs if kind_of(code) != RECORD]
            found = stores.key_store.candidates(conn, [token for _, token in self._tokens], limit=BLOCK_LIMIT)
        ids = {key_id for numbers in found.values() for key_id in numbers} - {self._key_id}
        self._current = self._records(sorted(ids))

    @property
    def record_nos(self) -> Sequence[int]:
        """The candidates."""
        return sorted(record_no for record_no, _ in self._current.values())

    def verified_alike(self) -> list[int]:
        """Return the candidates that carry one of this record's verified identifiers, verified as well."""
        tokens = {token: kind for kind, token in self._tokens if kind in self._verified}
        if not tokens:
            return []
        with self._stores.keys.snapshot() as conn:
            found = self._stores.key_store.find_many(conn, tokens)
        alike = set()
        for token, rows in found.items():
            for row in rows:
                record_no, verified = self._current.get(row.key_id, (0, frozenset()))
                if tokens[token] in verified:
                    alike.add(record_no)
        return sorted(alike)

    def _records(self, key_ids: Sequence[int]) -> dict[int, tuple[int, frozenset[str]]]:
        """Return key id -> record and its verified identifiers, for keys of a record's present content."""
        with self._stores.db.snapshot() as conn:
            return {
                key_id: (record_no, frozenset(verified.split(",")))
                for part in slices(key_ids)
                for record_no, key_id, verified in _CURRENT.rows(conn, key_ids=part)
            }
