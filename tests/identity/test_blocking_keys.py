"""By which values the online path finds candidates."""

from hypothesis import given
from hypothesis import strategies as st

from identity.blocking_keys import KINDS, MOST_KEYS, blocking_keys
from identity.normalise import normalise

PERSON = {
    "first_name": ["Ann"], "last_name": ["Lee"], "birth_date": ["1980-02-03"], "postcode": ["28001"],
    "street": ["Calle Mayor"], "house_number": ["5"], "city": ["Madrid"],
}  # fmt: skip


def keys(**changes):
    return set(blocking_keys(normalise({**PERSON, **{name: [value] for name, value in changes.items()}})))


def test_a_record_has_at_most_six_keys_of_known_kinds():
    assert len(keys()) == MOST_KEYS
    assert {kind for kind, _ in keys()} <= set(KINDS)


def test_two_spellings_of_a_person_share_a_key_although_one_value_is_wrong():
    for changed in (
        {"last_name": "Leigh"},
        {"first_name": "Anna"},
        {"birth_date": "1980-02-04"},
        {"street": "x"},
    ):
        assert keys() & keys(**changed), changed


def test_a_record_without_names_has_no_keys():
    assert blocking_keys(normalise({"email": ["a@b.org"], "birth_date": ["1980-02-03"]})) == []


@given(st.dictionaries(st.sampled_from(sorted(PERSON)), st.lists(st.text(max_size=20), min_size=1)))
def test_keys_are_the_same_for_the_same_record_and_never_empty(raw):
    found = blocking_keys(normalise(raw))
    assert found == blocking_keys(normalise(raw))
    assert all(kind in KINDS and value.strip() for kind, value in found)
    assert len(found) <= MOST_KEYS
