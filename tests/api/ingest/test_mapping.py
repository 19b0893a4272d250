"""The mapping file of the contract, key by key, and every way to get it wrong."""

from pathlib import Path
from typing import Any

import pytest

from api.ingest.errors import IngestInputError, InputFileError, MappingError
from api.ingest.mapping import FileMapping, fit, load_mapping, parse_mapping
from api.ingest.rows import RowMapper
from consent.errors import RecordRejectedError
from consent.incoming import IncomingConsent, IncomingRecord

PURPOSES = ("identity_linking", "personalization")
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z

CONTRACT = """
channel = "crm"
source_id = "customer_no"
observed_at = "updated"
timezone = "Europe/Madrid"
verified = ["user_id"]
[attributes]
first_name = "given"
email = ["email", "email_2"]
birth_date = {column = "dob", format = "%d/%m/%Y"}
[traits]
favourite_store = "fav_store"
[consent]
notice = "web-2026-01"
identity_linking = "granted"
personalization = {column = "opt_in", granted = ["Y", "1", "true"]}
"""

ROW = {
    "customer_no": "7", "updated": "2025-07-01T12:00:00", "given": "Ana", "email": "a@example.com",
    "email_2": "b@example.com", "dob": "21/02/1990", "user_id": "ana", "fav_store": "Gran Vía",
    "opt_in": "Y", "loyalty_id": "L-1", "secret_note": "never read",
}  # fmt: skip


def contract_mapping(tmp_path: Path) -> FileMapping:
    path = tmp_path / "map.toml"
    path.write_text(CONTRACT, encoding="utf-8")
    return fit(load_mapping(path, purposes=PURPOSES), frozenset(ROW), channel=None)


def read(mapping: FileMapping, row: dict[str, Any], grants: tuple[str, ...] = ()) -> IncomingRecord:
    return RowMapper(mapping, grants).record(row, NOW)


def test_the_contracts_example_reads_as_it_says(tmp_path: Path) -> None:
    record = read(contract_mapping(tmp_path), ROW)
    assert record == IncomingRecord(
        channel="crm",
        source_id="7",
        observed_at=1_751_364_000_000,  # 10:00 UTC: Madrid is two hours ahead in July
        attributes={
            "first_name": ["Ana"],
            "email": ["a@example.com", "b@example.com"],
            "birth_date": ["1990-02-21"],
            "user_id": ["ana"],
        },
        traits={"favourite_store": "Gran Vía"},
        verified=("user_id",),
        consents=(
            IncomingConsent("identity_linking", "granted", "web-2026-01"),
            IncomingConsent("personalization", "granted", "web-2026-01"),
        ),
    )


def test_a_verified_identifier_has_the_column_that_is_said_else_the_one_of_its_name_if_there_is_one() -> None:
    said = parse_mapping(
        {"channel": "crm", "verified": ["user_id"], "attributes": {"user_id": "login"}}, purposes=PURPOSES
    )
    row = {"source_id": "7", "login": "ana", "user_id": "no login"}
    assert read(fit(said, frozenset(row), channel=None), row).attributes == {"user_id": ["ana"]}

    unsaid = parse_mapping({"channel": "crm", "verified": ["user_id", "email"]}, purposes=PURPOSES)
    row = {"source_id": "7", "email": "a@example.com", "phone": "never read"}
    record = read(fit(unsaid, frozenset(row), channel=None), row)
    assert (record.attributes, record.verified) == ({"email": ["a@example.com"]}, ("email",))


def test_a_date_that_does_not_read_by_its_format_is_kept_as_it_came(tmp_path: Path) -> None:
    record = read(contract_mapping(tmp_path), ROW | {"dob": "31/02/1990"})
    assert record.attributes["birth_date"] == ["31/02/1990"]


@pytest.mark.parametrize(
    ("cell", "value", "unread"),
    [
        ("21/02/1990", "1990-02-21", ()),
        ("1990-02-21", "1990-02-21", ()),
        ("1990-02-31", "1990-02-31", ("birth_date",)),
        ("02/21/1990", "02/21/1990", ("birth_date",)),
        ("21 Feb 1990", "21 Feb 1990", ("birth_date",)),
    ],
)
def test_a_stated_format_is_binding(tmp_path: Path, cell: str, value: str, unread: tuple[str, ...]) -> None:
    record = read(contract_mapping(tmp_path), ROW | {"dob": cell})
    assert (record.attributes["birth_date"], record.unread) == ([value], unread)


def test_where_silence_permits_another_value_is_an_objection() -> None:
    mapping = parse_mapping(
        {"channel": "web", "consent": {"personalization": {"column": "c", "granted": ["Y"]}}},
        purposes=PURPOSES,
        opt_out={"personalization"},
    )
    fitted = fit(mapping, {"source_id", "c"}, channel=None)
    assert read(fitted, {"source_id": "1", "c": "N"}).consents == (
        IncomingConsent("personalization", "objected"),
    )
    assert read(fitted, {"source_id": "1", "c": ""}).consents == ()


def test_an_identifier_the_row_lacks_is_not_verified(tmp_path: Path) -> None:
    assert read(contract_mapping(tmp_path), ROW | {"user_id": ""}).verified == ()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("true", IncomingConsent("personalization", "granted", "web-2026-01")),
        ("", None),
        ("N", IncomingConsent("personalization", "withdrawn", "web-2026-01", only_after_grant=True)),
    ],
    ids=["a listed value grants", "an empty cell says nothing", "another value ends an earlier grant"],
)
def test_a_consent_column_means_what_its_values_are_listed_for(
    tmp_path: Path, cell: str, said: IncomingConsent | None
) -> None:
    consents = read(contract_mapping(tmp_path), ROW | {"opt_in": cell}).consents
    assert [each for each in consents if each.purpose == "personalization"] == ([said] if said else [])


def test_a_column_may_list_refusals_too() -> None:
    mapping = parse_mapping(
        {"channel": "web", "consent": {"personalization": {"column": "c", "granted": [1], "refused": [0]}}},
        purposes=PURPOSES,
    )
    fitted = fit(mapping, {"source_id", "c"}, channel=None)
    assert read(fitted, {"source_id": "1", "c": 0}).consents[0].state == "refused"
    assert read(fitted, {"source_id": "1", "c": "maybe"}).consents == ()


def test_a_grant_for_the_file_yields_to_what_the_row_itself_says(tmp_path: Path) -> None:
    record = read(contract_mapping(tmp_path), ROW | {"opt_in": "N"}, grants=("personalization",))
    assert [(each.purpose, each.state) for each in record.consents] == [
        ("identity_linking", "granted"),
        ("personalization", "withdrawn"),
    ]


def test_a_grant_for_the_file_reaches_every_record_that_says_nothing() -> None:
    mapping = fit(None, {"source_id"}, channel="web")
    record = read(mapping, {"source_id": "1"}, grants=("identity_linking",))
    assert record.consents == (IncomingConsent("identity_linking", "granted"),)


def test_without_a_mapping_unknown_columns_become_traits() -> None:
    columns = {"channel", "source_id", "observed_at", "email", "shoe_size"}
    row = {"channel": "web", "source_id": "1", "observed_at": "2025-01-01T00:00:00Z", "email": "a@b.es"}
    record = read(fit(None, columns, channel=None), row | {"shoe_size": 42})
    assert record.attributes == {"email": ["a@b.es"]}
    assert record.traits == {"shoe_size": "42"}


def test_with_a_mapping_columns_it_does_not_name_are_never_read(tmp_path: Path) -> None:
    assert "never read" not in repr(read(contract_mapping(tmp_path), ROW).content())


def test_a_list_is_several_values_of_an_attribute() -> None:
    mapping = fit(None, {"source_id", "phone"}, channel="web")
    record = read(mapping, {"source_id": "1", "phone": ["600100200", None, " ", "600100201"]})
    assert record.attributes == {"phone": ["600100200", "600100201"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.0, "12"), (1.5, "1.5"), (float("nan"), None), (True, "true"), (b"\xc3\xb1", "ñ"), (28013, "28013")],
)
def test_numbers_and_truth_values_read_as_people_write_them(value: object, text: str | None) -> None:
    mapping = fit(None, {"source_id", "postcode"}, channel="web")
    record = read(mapping, {"source_id": "1", "postcode": value})
    assert record.attributes == ({"postcode": [text]} if text else {})


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"customer_no": " "}, "customer_no", "is missing"),
        ({"updated": "yesterday"}, "updated", "is not an RFC 3339 time"),
        ({"updated": "2026-01-01T01:06:00"}, "updated", "is more than 5 minutes in the future"),
        ({"email_2": "x" * 4097}, "email_2", "holds a value over 4 KiB"),
        ({"email_2": "ñ" * 2049}, "email_2", "holds a value over 4 KiB"),
        ({"fav_store": "caf\udce9"}, "fav_store", "holds bytes that are no text"),
        ({"given": "a\0b"}, "given", "holds bytes that are no text"),
        ({"given": {"a": 1}}, "given", "is neither a text nor a list of texts"),
    ],
)
def test_a_bad_row_is_rejected_with_the_files_own_column(
    tmp_path: Path, change: dict[str, Any], column: str, reason: str
) -> None:
    with pytest.raises(RecordRejectedError) as caught:
        read(contract_mapping(tmp_path), ROW | change)
    assert (caught.value.column, caught.value.reason) == (column, reason)


@pytest.mark.parametrize("channel", ["", "dos palabras", "x" * 65, "caña"])
def test_a_channel_that_does_not_match_the_pattern_rejects_the_row(channel: str) -> None:
    mapping = fit(None, {"source_id", "channel"}, channel=None)
    with pytest.raises(RecordRejectedError, match=r"^channel: "):
        read(mapping, {"source_id": "1", "channel": channel})


@pytest.mark.parametrize(
    "clock",
    ["2026-01-01T00:04:59Z", "2026-01-01T00:00:00", "2025-12-31", "2025-12-31 23:59:59.5+02:00"],
)
def test_a_time_up_to_five_minutes_ahead_is_accepted(clock: str) -> None:
    mapping = fit(None, {"source_id", "observed_at"}, channel="web")
    assert read(mapping, {"source_id": "1", "observed_at": clock}).observed_at is not None


def test_a_time_in_small_letters_is_as_good_as_any() -> None:
    mapping = fit(None, {"source_id", "observed_at"}, channel="web")
    times = ("2025-07-01T10:00:00.5Z", "2025-07-01t10:00:00.5z", "2025-07-01t12:00:00.5+02:00")
    observed = {read(mapping, {"source_id": "1", "observed_at": time}).observed_at for time in times}
    assert observed == {1_751_364_000_500}


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"chanel": "crm"}, "unknown key chanel"),
    "an unknown attribute": (
        {"attributes": {"surname": "s"}},
        "attributes.surname: is no standard attribute",
    ),
    "an attribute among the traits": ({"traits": {"email": "e"}}, "traits.email: is a standard attribute"),
    "an unknown purpose": ({"consent": {"profiling": "granted"}}, "the policy has no such purpose"),
    "an unknown state": ({"consent": {"personalization": "yes"}}, "state one of granted"),
    "an unknown key of a column": (
        {"attributes": {"birth_date": {"column": "d", "fromat": "%Y"}}},
        "unknown key attributes.birth_date.fromat",
    ),
    "a format without a year": (
        {"attributes": {"birth_date": {"column": "d", "format": "%d/%m"}}},
        "must write day, month and year",
    ),
    "a format for a name": (
        {"attributes": {"first_name": {"column": "d", "format": "%d/%m/%Y"}}},
        "only birth_date has a format",
    ),
    "a notice that is a sentence": (
        {"consent": {"notice": "shown to Ana Gómez"}},
        "consent.notice: is not 1 to 64 letters",
    ),
    "an unknown time zone": ({"timezone": "Europe/Toledo"}, "timezone: is no zone"),
    "a time zone that is a path": ({"timezone": "../etc"}, "timezone: is no zone"),
    "a bad channel": ({"channel": "two words"}, "channel: use 1 to 64"),
    "a verified name": ({"verified": ["first_name"]}, "first_name is no identifier"),
    "a value for two states": (
        {"consent": {"personalization": {"column": "c", "granted": ["1"], "refused": ["1"]}}},
        "one value is listed for two states",
    ),
    "a consent column without values": (
        {"consent": {"personalization": {"column": "c"}}},
        "list the values that mean granted",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_mapping_is_named(mistake: str) -> None:
    content, message = MISTAKES[mistake]
    with pytest.raises(MappingError, match=message):
        parse_mapping(content, purposes=PURPOSES)


UNFIT: dict[str, tuple[dict[str, Any] | None, set[str], str | None, str]] = {
    "a column the file lacks": (
        {"channel": "crm", "attributes": {"email": ["email", "mail"]}},
        {"source_id", "email"}, None, "'mail'",
    ),
    "no channel anywhere": (None, {"source_id"}, None, "--channel"),
    "the channel stated twice": (None, {"source_id", "channel"}, "web", "leave out --channel"),
    "the channel stated twice, by the mapping": ({"channel": "crm"}, {"source_id"}, "web", "leave out"),
    "no source_id": (None, {"channel", "id"}, None, "no column source_id"),
    "a bad --channel": (None, {"source_id"}, "two words", "1 to 64"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_a_mapping_that_does_not_fit_the_file_is_refused_before_anything_is_read(case: str) -> None:
    content, columns, channel, message = UNFIT[case]
    mapping = None if content is None else parse_mapping(content, purposes=PURPOSES)
    with pytest.raises(IngestInputError, match=message):
        fit(mapping, columns, channel=channel)


def test_an_unreadable_mapping_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("channel = ", encoding="utf-8")
    with pytest.raises(MappingError, match=r"map\.toml: cannot be read as TOML"):
        load_mapping(path, purposes=PURPOSES)
    with pytest.raises(InputFileError, match="no such file"):
        load_mapping(tmp_path / "none.toml", purposes=PURPOSES)
