"""A record that arrives is resolved at once: candidates by blind index, scores by the published model.

Candidates are the records that share a blocking or lookup token; of these only the permitted ones are
opened, to be scored by the same model as in a run. Before the first run there is no model: then only an
identifier that both channels have verified attaches a record to another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Final

from sqlalchemy import Connection

from api.candidates import Candidates, Newcomer, Scoring
from consent.blind_indexes import BlindIndex
from consent.frequency_tokens import frequency_token as token_of
from consent.linkable import LinkableRecords
from consent.prepared_records import Outcome, PreparedBatch, RecordStores
from consent.record_contents import Content
from identity import model_store
from identity.arriving import Arrival
from identity.errors import StaleScoresError
from identity.matching import OnlineScorer
from identity.model import Model
from identity.online import Attached, OnlineResolver, Resolution
from identity.statements import Reading, Statement, slices
from identity.store import PUBLISHED, MembershipReader

_ATTEMPTS: Final = 5
MOST_AHEAD: Final = 64
"""Records of a batch: of a block that large all are compared, where among stored records a few would do."""

_CHANGING: Final = frozenset({Outcome.UPDATED, Outcome.REPEATED})
_ANY: Final = -1  # no change sequence: nothing is known of other writers
_NONE: Final = -2

_Places = Callable[[Connection, Iterable[Arrival], int], Attached]

_RECORDS = Statement("SELECT record_no, key_id, verified FROM records WHERE record_no IN :record_nos")
_DEPARTED = Statement(f"""
    SELECT d.record_no
    FROM departures d JOIN memberships m ON m.record_no = d.record_no
    WHERE m.valid_from <= {PUBLISHED} AND m.valid_to > {PUBLISHED}
""")  # noqa: S608 - a constant of our own


def frequency_token(index: BlindIndex) -> Callable[[str, str], bytes]:
    """Return what makes the keyed hash under which the frequency of a value is kept."""
    return lambda column, value: token_of(index, column, value)


class Placement:
    """What was found of records before they are stored; called in the transaction that stores them."""

    def __init__(self, arrivals: Iterable[Arrival], place: _Places) -> None:
        self._arrivals = {each.record_no: each for each in arrivals}
        self._place = place
        self.found: Mapping[int, Resolution | StaleScoresError] = {}

    def __call__(self, conn: Connection, record_nos: Sequence[int], sequence: int) -> None:
        """Resolve those of the records that are stored; `sequence` is the store's, now that they are."""
        known = [self._arrivals[number] for number in record_nos if number in self._arrivals]
        self.found = self._place(conn, [replace(each, sequence=sequence) for each in known], sequence)


class Resolver:
    """Resolves records. Safe from many threads; holds the scorer of the published model."""

    def __init__(self, stores: RecordStores, linkable: LinkableRecords, online: OnlineResolver) -> None:
        self._stores, self._linkable, self._online = stores, linkable, online
        self._token = frequency_token(stores.index)
        self._candidates = Candidates(stores, linkable)
        self._memberships = MembershipReader()
        self._loading = Lock()
        self._loaded: Scoring | None = None
        self._expected = _ANY  # the change sequence after the last placement, if nobody else wrote since

    def resolve(self, record_no: int, now: int) -> Resolution:
        """Give a stored record its golden ID. Raises StaleScoresError if it keeps changing."""
        found = self.resolve_all([record_no], now)[record_no]
        if isinstance(found, StaleScoresError):
            raise found
        return found

    def resolve_all(self, record_nos: Iterable[int], now: int) -> Mapping[int, Resolution | StaleScoresError]:
        """Do as `resolve` for each, one after the other but in one transaction; with each, what it does."""
        waiting = list(dict.fromkeys(record_nos))
        found: dict[int, Resolution | StaleScoresError] = {
            number: StaleScoresError("the record was deleted before it was resolved") for number in waiting
        }
        for _ in range(_ATTEMPTS):
            arrivals = self._looked_for(waiting)
            found |= self._online.attach_all(arrivals, now) if arrivals else {}
            waiting = [number for number in waiting if not isinstance(found[number], Resolution)]
            if not waiting or not arrivals:
                break
        return found

    def ahead(self, batch: PreparedBatch, contents: Sequence[Content], now: int) -> "Placement | None":
        """Look for whom the new records of a batch belong to, before it is written; None where it can't be.

        So storing and resolving are one commit. Whatever changes until then, the placement says so, or is not
        asked: then `resolve_all` looks again. So it does for a large batch, and for one that changes records
        itself: new ones are to be compared with them as they will be.
        """
        if len(contents) > MOST_AHEAD or any(each.outcome in _CHANGING for each in batch.records):
            return None
        if self._expected not in {_ANY, batch.change_sequence}:
            self._expected = _ANY  # another writer is at work: what is found now would mostly be stale
            return None
        self._expected = _NONE  # until it was placed
        scoring = self._published()
        if scoring is None:
            return None
        newcomers = [
            Newcomer(
                each.record_no,
                each.key_row.key_id,
                frozenset(content.record.verified),
                None,
                content.tokens,
                content.comparable if each.linking else None,
            )
            for each, content in zip(batch.records, contents, strict=True)
            if each.outcome is Outcome.CREATED and each.key_row is not None
        ]
        arrivals = self._candidates.of(newcomers, scoring, batch.change_sequence)
        return Placement(arrivals, partial(self._place, now=now))

    def _place(self, conn: Connection, arrivals: Iterable[Arrival], sequence: int, *, now: int) -> Attached:
        self._expected = sequence
        return self._online.attach_all_in(conn, arrivals, now)

    def _looked_for(self, record_nos: Sequence[int]) -> list[Arrival]:
        """Return what is known before they are resolved, of those that are stored."""
        with self._stores.db.snapshot() as conn:  # all of it before anything is looked for
            sequence = self._linkable.sequence_in(conn)
            owner = self._memberships.goldens_of(conn, record_nos)
            scoring = self._scoring_in(conn)
            newcomers = [
                Newcomer(record_no, key_id, frozenset(verified.split(",")) - {""}, owner.get(record_no))
                for part in slices(record_nos)
                for record_no, key_id, verified in _RECORDS.rows(conn, record_nos=part)
            ]
        return self._candidates.of(newcomers, scoring, sequence)

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

    def scoring(self) -> tuple[Model, OnlineScorer] | None:
        """Return the model of the last published run with its scorer; None before the first run."""
        found = self._published()
        return None if found is None else (found.scorer.model, found.scorer)

    def _published(self) -> Scoring | None:
        with self._stores.db.snapshot() as conn:
            return self._scoring_in(conn)

    def _scoring_in(self, conn: Reading) -> Scoring | None:
        run_id = model_store.current_run(conn)
        if run_id is None:
            return None
        with self._loading:
            if self._loaded is None or self._loaded.run_id != run_id:
                self._loaded = self._load(conn)
            return self._loaded

    def _load(self, conn: Reading) -> Scoring | None:
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

        return Scoring(run_id, name, OnlineScorer(model, frequency, known.keys()))
