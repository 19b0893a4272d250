"""The fictional customers: repeatable, fully labelled, and as messy as promised."""

import csv
import json
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.demo import names
from api.demo.channels import CHANNELS, COLUMNS
from api.demo.generator import EXPORTS, generate, main, write_channels, write_one
from api.demo.people import Person, Population
from api.ingest.chunks import Malformed
from api.ingest.mapping import fit, load_mapping
from api.ingest.reading import open_reader
from api.ingest.rows import RowMapper
from consent.purposes import Purposes
from identity.attributes import is_standard

MAPPINGS = Path(__file__).resolve().parents[3] / "api" / "demo" / "mappings"
NOW = 1_780_000_000_000  # 2026, after every observed_at
PURPOSES = [purpose.name for purpose in Purposes.load()]
AT = {name: index for index, name in enumerate(COLUMNS)}


@pytest.fixture(scope="module")
def households() -> list[list[Person]]:
    source = Population(1).households()
    return [next(source) for _ in range(4_000)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("customers")
    write_channels(folder, customers=600)
    return folder


@pytest.fixture(scope="module")
def rows() -> list[tuple[tuple[str, ...], int]]:
    return [labelled for chunk in generate(customers=6_000, seed=3) for labelled in chunk]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_channels(tmp_path / folder, customers=500, seed=seed)
    for channel in (*CHANNELS, "truth"):
        same = (tmp_path / "a" / f"{channel}.csv").read_bytes()
        assert same == (tmp_path / "b" / f"{channel}.csv").read_bytes()
        assert same != (tmp_path / "c" / f"{channel}.csv").read_bytes()


def test_every_record_has_one_line_of_truth_and_a_key_of_its_own(tmp_path: Path) -> None:
    done = write_channels(tmp_path, customers=1_000)
    with (tmp_path / "truth.csv").open(encoding="utf-8") as file:
        truth = [(line["channel"], line["source_id"]) for line in csv.DictReader(file)]
    keys = []
    for channel, columns in EXPORTS.items():
        source_id = next(theirs for theirs, ours in columns if ours == "source_id")
        with (tmp_path / f"{channel}.csv").open(encoding="utf-8") as file:
            keys += [(channel, line[source_id]) for line in csv.DictReader(file)]
    assert done.people == 1_000
    assert len(keys) == done.records == len(set(keys))
    assert sorted(keys) == sorted(truth)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_one_file_holds_exactly_the_records_asked_for(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"all{suffix}"
    assert write_one(out, records=1_234).records == 1_234
    truth = tmp_path / f"all.truth{suffix}"
    if suffix == ".parquet":
        assert pq.read_table(out).num_rows == pq.read_table(truth).num_rows == 1_234
    else:
        header = suffix == ".csv"
        assert (
            len(out.read_text().splitlines()) - header
            == len(truth.read_text().splitlines()) - header
            == 1_234
        )


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--records", "300", "--out", str(tmp_path / "r.parquet")]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 300


def test_20_000_customers_make_between_45_and_60_thousand_records() -> None:
    per_customer = sum(len(chunk) for chunk in generate(customers=2_000)) / 2_000
    assert 45_000 <= per_customer * 20_000 <= 60_000


@pytest.mark.parametrize("channel", [*CHANNELS, "all"])
def test_a_mapping_names_columns_that_exist_and_attributes_of_the_contract(channel: str) -> None:
    mapping = tomllib.loads((MAPPINGS / f"{channel}.toml").read_text(encoding="utf-8"))
    exported = EXPORTS.get(channel, tuple((name, name) for name in COLUMNS))
    theirs = dict(exported)
    for attribute, column in mapping["attributes"].items():
        assert is_standard(attribute)
        for name in (
            column if isinstance(column, list) else [column["column"] if isinstance(column, dict) else column]
        ):
            assert theirs[name].removesuffix("_2") == attribute
    for purpose, column in mapping["consent"].items():
        if purpose != "notice":
            assert theirs[column["column"]] == purpose
    assert theirs[mapping["source_id"]] == "source_id"
    assert theirs[mapping["observed_at"]] == "observed_at"


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_row_of_a_channel_reads_through_its_mapping(channel: str, exported: Path) -> None:
    reader = open_reader(exported / f"{channel}.csv")
    mapping = load_mapping(MAPPINGS / f"{channel}.toml", purposes=PURPOSES)
    mapper = RowMapper(fit(mapping, reader.columns, channel=None))
    granted = read = 0
    for chunk, _ in reader.chunks(1_000):
        for _, row in chunk.rows():
            assert not isinstance(row, Malformed)
            record = mapper.record(row, NOW)
            assert record.channel == channel
            granted += any(
                (said.purpose, said.state) == ("identity_linking", "granted") for said in record.consents
            )
            read += 1
    assert 0.7 < granted / read < 0.97


def test_households_hold_what_makes_linkage_hard(households: list[list[Person]]) -> None:
    """Shared e-mail, father and son of one name, twins, flatmates, Spanish children's two surnames."""
    found: Counter[str] = Counter()
    for members in households:
        for one, other in ((a, b) for i, a in enumerate(members) for b in members[i + 1 :]):
            assert one.home == other.home
            found["one e-mail"] += one.email == other.email
            found["one telephone"] += one.phone == other.phone
            found["one name"] += (one.first, one.last) == (other.first, other.last)
            found["one first name"] += one.first == other.first and one.birth[0] + 15 < other.birth[0]
            found["twins"] += one.birth == other.birth
            found["nothing in common"] += one.last.split()[0] not in other.last
    assert {kind for kind, count in found.items() if count >= 10} == set(found)


def test_no_two_people_of_different_households_share_an_email_or_a_reserved_number(
    households: list[list[Person]],
) -> None:
    owners: defaultdict[str, set[int]] = defaultdict(set)
    for number, members in enumerate(households):
        for person in members:
            owners[person.email].add(number)
            if not person.phone.startswith("+34"):
                owners[person.phone].add(number)
    assert max(len(of) for of in owners.values()) == 1


def test_contacts_are_from_ranges_that_are_kept_for_fiction(households: list[list[Person]]) -> None:
    for person in (person for members in households for person in members):
        domain = person.email.rpartition("@")[2]
        assert domain.endswith(("example.com", "example.org", "example.net"))
        if person.phone.startswith("+1"):
            assert person.phone[5:10] == "55501"
        elif person.phone.startswith("+44"):
            assert person.phone[3:10] in names.GB_FICTION_STEMS
        else:
            assert person.phone.startswith("+346")  # Spain keeps no range for fiction


def test_files_hold_placeholders_slivers_and_consents_that_differ(
    rows: list[tuple[tuple[str, ...], int]],
) -> None:
    count = Counter[str]()
    said: defaultdict[int, set[str]] = defaultdict(set)
    for row, person in rows:
        filled = {name for name in COLUMNS[3:24] if row[AT[name]]}
        count["placeholder e-mail"] += row[AT["email"]] in names.PLACEHOLDER_EMAILS
        count["placeholder phone"] += row[AT["phone"]] in names.PLACEHOLDER_PHONES
        count["call centre's own number"] += row[AT["phone"]] == names.CALL_CENTRE_PHONE
        count["placeholder birth date"] += row[AT["birth_date"]] == names.PLACEHOLDER_BIRTH_DATE
        count["e-mail alone"] += filled == {"email"}
        count["device alone"] += filled == {"device_id", "country"}
        count["last name first"] += "," in row[AT["full_name"]]
        count["linking refused"] += row[AT["identity_linking"]] == "N"
        said[person].add(row[AT["personalization"]])
    assert min(count.values()) >= 15
    granted = sum(row[AT["identity_linking"]] == "Y" for row, _ in rows) / len(rows)
    assert 0.8 < granted < 0.95  # most permit linking
    assert sum({"Y", "N"} <= answers for answers in said.values()) >= 15  # channels that were told both
