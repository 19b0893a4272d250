"""Why two records are, or are not, one person: the waterfall of a match weight, and sentences. Pure.

The waterfall adds up: prior + every step + households + rarity = match weight. It names comparisons and
levels, never a value. `identity.evidence` computes its figures with the model that scores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from identity.contradictions import cost

Decision = Literal["link", "review", "no link"]

_DECIMALS: Final = 9  # of each figure: twenty rounded ones still add up to the weight's 6 decimals


@dataclass(frozen=True, slots=True)
class Step:
    """What one comparison adds, in bits. `level` is None where one of the records has no value.

    `weight` counts against strangers and holds `term_frequency`, the part that comes from how common the
    shared value is; `household` counts against a household, None under a model without households.
    """

    comparison: str
    level: str | None
    weight: float
    term_frequency: float
    household: float | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A match weight (log2 of the odds that two records are one person) and what it is made of.

    `prior` are the odds before anything is compared. `households` is what it costs that two people of one
    household may agree as much (0 or less; None under a model without them). `rarity` corrects
    to the weight that the run stored: it counted how often rare values occur, which nobody keeps.
    """

    prior: float
    steps: tuple[Step, ...]
    against_strangers: float
    household_prior: float | None
    against_household: float | None
    households: float | None
    rarity: float
    match_weight: float

    @property
    def probability(self) -> float:
        """The match weight as a probability."""
        return probability(self.match_weight)

    def stored_as(self, weight: float) -> "Waterfall":
        """Return this with the weight that the run stored for the pair, the difference as rarity."""
        rarity = round(weight - self.match_weight + self.rarity, _DECIMALS)
        return replace(self, rarity=rarity, match_weight=weight)


def waterfall(
    priors: tuple[float, float | None],
    steps: Sequence[Step],
    sums: tuple[float, float | None],
    match_weight: float,
) -> Waterfall:
    """Return the waterfall of a pair: `priors` and `sums` are against strangers and against a household."""
    rounded = tuple(
        replace(
            step,
            weight=round(step.weight, _DECIMALS),
            term_frequency=round(step.term_frequency, _DECIMALS),
            household=None if step.household is None else round(step.household, _DECIMALS),
        )
        for step in steps
    )
    strangers, household = (None if each is None else round(each, _DECIMALS) for each in sums)
    return Waterfall(
        prior=priors[0],
        steps=rounded,
        against_strangers=strangers or 0.0,
        household_prior=priors[1],
        against_household=household,
        households=None if household is None else min(round(match_weight - sums[0], _DECIMALS), 0.0),
        rarity=0.0,
        match_weight=match_weight,
    )


def probability(bits: float) -> float:
    """Return log2 odds as a probability."""
    return 1 / (1 + 2**-bits) if bits > -1000 else 0.0  # beyond, 2 ** -bits is no number


def decide(match_weight: float, threshold: float, review_threshold: float) -> Decision:
    """Return what a match weight alone comes to."""
    if match_weight >= threshold:
        return "link"
    return "review" if match_weight >= review_threshold else "no link"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a pair besides its waterfall. `judged`: a steward's standing word, if any.

    `together`: of one golden ID. `guarded`: a guard refuses the link. `household`: strangers who agree
    like this would be linked, but people who live together agree as much. `close`: the weight is so near the
    threshold that a run keeps what was decided before (`identity.hysteresis`). `source`: a channel declared
    to hold no duplicates, of which both golden IDs hold records (`duplicates`: the two are of it themselves).
    """

    together: bool
    not_linkable: tuple[int, ...]  # which of the two may not be linked
    path: tuple[float, ...]  # weights of the links that join them
    judged: str | None  # same, different, unsure; apart: other records of the two golden IDs are different
    guarded: bool
    rules: tuple[str, ...]
    household: bool = False
    close: bool = False
    source: str | None = None
    duplicates: bool = False


def reasons(facts: Facts, decision: Decision | None) -> list[str]:
    """Return why the pair is, or is not, of one golden ID: sentences for a steward, without values."""
    if facts.not_linkable:
        numbers = " and ".join(str(number) for number in facts.not_linkable)
        return [f"Record {numbers} may not be linked (identity_linking), so it stays alone."]
    said = [] if facts.judged is None else [_JUDGED[facts.judged]]
    if facts.together:
        kept = [_KEPT] if facts.close and decision == "review" else []
        return [*said, *_joined(facts.path), *kept, *_despite(facts)]
    apart = _held_apart(facts)
    said += apart
    if decision is None:
        return [*said, "No run has trained a model yet."]
    if not apart and not facts.rules:
        said.append("No blocking rule brings the two together, so no run compares them.")
    if not said or decision != "link":
        said.append(_NOT_JOINED[decision])
    if facts.close and decision == "link" and not apart:
        said.append(_KEPT)
    if facts.household and decision != "link":
        said.append("Strangers do not agree like this, but two people of one household do.")
    return said


def _held_apart(facts: Facts) -> list[str]:
    """Return what refuses a link of the two, whatever they score."""
    if facts.source is not None:
        return [_declared(facts.source, duplicates=facts.duplicates)]
    return [_GUARDED] if facts.guarded else []


_GUARDED: Final = "A guard refused the link: joining the two would bring contradictions into one person."


def _declared(source: str, *, duplicates: bool) -> str:
    whose = "two of its records" if duplicates else "two golden IDs that both hold records of it"
    return f"The source {source} is declared to hold no duplicates, so no score joins {whose}."


def _despite(facts: Facts) -> list[str]:
    """Return why two records of a source without duplicates are together nevertheless."""
    if facts.source is None or not facts.duplicates:
        return []
    judged = bool(facts.path) and all(math.isinf(weight) for weight in facts.path)
    why = "a steward's word outweighs that" if judged else "the next run parts the two"
    return [f"The source {facts.source} is declared to hold no duplicates; {why}."]


_KEPT: Final = "So near the threshold a run keeps what the run before it decided."

_JUDGED: Final = {
    "same": "A steward judged the two to be one person.",
    "different": "A steward judged the two to be different people; no score overrides that.",
    "apart": "A steward judged records of their two golden IDs to be different people.",
    "unsure": "A steward looked at the two and was unsure.",
}

_NOT_JOINED: Final[dict[Decision, str]] = {
    "link": "The evidence would do for a link, but no run has made it: the two stood in blocks too large to"
    " compare, a guard held them apart, or they changed since the last run.",
    "review": "The evidence is doubtful: such a pair is shown to a steward and never joined by itself.",
    "no link": "The evidence is too weak.",
}


def _joined(path: Sequence[float]) -> list[str]:
    if not path:
        return ["The two have one golden ID; the links between them are no longer stored."]
    if len(path) == 1:
        return ["A link of their own joins the two."]
    weakest = min(path)
    shown = "a steward's word" if math.isinf(weakest) else f"{weakest:.1f} bits"
    return [f"{len(path) - 1} other record(s) join the two; the weakest link between is {shown}."]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What one comparison, on the whole, says against two golden IDs being one person."""

    comparison: str
    mean: float  # bits of a pair of records, one from each
    pairs: int  # that could be compared
    cost: float  # bits, 0 or less


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the guard holds two golden IDs apart: the link and the contradictions add up to 0 or less."""

    link: float  # bits above the threshold
    contradictions: tuple[Contradiction, ...]  # the costliest first


def refusal(between: Sequence[Waterfall], sizes: tuple[int, int], link: float) -> Refusal | None:
    """Return why a guard refuses a link between two golden IDs of these sizes; None if it does not.

    `between` are the waterfalls of all pairs of records, one from each; `link` is the weight of the link
    above the threshold. The rule and its price are those of `identity.contradictions`: two single records
    need no second look, what contradicts is in their weight.
    """
    if sum(sizes) < 3:
        return None
    found = []
    for position, name in enumerate([step.comparison for step in between[0].steps] if between else []):
        steps = [each.steps[position] for each in between]
        bits = [step.weight - step.term_frequency for step in steps if step.level is not None]
        if sum(bits) < 0:
            mean, priced = sum(bits) / len(bits), cost(sum(bits), len(bits), min(sizes))
            found.append(Contradiction(name, round(mean, _DECIMALS), len(bits), round(priced, _DECIMALS)))
    if link + sum(each.cost for each in found) > 0:
        return None
    return Refusal(link, tuple(sorted(found, key=lambda each: (each.cost, each.comparison))))


TITLES: Final = {
    "birth_date": "date of birth", "email": "e-mail address", "phone": "phone number",
    "address": "postal address", "national_id": "national identity number", "user_id": "user account",
    "loyalty_id": "loyalty number", "device_id": "device", "cookie_id": "browser",
    "social_handle": "social media name", "name_suffix": "addition to the name",
}  # fmt: skip


def title(comparison: str) -> str:
    """Return a comparison's name for people."""
    return TITLES.get(comparison, comparison.replace("_", " "))


_WORDS: Final = (
    (20.0, "practically certain"), (10.0, "very likely"), (5.0, "likely"), (-math.inf, "rather likely"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlainLink:
    """Why two records of one person were joined, in words that this person may read."""

    channels: tuple[str, str]
    certainty: str
    speaks_for: tuple[str, ...]
    speaks_against: tuple[str, ...]


def plain_link(channels: tuple[str, str], explained: Waterfall | None, weight: float) -> PlainLink:
    """Return a link between two of a person's own records in plain words: no figures, no numbers.

    Without `explained` (a record that may no longer be linked) only the certainty is told.
    """
    compared = [step for step in explained.steps if step.level is not None] if explained else []
    said = [(step.weight, f"{title(step.comparison)}: {step.level}") for step in compared]
    certainty = (
        "decided by a person" if math.isinf(weight) else next(w for least, w in _WORDS if weight >= least)
    )
    return PlainLink(
        channels=channels,
        certainty=certainty,
        speaks_for=tuple(words for bits, words in sorted(said, reverse=True) if bits > 0),
        speaks_against=tuple(words for bits, words in sorted(said) if bits <= 0),
    )


LOGIC: Final = (
    "Records that reached us through different channels are compared attribute by attribute. Each agreement"
    " makes it more likely that two records are about one person, the more so the rarer it is between"
    " strangers and within a household; each disagreement makes it less likely. Records are joined only"
    " where the odds are clearly in favour, by a statistical model that was fitted to all records together"
    " and holds nobody's data. In doubt they stay apart until a person has looked at them."
)
"""The logic involved, for the person concerned (GDPR Article 15(1)(h))."""
