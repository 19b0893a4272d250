"""Records in a real store, for tests of golden IDs: their content is words, and sharing a word is a match.

`Population` stands in for the vault's reader (it opens plain words) and for Splink (it scores shared
words); tables, facts, publishing and everything else are the real ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from math import inf
from pathlib import Path

from sqlalchemy import text

from consent.record_facts import StoredFacts
from identity.arriving import Arrival, ScoredCandidate
from identity.database import Database
from identity.linking import LinkingReport, ScoredPairs
from identity.model import Model
from identity.online import OnlineResolver, Resolution
from identity.profile import Profile
from identity.records import OpenedBatch
from identity.rerun import Rerun, RunOutcome
from identity.resolution import pairs_of
from identity.scoring import Scores
from identity.store import MembershipReader
from identity.views import confidences
from tests.homes import operational_store

SURE, DOUBTFUL = 10.0, 1.0
MODEL = Model((), (), 0.0, None, threshold=2.0, review_threshold=0.0, rare_frequencies={}, records=0, seed=0)


def weight(one: str, other: str) -> float | None:
    """A shared word is a match, a shared word in capitals a doubt."""
    shared = set(one.split()) & set(other.split())
    if any(word.islower() for word in shared):
        return SURE + len(shared)
    return DOUBTFUL if shared else None


class Population:
    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.db: Database = operational_store(folder, url)
        self.facts = StoredFacts()
        self.online = OnlineResolver(self.db, self.facts)
        self.memberships = MembershipReader()
        self.now = 1_000
        self.scored_with: list[Model | None] = []

    # the data engineer's side

    def put(
        self, record_no: int, words: str, *, linkable: bool = True, verified: str = "", channel: str = "web"
    ) -> None:
        """Create or replace a record, as ingest does: golden IDs hear of it later."""
        with self.db.write() as conn:
            conn.execute(
                text("""
                    INSERT INTO records (record_no, channel, key_id, observed_at, recorded_at, linking,
                                         verified, sealed, comparable, change_sequence)
                    VALUES (:no, :channel, :no, 0, 0, :linking, :verified, :sealed, :words, :sequence)
                    ON CONFLICT (record_no) DO UPDATE SET
                        comparable = excluded.comparable, linking = excluded.linking,
                        verified = excluded.verified, change_sequence = excluded.change_sequence
                """),
                {
                    "no": record_no,
                    "channel": channel,
                    "linking": int(linkable),
                    "verified": verified,
                    "sealed": b"",
                    "words": words.encode(),
                    "sequence": self._next(conn),
                },
            )

    def put_all(self, words: dict[int, str]) -> None:
        for record_no, content in words.items():
            self.put(record_no, content)

    def delete(self, *record_nos: int) -> None:
        with self.db.write() as conn:
            for record_no in record_nos:
                conn.execute(text("DELETE FROM records WHERE record_no = :no"), {"no": record_no})
                conn.execute(
                    text("""
                        INSERT INTO departures VALUES (:no, :sequence)
                        ON CONFLICT (record_no) DO UPDATE SET change_sequence = excluded.change_sequence
                    """),
                    {"no": record_no, "sequence": self._next(conn)},
                )
        self.online.detach(record_nos, self.now)

    def forbid(self, record_no: int) -> None:
        """Withdraw the permission to link, as a consent event does."""
        with self.db.write() as conn:
            conn.execute(
                text("UPDATE records SET linking = 0, change_sequence = :sequence WHERE record_no = :no"),
                {"no": record_no, "sequence": self._next(conn)},
            )
        self.online.detach([record_no], self.now)

    def arrive(self, record_no: int, words: str, **options: bool | str) -> Resolution:
        """Create or replace a record and resolve it, as POST /v1/records does."""
        self.put(record_no, words, **options)
        sequence = self.sequence()
        others = {no: content for no, content in self._contents(linkable=True).items() if no != record_no}
        scored = {no: weight(words, content) for no, content in others.items()}
        candidates = [ScoredCandidate(no, w) for no, w in scored.items() if w is not None]
        return self.online.attach(Arrival(record_no, candidates, sequence, MODEL.threshold), self.now)

    def link(self, hook=lambda _step: None, **options: bool) -> RunOutcome:
        return self.rerun(hook).run(**options)

    def rerun(self, hook=lambda _step: None) -> Rerun:
        return Rerun(self.db, self, self.facts, self.score, lambda: self.now, hook=hook)

    # what anybody may see

    def groups(self) -> set[frozenset[int]]:
        """The published partition."""
        found = defaultdict(set)
        for record_no, golden_id in self.owners().items():
            found[golden_id].add(record_no)
        return {frozenset(members) for members in found.values()}

    def owners(self) -> dict[int, str]:
        return {row[0]: row[1] for row in self.export()}

    def export(self) -> list[tuple[int, str, float]]:
        with self.db.read() as conn:
            return [row for batch in self.memberships.export(conn) for row in batch]

    def golden(self, record_no: int) -> str:
        return self.owners()[record_no]

    def view(self, golden_id: str):
        with self.db.read() as conn:
            return self.memberships.resolve(conn, golden_id)

    def feed(self, cursor: str | None = None, limit: int = 10_000):
        with self.db.read() as conn:
            return self.memberships.changes_after(conn, cursor, limit)

    def expected(self) -> set[frozenset[int]]:
        """The partition that the words themselves make: connected by shared words in small letters."""
        groups: list[set[int]] = []
        contents = self._contents(linkable=True)
        for record_no in contents:
            meets = [g for g in groups if any(_match(contents[record_no], contents[other]) for other in g)]
            groups = [g for g in groups if g not in meets] + [{record_no}.union(*meets)]
        alone = self._contents(linkable=False)
        return {frozenset(group) for group in groups} | {frozenset({no}) for no in alone}

    # RecordReader

    def sequence(self) -> int:
        with self.db.read() as conn:
            return int(
                conn.execute(text("SELECT value FROM counters WHERE name = 'change_sequence'")).scalar()
            )

    def live(self) -> Iterator[tuple[int, bool]]:
        with self.db.read() as conn:
            rows = conn.execute(text("SELECT record_no, linking FROM records ORDER BY record_no")).all()
        return ((record_no, bool(linking)) for record_no, linking in rows)

    def permitted(self, *, batch_size: int = 20_000) -> Iterator[OpenedBatch]:  # noqa: ARG002 - the Protocol's signature
        contents = self._contents(linkable=True)
        yield self._batch(contents)

    def opened(self, record_nos: Iterable[int]) -> OpenedBatch:
        wanted = set(record_nos)
        contents = {no: words for no, words in self._contents(linkable=True).items() if no in wanted}
        return self._batch(contents)

    def changed_since(self, sequence: int) -> set[int]:
        with self.db.read() as conn:
            rows = conn.execute(
                text("""
                    SELECT record_no FROM records WHERE change_sequence > :sequence
                    UNION SELECT record_no FROM departures WHERE change_sequence > :sequence
                """),
                {"sequence": sequence},
            )
            return {row[0] for row in rows}

    # Scorer

    def score(self, batches: Iterable[OpenedBatch], model: Model | None) -> Scores:
        self.scored_with.append(model)
        holders = defaultdict(list)
        contents = {}
        for batch in batches:
            for record_no, comparable in zip(batch.record_nos, batch.comparables, strict=True):
                contents[record_no] = comparable.decode()
                for word in set(comparable.decode().split()):
                    holders[word].append(record_no)
        pairs = {pair for numbers in holders.values() for pair in combinations(sorted(numbers), 2)}
        scored = [(a, b, weight(contents[a], contents[b])) for a, b in pairs]
        report = LinkingReport(Profile(len(contents), {}, {}), [], len(pairs), trained=model is None)
        tokens = [("first_name", b"0" * 16, 0.5)]
        return Scores(ScoredPairs(model or MODEL, pairs_of(scored), report), tokens)

    # inside

    def _batch(self, contents: dict[int, str]) -> OpenedBatch:
        with self.db.read() as conn:
            channels = dict(conn.execute(text("SELECT record_no, channel FROM records")).all())
        return OpenedBatch(
            list(contents), [channels[no] for no in contents], [w.encode() for w in contents.values()]
        )

    def _contents(self, *, linkable: bool) -> dict[int, str]:
        with self.db.read() as conn:
            rows = conn.execute(
                text("SELECT record_no, comparable FROM records WHERE linking = :linking ORDER BY record_no"),
                {"linking": int(linkable)},
            ).all()
        return {record_no: bytes(words).decode() for record_no, words in rows}

    @staticmethod
    def _next(conn) -> int:
        return conn.execute(
            text("UPDATE counters SET value = value + 1 WHERE name = 'change_sequence' RETURNING value")
        ).scalar()


def _match(one: str, other: str) -> bool:
    found = weight(one, other)
    return found is not None and found >= MODEL.threshold


def consistent(population: Population) -> None:
    """Assert what must hold of the stored state at any moment, whoever wrote last."""
    with population.db.read() as conn:
        version = population.memberships.version(conn)
        seen = {"v": version}
        by_record = conn.execute(
            text("SELECT record_no, golden_no FROM memberships WHERE valid_from <= :v AND valid_to > :v"),
            seen,
        ).all()
        by_golden = conn.execute(
            text("SELECT record_no, golden_no FROM members WHERE valid_from <= :v AND valid_to > :v"), seen
        ).all()
        assert len({row[0] for row in by_record}) == len(by_record)
        assert sorted(by_record) == sorted(by_golden)
        for golden_no in {row[1] for row in by_record}:
            view = population.memberships.view(conn, golden_no)
            assert view is not None
            assert view.status == "active"
            members = {row[0] for row in by_record if row[1] == golden_no}
            assert view.anchor_no in members
            stored = population.memberships.links(conn, sorted(members))
            links = [(link.record_a, link.record_b, link.weight) for link in stored]
            published = {
                each.record_no: each.confidence for each in population.memberships.members(conn, golden_no)
            }
            assert confidences(links, view.anchor_no, -inf) == published
        for (golden_no,) in conn.execute(
            text("SELECT golden_no FROM golden_ids WHERE created_version <= :v"), seen
        ).all():
            view = population.memberships.view(conn, golden_no)
            active = golden_no in {row[1] for row in by_record}
            assert (view.status == "active") == active, (golden_no, view)
            if view.status == "merged":
                assert view.final.status != "merged"
        links = {
            tuple(row)
            for row in conn.execute(
                text("SELECT record_no, other_no FROM links WHERE valid_from <= :v AND valid_to > :v"), seen
            )
        }
        owner = dict(tuple(row) for row in by_record)
        assert all((b, a) in links for a, b in links)
        assert all(owner[a] == owner[b] for a, b in links)
        feed = population.memberships.changes_after(conn, None, 100_000)
    assert replay(feed) == owner


def replay(feed) -> dict[int, int]:
    """Follow the change feed from the start: the owners that its reader would believe in."""
    owner: dict[int, int] = {}
    for change in feed:
        details = change.details
        for record_no in details.get("left", []):
            if owner.get(record_no) == change.golden_no:
                del owner[record_no]
        for record_no in [*details.get("records", []), *details.get("joined", [])]:
            owner[record_no] = change.golden_no
        if change.type in {"merged", "split", "gone"}:
            for record_no in [no for no, golden in owner.items() if golden == change.golden_no]:
                del owner[record_no]
    return owner
