"""What a record's raw values become before they are compared."""

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from identity.attributes import STANDARD
from identity.comparable import COLUMNS, Comparable
from identity.contact_values import email, phone
from identity.dates import birth_date
from identity.names import split_full_name
from identity.normalise import normalise, normalise_identifier

EMAILS = {
    "case says nothing": ("Ann.Lee@Example.COM", "ann.lee@example.com"),
    "a subaddress reaches the same mailbox": ("ann+news@example.com", "ann@example.com"),
    "a display name is not the address": ('"Ann Lee" <ann@example.com>', "ann@example.com"),
    "zero-width characters are dropped": ("an\u200bn@example.com", "ann@example.com"),
    "an international domain is kept": ("jose@exámple.com", "jose@exámple.com"),
    "two at-signs are no address": ("a@b@c.com", None),
    "a missing domain is no address": ("ann@", None),
    "two dots in a row are no address": ("ann..lee@example.com", None),
}


@pytest.mark.parametrize("case", EMAILS)
def test_emails(case):
    raw, expected = EMAILS[case]
    assert email(raw) == expected


PHONES = {
    "punctuation says nothing": ("(914) 722-3492", "US", "+19147223492"),
    "an international prefix decides": ("+34 612 345 678", "US", "+34612345678"),
    "the trunk zero is dropped": ("+44 (0)20 7946 0958", None, "+442079460958"),
    "an extension tells colleagues apart": ("+1-207-555-0182 x9958", None, "+12075550182x9958"),
    "without a country the digits stay": ("612 34 56 78", None, "612345678"),
    "with a country it is placed": ("612 34 56 78", "ES", "+34612345678"),
    "six digits are no number": ("123456", "ES", None),
    "words are no number": ("ask reception", "ES", None),
}


@pytest.mark.parametrize("case", PHONES)
def test_phones(case):
    raw, region, expected = PHONES[case]
    assert phone(raw, region) == expected


NORTH_AMERICAN = st.from_regex(
    r"(\+?1)?[ .-]?\(?[2-9][0-9]{2}\)?[ .-]?[2-9][0-9]{2}[ .-]?[0-9]{4}", fullmatch=True
)
PENINSULAR = st.from_regex(r"(\+34|\+351|\+33|0034)?([ .-]{0,2}[0-9]){8,10}", fullmatch=True)


@given(NORTH_AMERICAN | PENINSULAR, st.sampled_from(["US", "CA", "ES", "PT", "FR", None]))
def test_the_short_cuts_for_plain_numbers_answer_like_the_library(raw, region):
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        expected = None
    else:
        possible = phonenumbers.is_possible_number(number)
        expected = phonenumbers.format_number(number, 0) if possible else None
    found = phone(raw, region)
    assert found == expected if expected else not (found or "").startswith("+")


@given(st.from_regex(r"[a-z0-9._-]{1,20}@([a-z0-9-]{1,8}\.){1,3}[a-z0-9]{2,6}", fullmatch=True))
def test_the_short_cut_for_plain_addresses_answers_like_the_library(raw):
    try:
        checked = validate_email(raw, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        assert email(raw) is None
    else:
        assert email(raw) == checked.normalized.casefold()


BIRTH_DATES = {
    "ISO": ("1980-02-03", "1980-02-03"),
    "a time of day is ignored": ("1980-02-03T00:00:00Z", "1980-02-03"),
    "year first with slashes": ("1980/2/3", "1980-02-03"),
    "day over twelve": ("23/01/1980", "1980-01-23"),
    "month first, day over twelve": ("01/23/1980", "1980-01-23"),
    "day and month the same": ("05/05/1980", "1980-05-05"),
    "day or month first can't be told": ("03/04/1980", None),
    "English month": ("Feb 3, 1980", "1980-02-03"),
    "Spanish month": ("3 de enero de 1980", "1980-01-03"),
    "two-digit year of the last century": ("19-Feb-91", "1991-02-19"),
    "two-digit year of either century": ("19-Feb-11", None),
    "two-digit year, day over twelve": ("23/01/80", "1980-01-23"),
    "two-digit year first": ("80-01-03", "1980-01-03"),
    "two-digit year, day or month first can't be told": ("03/04/80", None),
    "two-digit year that could be a day": ("23/01/12", None),
    "eight digits": ("19800203", "1980-02-03"),
    "no such day": ("1980-02-30", None),
    "a placeholder is a date": ("1900-01-01", "1900-01-01"),
    "words": ("last summer", None),
}


@pytest.mark.parametrize("case", BIRTH_DATES)
def test_birth_dates(case):
    raw, expected = BIRTH_DATES[case]
    assert birth_date(raw) == expected


FULL_NAMES = {
    "first and last": ("Ann Lee", ("ann", "", "lee", "")),
    "last, first": ("LEE, Ann Marie", ("ann", "marie", "lee", "")),
    "title and suffix are no surname": ("Dr. John Smith Jr.", ("john", "", "smith", "jr")),
    "suffix after a comma": ("John Smith, Jr", ("john", "", "smith", "jr")),
    "two surnames": ("José Luis García López", ("jose", "luis", "garcia lopez", "")),
    "particles begin the surname": ("María de la Cruz", ("maria", "", "cruz", "")),
    "one word": ("Cher", ("cher", "", "", "")),
    "Han names put the family first": ("张秀英", ("xiuying", "", "zhang", "")),
    "Cyrillic": ("ВАСИЛЬЕВ, Александр Павлович", ("aleksandr", "pavlovich", "vasilev", "")),
    "a Hangul name puts the family first": ("김정은", ("jeongeun", "", "gim", "")),
    "a space may part it": ("김 정은", ("jeongeun", "", "gim", "")),
    "a space parts a Han name too": ("山田 太郎", ("tailang", "", "shantian", "")),
    "emoji are no part of a name": ("🌸 Ana García 🙂", ("ana", "", "garcia", "")),
    "nor of a Han name": ("张秀英 ❤️", ("xiuying", "", "zhang", "")),
    "letters in squares are letters": ("🅰🅽🅰 Lee", ("ana", "", "lee", "")),
    "a dot parts a foreign name in Han": ("贝拉克·奥巴马", ("beilake", "", "aobama", "")),
    "a surname in capitals may stand first": ("MACRON Emmanuel", ("emmanuel", "", "macron", "")),
    "capitals throughout say nothing": ("EMMANUEL MACRON", ("emmanuel", "", "macron", "")),
    "a devotion belongs to María": (
        "María del Carmen López García",
        ("maria carmen", "", "lopez garcia", ""),
    ),
    "and stands behind the comma with her": ("López, María del Mar", ("maria mar", "", "lopez", "")),
    "three words in Spain are one name and two surnames": ("Ana García Polo", ("ana", "", "garcia polo", "")),
    "three words elsewhere have a middle name": ("Ann Marie Lee", ("ann", "marie", "lee", "")),
    "two surnames, the second with a particle": ("Juan García de la Cruz", ("juan", "", "garcia cruz", "")),
    "a nickname in brackets is an aside": ("Robert (Bob) Smith", ("robert", "", "smith", "")),
    "a nickname in quotation marks too": ('Robert "Bob" Smith', ("robert", "", "smith", "")),
    "a surname of birth": ("Jane Smith née Jones", ("jane", "", "smith jones", "")),
    "Mac joins its word": ("Angus Mac Donald", ("angus", "", "macdonald", "")),
    "honours": ("sir robert hobart, 1st baronet", ("robert", "", "hobart", "")),
}


@pytest.mark.parametrize("case", FULL_NAMES)
def test_full_names(case):
    raw, expected = FULL_NAMES[case]
    name = split_full_name(raw)
    assert (name.first, name.middle, name.last, name.suffix) == expected


def columns(**attributes):
    region = attributes.pop("region_", None)
    raw = {name: value if isinstance(value, list) else [value] for name, value in attributes.items()}
    return dict(normalise(raw, default_region=region).columns)


def test_first_and_last_name_give_the_full_name_and_the_other_way_round():
    assert columns(first_name="Ann", last_name="Lee")["full_name"] == "ann lee"
    found = columns(full_name="Lee, Ann")
    assert (found["full_name"], found["first_name"], found["last_name"]) == ("ann lee", "ann", "lee")


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [("张秀英", "秀英", "张"), ("山田 太郎", "太郎", "山田"), ("김정은", "정은", "김")],
)
def test_a_name_in_one_field_is_the_name_in_two_in_han_and_hangul(full, first, last):
    assert columns(full_name=full) == columns(first_name=first, last_name=last)


def test_a_name_of_emoji_alone_is_none():
    assert columns(full_name="🙂", city="🏠") == {}


def test_an_identifier_keeps_what_tells_it_from_another():
    assert columns(loyalty_id="🌸1") != columns(loyalty_id="❤1")


def test_a_title_in_place_of_a_first_name_is_replaced_from_the_full_name():
    found = columns(full_name="sir robert hobart, 1st baronet", first_name="sir", last_name="baronet")
    assert (found["first_name"], found["last_name"]) == ("robert", "hobart")


def test_an_address_on_one_line_fills_the_parts():
    found = columns(full_address="7548 Center Street, San Diego, CA 92101")
    assert found["house_number"] == "7548"
    assert found["street"] == "center st"
    assert (found["city"], found["region"], found["postcode"]) == ("san diego", "ca", "92101")
    spanish = columns(full_address="Calle Mayor 5, 28001 Madrid")
    assert (spanish["street"], spanish["house_number"]) == ("c mayor", "5")
    assert (spanish["postcode"], spanish["city"]) == ("28001", "madrid")


UNITS = {
    "a flat before the number": "Flat 3, 12 High Street, Leeds LS1 4AB",
    "a flat behind the street": "12 High Street Flat 3, Leeds LS1 4AB",
    "a flat between commas": "12 High Street, Flat 3, Leeds LS1 4AB",
    "no flat": "12 High Street, Leeds LS1 4AB",
}


@pytest.mark.parametrize("case", UNITS)
def test_a_flat_is_no_part_of_the_street(case):
    found = columns(full_address=UNITS[case])
    assert (found["street"], found["house_number"]) == ("high st", "12")
    assert (found["city"], found["postcode"]) == ("leeds", "ls14ab")


STREETS = {
    "German, joined": ("Hauptstraße 5", "hauptstr"),
    "German, abbreviated": ("Hauptstr. 5", "hauptstr"),
    "French": ("5 boulevard Voltaire", "blvd voltaire"),
    "French, abbreviated": ("5 bd Voltaire", "blvd voltaire"),
    "Portuguese": ("Rua Augusta 5", "r augusta"),
    "Portuguese, abbreviated": ("R. Augusta, 5", "r augusta"),
    "Spanish, abbreviated": ("C/ Mayor, 5", "c mayor"),
    "Spanish with floor and door": ("Calle Mayor 5, 3º B, 28001 Madrid", "c mayor"),
}


@pytest.mark.parametrize("case", STREETS)
def test_streets_in_one_spelling(case):
    raw, expected = STREETS[case]
    found = columns(full_address=raw)
    assert (found["street"], found["house_number"]) == (expected, "5")


def test_the_records_country_places_its_phone_before_the_default_does():
    found = columns(phone="612345678", country="España", region_="US")
    assert found["phone"] == ("+34612345678",)


def test_several_values_come_out_distinct_and_in_one_order():
    found = columns(email=["b@x.org", "A@x.org", "a@x.org"])
    assert found["email"] == ("a@x.org", "b@x.org")


def test_an_unknown_gender_is_not_compared():
    assert columns(gender="prefer_not_to_say") == {}
    assert columns(gender="Mujer") == {"gender": "f"}


def test_what_cannot_be_read_is_named_and_not_compared():
    found = normalise({"birth_date": ["03/04/1980"], "email": ["x", "a@b.org"], "phone": ["12"]})
    assert found.unreadable == ("birth_date", "email", "phone")
    assert dict(found.columns) == {"email": ("a@b.org",)}


TEXT = st.text(max_size=40)
RAW = st.dictionaries(st.sampled_from(STANDARD), st.lists(TEXT, min_size=1, max_size=3))


@given(RAW)
def test_any_text_survives_the_encoding(raw):
    found = normalise(raw)
    assert Comparable.decode(found.encode()) == found
    for value in found.columns.values():
        for text in (value,) if isinstance(value, str) else value:
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)


@given(RAW)
def test_normalising_does_not_depend_on_the_order_of_attributes(raw):
    assert normalise(raw) == normalise(dict(reversed(raw.items())))


@given(st.sampled_from(["email", "phone", "national_id", "social_handle", "user_id", "device_id"]), TEXT)
def test_a_lookup_normalises_like_ingest(kind, raw):
    found = normalise({kind: [raw]})
    looked_up = normalise_identifier(kind, raw)
    assert found.lookup_values() == ([(kind, looked_up)] if looked_up else [])


def test_a_form_of_version_1_is_still_read():
    written = normalise({"full_name": ["Ann Lee"], "cookie_id": ["c-1"]})
    version_1 = b"1" + written.encode()[1:].rpartition(b"\x1f")[0]
    found = Comparable.decode(version_1)
    assert found.columns == {name: text for name, text in written.columns.items() if name != "given_names"}


def test_a_given_name_names_the_full_names_it_may_stand_for():
    assert columns(first_name="Pepe")["given_names"] == "jose,pepe"
    assert columns(first_name="José")["given_names"] == "jose"
    assert "given_names" not in columns(first_name="Xyzzy")


def test_who_somebody_is_to_a_household_is_no_name():
    for role in ("Daughter", "lady of the house", "Child F", "hijo"):
        assert "first_name" not in columns(first_name=role, last_name="Lee")
    assert columns(first_name="Son", last_name="Nguyen")["first_name"] == "son"


def test_another_version_is_refused():
    with pytest.raises(ValueError, match="version"):
        Comparable.decode(b"0" + b"\x1f" * len(COLUMNS))


def test_nothing_personal_shows_when_printed():
    assert "lee" not in repr(normalise({"full_name": ["Ann Lee"]})).lower()
