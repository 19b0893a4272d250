"""Which pairs of records are of one household: found and weighed in the engine of a run.

A pair is a candidate if both records hold the same two of: an address, a surname, a contact; where the
model has a household class also a postcode with a surname or a contact. Then the model decides: the weight
is log2 of the odds that the pair is of one household, against one person or strangers. A model without the
class cannot tell; there only two different first names at one address, with a surname or a contact in
common, count. Two different flats are two homes, whatever else agrees; at an address of very many people only
one flat is a home; and a contact of many surnames is an organisation's, not a household's.

What is found here is never evidence that two records are one person.
"""

from typing import Final

from identity.clustering import Pairs
from identity.contacts import FEW_SURNAMES
from identity.engine import Engine
from identity.frequencies import TABLE as FREQUENCIES
from identity.frequencies import count_frequencies
from identity.households import THRESHOLD
from identity.model import Model
from identity.scoring_sql import pair_sums_sql

MOST_NAMES: Final = 20
"""First names under one key. What more people share says nothing about who lives with whom."""

_ADDRESS: Final = "street, house_number, place, door"
_HAS_ADDRESS: Final = (
    "street IS NOT NULL AND house_number IS NOT NULL AND place IS NOT NULL AND door IS NOT NULL"
)

# Each kind of key: the table that has its values, the values, and when they are there.
_KINDS: Final = {
    "address and surname": ("by_surname", f"{_ADDRESS}, surname", _HAS_ADDRESS),
    "address and contact": ("by_contact", f"{_ADDRESS}, contact", _HAS_ADDRESS),
    "surname and contact": ("by_both", "surname, contact", "true"),
    "postcode and contact": ("by_contact", "postcode, contact", "postcode IS NOT NULL"),
    "postcode and surname": ("by_surname", "postcode, surname", "postcode IS NOT NULL"),
}
_WITHOUT_MODEL: Final = ("address and surname", "address and contact")

_KEYS: Final = """
CREATE TEMP TABLE household_keys AS
WITH described AS (
    SELECT
        unique_id, hash(first_name) AS name, left(last_name, 1) AS initial,
        street, house_number, postcode, coalesce(postcode, city) AS place, address_line2 AS flat,
        list_filter(string_split(last_name, ' '), lambda word: length(word) > 1) AS surnames,
        list_concat(coalesce(email, []), coalesce(phone, [])) AS contacts
    FROM records
),
crowded AS (
    SELECT street, house_number, place FROM described
    WHERE street IS NOT NULL AND house_number IS NOT NULL AND place IS NOT NULL
    GROUP BY ALL HAVING count(DISTINCT name) > {most_names}
),
organisations AS (
    SELECT contact FROM (SELECT initial, unnest(contacts) AS contact FROM described)
    GROUP BY contact HAVING count(DISTINCT initial) > {most_surnames}
),
homes AS (
    SELECT described.*, CASE WHEN crowded.street IS NULL THEN '' ELSE flat END AS door
    FROM described LEFT JOIN crowded USING (street, house_number, place)
),
by_surname AS (SELECT *, unnest(surnames) AS surname FROM homes),
by_contact AS (
    SELECT * FROM (SELECT *, unnest(contacts) AS contact FROM homes) ANTI JOIN organisations USING (contact)
),
by_both AS (SELECT *, unnest(surnames) AS surname FROM by_contact)
{kinds}
"""

# One record stands for all of one first name under a key: a household's own records are not compared pair
# by pair, and every record is tied to the one that stands for it.
_PAIRS: Final = """
CREATE TEMP TABLE household_candidates AS
WITH named AS (
    SELECT key, name, unique_id, min(unique_id) OVER (PARTITION BY key, name) AS stands FROM household_keys
),
shared AS (
    SELECT key FROM named GROUP BY key HAVING count(DISTINCT stands) BETWEEN 2 AND ?
),
kept AS (SELECT DISTINCT key, unique_id, stands FROM named SEMI JOIN shared USING (key)),
standing AS (SELECT DISTINCT key, stands FROM kept)
SELECT one.stands AS record_a, other.stands AS record_b
FROM standing AS one JOIN standing AS other USING (key) WHERE one.stands < other.stands
UNION
SELECT stands, unique_id FROM kept WHERE stands < unique_id
"""

_SAME_FLAT: Final = """
coalesce(regexp_replace(l.address_line2, '[^a-z0-9]', '', 'g')
    = regexp_replace(r.address_line2, '[^a-z0-9]', '', 'g'), true)
"""

_BY_RULE: Final = f"""
SELECT record_a, record_b,
    CASE WHEN jaro_winkler_similarity(l.first_name, r.first_name) < 0.8 THEN CAST(? AS DOUBLE) ELSE 0.0 END
        AS weight
FROM household_candidates
JOIN records AS l ON l.unique_id = record_a
JOIN records AS r ON r.unique_id = record_b
WHERE {_SAME_FLAT}
ORDER BY record_a, record_b
"""  # noqa: S608 - constants of this file


_RECORDS: Final = f"""
CREATE TEMP TABLE household_records AS
SELECT records.*, {FREQUENCIES}.* EXCLUDE (unique_id) FROM records JOIN {FREQUENCIES} USING (unique_id)
SEMI JOIN (
    SELECT record_a AS unique_id FROM household_candidates
    UNION SELECT record_b FROM household_candidates) USING (unique_id)
"""  # noqa: S608 - tables of ours


def household_pairs(engine: Engine, model: Model) -> Pairs:
    """Return pairs of the table `records` that may be of one household, weighed in bits.

    Those at THRESHOLD or above say that two people live together. The others are more likely one person
    than strangers, and name no two places: they say which records of a person are of the same home.
    """
    has_class = model.household_prior is not None
    kinds = [
        f"SELECT unique_id, name, hash({number}, {values}) AS key FROM {table} WHERE {present}"  # noqa: S608 - constants of this file
        for number, (kind, (table, values, present)) in enumerate(_KINDS.items())
        if has_class or kind in _WITHOUT_MODEL
    ]
    limits = {"most_names": MOST_NAMES, "most_surnames": FEW_SURNAMES}
    engine.execute(_KEYS.format(kinds=" UNION ALL ".join(kinds), **limits))
    engine.execute(_PAIRS, [MOST_NAMES])
    try:
        if has_class:
            count_frequencies(engine, model)
            engine.execute(_RECORDS)
            found = engine.execute(_by_model(model), [THRESHOLD]).fetchnumpy()
        else:
            found = engine.execute(_BY_RULE, [THRESHOLD]).fetchnumpy()
    finally:
        for table in ("household_keys", "household_candidates", "household_records", FREQUENCIES):
            engine.execute(f"DROP TABLE IF EXISTS {table}")
    return Pairs(found["record_a"], found["record_b"], found["weight"])


def _by_model(model: Model) -> str:
    """Return the query of the pairs that the model calls a household's, or one person's.

    With `unrelated` = log2 P(same) / P(unrelated) and `household` = log2 P(same) / P(household), the odds
    P(household) / (P(same) + P(unrelated)) are 1 / (2 ** household + 2 ** (household - unrelated)).
    """
    pairs = f"""
household_candidates
JOIN household_records AS l ON l.unique_id = record_a
JOIN household_records AS r ON r.unique_id = record_b AND {_SAME_FLAT}"""
    key = "record_a, record_b, coalesce(l.postcode = r.postcode, true) AS same_place"
    return f"""
SELECT record_a, record_b, weight FROM (
    SELECT record_a, record_b, same_place, unrelated,
        round(-household - greatest(0, -unrelated) - log2(1 + pow(2.0, -abs(unrelated))), 6) AS weight
    FROM ({pair_sums_sql(model, pairs, key)}))
WHERE weight >= ? OR (unrelated >= 0 AND same_place)
ORDER BY record_a, record_b
"""  # noqa: S608 - columns of ours and numbers of the model
