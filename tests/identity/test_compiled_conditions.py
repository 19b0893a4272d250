"""The online path's conditions are the batch's: every level of every comparison, on any two records.

DuckDB evaluates the same model's SQL over the same pairs (`identity.scoring_sql`, which the batch runs).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import comparisons
from identity.comparable import COLUMNS, LIST_COLUMNS, VALUE_COLUMNS, Comparable
from identity.compiled_conditions import compiled
from identity.engine import Engine, open_engine
from identity.matching import OnlineScorer
from identity.model import FittedComparison, FittedLevel, Model
from identity.scoring_sql import levels_sql, pair_terms_sql
from tests.examples import examples

M, U, H = 0.4, 0.05, 0.2
PAIRS = 150  # of one record: of so many some have each level, however rare it is


def fitted(item: comparisons.Comparison, number: int) -> FittedComparison:
    """A comparison with parameters that tell its levels apart."""
    levels = tuple(
        FittedLevel(
            level.label, level.condition, level.frequency,
            m=M / (at + 1), u=U * (at + 1) / (number + 2), h=H / (at + 2),
        )
        for at, level in enumerate(item.levels)
    )  # fmt: skip
    return FittedComparison(item.name, item.kind, item.missing, levels)


def model(*, households: bool) -> Model:
    told = "coalesce(postcode_l = postcode_r, false)"  # as `comparisons.choose` adds to what another tells
    catalogue = [
        replace(each, missing=f"{each.missing} OR {told}") if each.name == "gender" else each
        for each in comparisons.CATALOGUE
    ]
    items = tuple(fitted(item, number) for number, item in enumerate(catalogue))
    plain = Model(items, (), -14.0, -3.0 if households else None, 0.5, -3.0, {}, 1000, 1)
    return replace(plain, rare_frequencies=dict.fromkeys(plain.frequency_columns(), 0.0012))


# Names that meet, hold each other, differ by a letter, an accent or their order.
NAMES = (
    "ana", "ann", "anna", "maria", "mario", "maria jose", "jose maria", "j", "a", "perez garcia",
    "garcia perez", "garcia", "perez", "perez lopez", "smith", "smyth", "smithson", "müller", "mueller",
    "villanueva", "villaneuva", "villa nueva", "jönsson", "jonsson", "aguilera", "aguilero", "anastasia",
)  # fmt: skip
SURNAMES = (  # and those of which two share a word, which is the rarest that two can have in common
    *NAMES, *("perez lopez", "lopez ruiz", "ruiz garcia", "perez garcia", "garcia perez") * 3,
)  # fmt: skip
DATES = ("1980-03-04", "1980-04-03", "1981-03-04", "1981-04-03", "1980-03-05", "1980-12-30", "1990-11-25")
ADDRESSES = (
    "ana.ruiz63@example.com", "ana.ruiz73@example.com", "anaruiz@example.com", "anaruiz@example.org", "a@b.c",
    "maria.perez@example.com", "maria.perex@example.com", "zorro1968x@example.com", "zorro1969x@example.com",
    "josé@example.com", "jose@example.com", "maria.perz@example.com",
)  # fmt: skip
PHONES = ("+34600111222", "+34600111223", "+44600111222", "+34911000111", "600111222", "+1", "+34600112222")
CODES = ("28001", "28002", "28010", "82001", "a", "AB1 2CD", "AB1 2CE")
ITEMS = {
    **dict.fromkeys(("full_name", "first_name", "middle_name", "city", "street"), NAMES),
    "last_name": SURNAMES,
    "name_suffix": ("jr", "sr", "iii"),
    "birth_date": DATES,
    "gender": ("f", "m"),
    "national_id": ("12345678z", "12345679z", "12354678z", "x1234567l", "1", "12345697z"),
    "email": ADDRESSES,
    "phone": PHONES,
    "given_names": ("anne,ann,anna", "robert,bob", "jose", "anne"),
}


def mistyped(chance: Random, address: str) -> str:
    """The address with another digit or letter at some place, a digit where it has one as often as not."""
    digits = [at for at, letter in enumerate(address) if letter.isdigit()]
    at = chance.choice(digits) if digits and chance.random() < 0.5 else chance.randrange(len(address))
    other = str((int(address[at]) + 1) % 10) if address[at].isdigit() else "x"
    return address[:at] + other + address[at + 1 :]


def a_record(chance: Random, like: Comparable | None = None) -> Comparable:
    """A record; one `like` another has about half of its values from that one."""
    columns: dict[str, str | tuple[str, ...]] = {}
    for name in COLUMNS:
        if like is not None and name in like.columns and chance.random() < 0.5:
            columns[name] = like.columns[name]
        elif chance.random() < 0.7:
            some = chance.sample(ITEMS.get(name, CODES), chance.choice((1, 1, 2)))
            if name == "first_name" and like is not None and chance.random() < 0.2:
                some = [like.text("last_name") or some[0]]  # swapped, where the last name is swapped too
            columns[name] = tuple(some) if name in LIST_COLUMNS else some[0]
    if like is not None and like.values("email") and chance.random() < 0.1:
        columns["email"] = (mistyped(chance, like.values("email")[0]),)
    if like is not None and like.text("first_name") and columns.get("first_name") == like.text("last_name"):
        columns["last_name"] = like.text("first_name")
    return Comparable(columns)


class Shares:
    """Says of each value, by itself, that it is rare, common, several people's or nobody's own."""

    salt = 0

    def __call__(self, column: str, value: str) -> float | None:
        return Random(f"{self.salt}{column}{value}").choice((None, None, None, 0.03))  # noqa: S311 - no secret


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine(threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def scorers() -> dict[bool, OnlineScorer]:
    """Compiled once: that takes as long as an example does."""
    return {households: OnlineScorer(model(households=households), SHARES) for households in (True, False)}


SHARES = Shares()
SEEN: Counter[tuple[str, int]] = Counter()


@settings(max_examples=examples(105), derandomize=True)  # the same each time, or some would miss a level
@given(seed=st.integers(0, 2**32), households=st.booleans())
def test_weights_and_levels_are_those_of_the_batchs_sql(
    engine: Engine, scorers: dict[bool, OnlineScorer], seed: int, households: bool
) -> None:
    chance, SHARES.salt = Random(seed), seed  # noqa: S311 - no secret
    one = a_record(chance)
    others = [a_record(chance, one if at % 4 else None) for at in range(PAIRS)]
    scorer, fitted_model = scorers[households], scorers[households].model
    compared = [*others, one]  # itself as well: the strongest levels
    engine.register("newcomer", scorer.table([one]))
    engine.register("candidates", scorer.table(compared))
    weighed = engine.execute(pair_terms_sql(fitted_model, "newcomer", "candidates")).fetchall()
    levels = engine.execute(
        levels_sql(fitted_model, "newcomer AS l, candidates AS r", "r.position") + " ORDER BY position"
    ).fetchnumpy()
    found = scorer.score(one, compared)
    assert found == pytest.approx([weight for weight, *_ in weighed], abs=1e-6)
    remembering = scorer.remembering()  # each value and record is worked out once, and nothing else changes
    assert remembering.score(one, compared) == remembering.score(one, compared) == found
    by_sql = list(
        zip(*(levels[f"level_{item.name}"].tolist() for item in fitted_model.comparisons), strict=True)
    )
    held = [values(scorer, record) for record in (one, *compared)]
    assert [scorer._levels(held[0], other) for other in held[1:]] == by_sql
    for row in by_sql:
        SEEN.update(zip((item.name for item in fitted_model.comparisons), row, strict=True))


def values(scorer: OnlineScorer, record: Comparable) -> tuple[object, ...]:
    return scorer._prepared(record)


def test_every_level_was_met() -> None:
    """After the property above: what it never reached it has not shown."""
    wanted = {(item.name, at) for item in comparisons.CATALOGUE for at in range(-1, len(item.levels))}
    assert SEEN
    assert not {each for each in wanted if not SEEN[each]}


@pytest.mark.parametrize(
    "condition",
    [
        "sqrt(length(city_l)) > 2", "__import__('os') = 'x'", "city_l IS TRUE", "salary_l = salary_r",
        "coalesce(city_l = city_r, true)", "regexp_replace(city_l, 'a', 'b') = city_r",
    ],
)  # fmt: skip
def test_what_is_unknown_here_is_refused_when_the_model_is_loaded(condition: str) -> None:
    level = FittedLevel("odd", condition, None, 0.5, 0.5, 0.5)
    item = FittedComparison("city", "person", "city_l IS NULL", (level, replace(level, condition="ELSE")))
    with pytest.raises(ValueError, match="condition"):
        compiled([item])


def test_a_text_in_a_condition_stays_a_text() -> None:
    """A model comes from the store: nothing in it may run."""
    level = FittedLevel("odd", """city_l = '") or exit() or ("'""", None, 0.5, 0.5, 0.5)
    item = FittedComparison("city", "person", "city_l IS NULL", (level, replace(level, condition="ELSE")))
    record = tuple("madrid" if name == "city" else None for name in VALUE_COLUMNS)
    assert compiled([item])(record, record) == (1,)


def test_lists_of_columns_agree() -> None:
    assert set(VALUE_COLUMNS) >= LIST_COLUMNS
