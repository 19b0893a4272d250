"""Why two records are, or are not, one person: numbers, levels and weights for stewards, never a value.

Levels tell something about people, so every explanation is in the access log before a record is opened; only
records that may be linked are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from api.explanation_reading import (
    channels_of,
    declared_source,
    links_among,
    log_look,
    members_of,
    number_of,
    opened_records,
)
from api.explanation_schemas import (
    GuardOut,
    LinkOut,
    PairExplanation,
    WaterfallOut,
)
from api.golden_explanation import golden_out
from consent.errors import UnknownSubjectError
from identity import judgement_store, review_queue
from identity.evidence import explain_between, explain_weights, meeting_rules, set_aside
from identity.explanation import (
    Decision,
    Facts,
    Refusal,
    Waterfall,
    decide,
    reasons,
    refusal,
)
from identity.hysteresis import MARGIN
from identity.link_graph import Edge, strongest_path
from identity.model import Model
from identity.model_store import version_of
from identity.records import GoldenId, RecordKey
from identity.review_queue import Review

if TYPE_CHECKING:
    from api.auth import Caller
    from api.services import Services

MOST_BETWEEN: Final = 2500
"""Pairs of records between two golden IDs up to which the guard's sum is told: a second's work."""


def explain_pair(
    services: "Services", caller: "Caller", first: RecordKey | int, second: RecordKey | int
) -> PairExplanation:
    """Return why two records are, or are not, one person.

    Raises UnknownSubjectError if there is no such record or both are the same one, and AccessLogError.
    """
    pair = _read_pair(services, number_of(services, first), number_of(services, second))
    log_look(services, caller, pair.golden_no, pair.records)
    evidence = _evidence(services, pair)
    guard = _refused(services, caller, pair, evidence)
    return _pair_out(services, caller, pair, evidence, guard)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What the stores say of two records at one moment."""

    records: tuple[int, int]
    channels: tuple[str, str]
    golden_nos: tuple[int | None, int | None]
    names: Mapping[int, GoldenId]
    members: tuple[Sequence[int], Sequence[int]]  # of the golden ID of either
    edges: Sequence[Edge]  # links of their common golden ID
    judged: str | None
    review: Review | None
    source: str | None  # declared to hold no duplicates, and held by both

    @property
    def golden_no(self) -> int | None:
        """Their common golden ID, if they have one."""
        one, other = self.golden_nos
        return one if one == other else None

    @property
    def guarded(self) -> bool:
        """Whether the last run asks a steward about the two because a guard refused their link."""
        return self.review is not None and self.review.cause == "guarded"

    def stored(self, model: Model) -> float | None:
        """Return the weight that the last run stored for the two, if it scored them with `model`."""
        linked = (w for a, b, w in self.edges if {a, b} == set(self.records) and math.isfinite(w))
        weight = next(linked, None)
        if weight is None and self.review is not None:
            return self.review.weight if self.review.model_version == version_of(model) else None
        return weight


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a comparison of the two comes to; nothing of it without a model and both permissions."""

    model: Model | None
    not_linkable: tuple[int, ...]
    waterfall: Waterfall | None = None
    rules: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision | None:
        """What the match weight alone comes to."""
        if self.model is None or self.waterfall is None:
            return None
        weight = self.waterfall.match_weight
        return decide(weight, self.model.threshold, self.model.review_threshold)


def _read_pair(services: "Services", one: int, other: int) -> _Pair:
    if one == other:
        raise UnknownSubjectError("both name the same record")
    with services.db.read() as conn:
        channels = channels_of(conn, [one, other])
        goldens = services.memberships.goldens_of(conn, [one, other])
        golden_nos = (goldens.get(one), goldens.get(other))
        members = [members_of(services, conn, golden_no) for golden_no in golden_nos]
        if len(channels) < 2:
            raise UnknownSubjectError("one of the two is no record of this home")
        own = (channels[one], channels[other])
        return _Pair(
            records=(one, other),
            channels=own,
            golden_nos=golden_nos,
            names=services.memberships.names(conn, goldens.values()),
            members=(members[0], members[1]),
            edges=links_among(services, conn, members[0]) if golden_nos[0] == golden_nos[1] else [],
            judged=_judged(conn, (one, other), members),
            review=review_queue.find(conn, (one, other)),
            source=declared_source(conn, own, members),
        )


def _judged(conn: Connection, pair: tuple[int, int], members: Sequence[Sequence[int]]) -> str | None:
    """Return what a steward said of the pair, or `apart` if of other records of their two golden IDs."""
    standing = judgement_store.standing(conn, {pair[0], *members[0]})
    own = next((each.verdict for each in standing if set(each.pair) == set(pair)), None)
    if own is not None or members[0] == members[1]:
        return own
    others = set(members[1])
    apart = any(each.verdict == "different" and others & set(each.pair) for each in standing)
    return "apart" if apart else None


def _refused(services: "Services", caller: "Caller", pair: _Pair, evidence: _Evidence) -> Refusal | None:
    """Return why a guard holds the two apart, by its own rule; None if it does not, or they are too many."""
    model, found = evidence.model, evidence.waterfall
    scoring = services.resolver.scoring()
    if model is None or found is None or scoring is None or pair.golden_nos[0] == pair.golden_nos[1]:
        return None
    sizes = (len(pair.members[0]), len(pair.members[1]))
    if (
        pair.judged in {"different", "apart"}
        or pair.source is not None
        or found.match_weight < model.threshold
        or sizes[0] * sizes[1] > MOST_BETWEEN
    ):
        return None
    log_look(services, caller, None, sorted({*pair.members[0], *pair.members[1]}))
    sides = [list(opened_records(services, members).values()) for members in pair.members]
    between = explain_between(scoring[1], sides[0], sides[1])
    link = found.match_weight
    if not pair.guarded:  # else it is the strongest between the two: the queue asks about no other
        link = max([link, *(each.match_weight for each in between)])
    return refusal(between, (len(sides[0]), len(sides[1])), round(link - model.threshold, 6))


def _evidence(services: "Services", pair: _Pair) -> _Evidence:
    opened = opened_records(services, pair.records)
    scoring = services.resolver.scoring()
    not_linkable = tuple(number for number in pair.records if number not in opened)
    if scoring is None or not_linkable:
        return _Evidence(None if scoring is None else scoring[0], not_linkable)
    model, scorer = scoring
    one, other = (opened[number] for number in pair.records)
    (explained,) = explain_weights(scorer, [(one, other)])
    stored = pair.stored(model)
    if stored is not None:
        explained = explained.stored_as(stored)
    rules = meeting_rules(scorer, one, other)
    return _Evidence(model, (), explained, rules, set_aside(scorer, one, other))


def _facts(pair: _Pair, evidence: _Evidence, guard: Refusal | None, path: Sequence[Edge]) -> Facts:
    strangers, distance = -math.inf, math.inf  # bits above the threshold
    if evidence.model is not None and evidence.waterfall is not None:
        strangers = evidence.waterfall.against_strangers - evidence.model.threshold
        distance = abs(evidence.waterfall.match_weight - evidence.model.threshold)
    return Facts(
        together=pair.golden_no is not None,
        not_linkable=evidence.not_linkable,
        path=tuple(weight for _, _, weight in path),
        judged=pair.judged,
        guarded=guard is not None or (pair.guarded and pair.source is None),
        rules=evidence.rules,
        household=strangers >= 0,
        close=distance < MARGIN,
        source=pair.source,
        duplicates=pair.channels[0] == pair.channels[1],
    )


def _pair_out(
    services: "Services", caller: "Caller", pair: _Pair, evidence: _Evidence, guard: Refusal | None
) -> PairExplanation:
    model, found = evidence.model, evidence.waterfall
    decision = evidence.decision
    path = strongest_path(pair.edges, *pair.records)
    names = [None if no is None else services.names.shown(caller, pair.names[no]) for no in pair.golden_nos]
    golden = None
    if pair.golden_no is not None and names[0] is not None:
        golden = golden_out(names[0], pair.members[0], pair.edges, model)
    return PairExplanation(
        same_person=golden is not None,
        golden_ids=names,
        records=list(pair.records),
        channels=list(pair.channels),
        decision=decision,
        reasons=reasons(_facts(pair, evidence, guard, path), decision),
        threshold=None if model is None else model.threshold,
        review_threshold=None if model is None else model.review_threshold,
        waterfall=None if found is None else WaterfallOut.of(found),
        rules=list(evidence.rules),
        set_aside=list(evidence.set_aside),
        guard=None if guard is None else GuardOut.of(guard),
        source=pair.source,
        path=LinkOut.of(path),
        golden=golden,
    )
