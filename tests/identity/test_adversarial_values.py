"""Values made to keep a pattern busy: whoever may send a record may send these."""

import time

import pytest

from identity import addresses, comparisons, countries, dates, names
from identity.attributes import STANDARD
from identity.comparable import COLUMNS, LIST_COLUMNS
from identity.comparison import SEVERAL
from identity.contact_values import email
from identity.engine import open_engine
from identity.normalise import normalise

CACHED = (
    addresses._plain, addresses._postcode, countries.country_code, dates.birth_date, names._bare,
)  # fmt: skip
ADVERSARIAL = {
    "pluses": "+" * 4096, "letters and stops": "a." * 2048, "at-signs": "@" * 4096, "hyphens": "-" * 4096,
    "spaces": "a" + " " * 4094 + "a", "digits": "1" * 4096, "numbers": "1 " * 2048,
    "letters": "a" * 4096, "mixed": "a1+@-. ," * 512, "subaddresses": "a+@" * 1365,
    "an address of one label too many": "a@" + "a." * 2040 + "1",
    "a long local part": "+" * 4084 + "@example.com",
    "commas": "a," * 2048, "titles": "mr " * 1365, "postcodes": "ab 12345 " * 455, "months": "1 jan " * 682,
    "brackets": "<" * 4095 + ">", "slashes": "/" * 4096, "hexadecimal": "0f-" * 1365 + "g",
    "tabs": "\t" * 4096, "marks": "a" + "\u0301\u0323" * 1000, "ligatures": "\ufdfa" * 1365,
    "Han": "\u4e2d" * 1365, "invisible": "\u200b" * 1365,
}  # fmt: skip


@pytest.mark.parametrize("case", ADVERSARIAL)
@pytest.mark.parametrize("attribute", sorted(STANDARD))
def test_no_value_of_4_kib_keeps_normalise_busy(attribute, case):
    raw = {attribute: [ADVERSARIAL[case]]}
    assert fastest(lambda: normalise(raw, default_region="ES")) < 0.05


def test_an_address_of_more_than_320_characters_is_none():
    assert email("a" * 400 + " <ann@example.com>") is None
    assert fastest(lambda: email("+" * 4096 + "@")) < 0.001


LONG = "1234567890" * 400
ALIKE = {"l": LONG + "78", "r": LONG + "87"}


@pytest.mark.parametrize("comparison", comparisons.CATALOGUE, ids=lambda item: item.name)
def test_no_two_values_of_4_kib_keep_a_comparison_busy(comparison):
    """A run makes thousands of pairs of a few hundred records that share a key."""
    lists = LIST_COLUMNS | {several for column, several in SEVERAL.items() if column in LIST_COLUMNS}
    values = ", ".join(
        f"[${side}] AS {name}_{side}" if name in lists else f"${side} AS {name}_{side}"
        for name in (*COLUMNS, *SEVERAL.values())
        for side in ALIKE
    )
    conditions = [level.condition for level in comparison.levels if level.condition != "ELSE"]
    with open_engine(threads=1) as engine:
        started = time.process_time()
        pair = f"SELECT {', '.join(conditions)} FROM (SELECT {values})"  # noqa: S608 - our own conditions
        engine.execute(pair, ALIKE).fetchall()
        assert time.process_time() - started < 0.3


def fastest(work, times=3):
    """Seconds of processor time of the fastest of a few runs: the rest may have waited for the machine."""
    found = []
    for _ in range(times):
        for cached in CACHED:
            cached.cache_clear()
        started = time.thread_time()
        work()
        found.append(time.thread_time() - started)
    return min(found)
