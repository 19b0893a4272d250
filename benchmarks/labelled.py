"""The labelled and real sets beside the checkout, and messy ones made here, as opened batches.

Found at ../shared/data from the checkout; nothing of them is copied into the project.
"""

import csv
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from identity.attributes import is_standard
from identity.normalise import normalise
from identity.records import OpenedBatch

Row = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT.parent / "shared" / "data"

LABELLED: Final = (
    "splink_fake_1000", "splink_historical_50k_dev", "pp_dev", "pp_multi_dev", "febrl_c10k",
    "senzing_truthset", "dupehell_ecom_100k",
)  # fmt: skip

KANONIV: Final = {
    "crm": "crm_contacts", "billing": "billing_accounts", "support": "support_users", "app": "app_signups",
    "partner": "partner_leads",
}  # fmt: skip


def labelled(name: str) -> tuple[OpenedBatch, dict[int, str]]:
    """Return the records of a labelled set, numbered from 1 in file order, and record number -> person."""
    rows, people = labelled_rows(name)
    return batch_of(rows), people


def labelled_rows(name: str) -> tuple[list[Row], dict[int, str]]:
    """Return the same as plain rows of standard attributes. Raises SystemExit for an unknown set.

    `messy_<N>k` is made here: N thousand records by the demo's generator, linking permitted for all.
    """
    thousands = re.fullmatch(r"messy_(\d+)k", name)
    if thousands is not None:
        return _messy(int(thousands[1]) * 1000)
    if name not in LABELLED:
        raise SystemExit(f"there is no set {name}; there are {', '.join(LABELLED)}, kanoniv and messy_<N>k")
    rows = pq.read_table(DATA / name / "records.parquet").to_pylist()
    truth = {
        (row["channel"], row["source_id"]): row["person"]
        for row in pq.read_table(DATA / name / "truth.parquet").to_pylist()
    }
    people = {number: truth[row["channel"], row["source_id"]] for number, row in enumerate(rows, start=1)}
    return [{name: row[name] for name in row if is_standard(name)} for row in rows], people


def _messy(records: int) -> tuple[list[Row], dict[int, str]]:
    rows: list[Row] = []
    people: dict[int, str] = {}
    for chunk in generate(records=records, seed=1):
        for values, person in chunk:
            given = dict(zip(COLUMNS, values, strict=True))
            given_emails = [email for email in (given["email"], given["email_2"]) if email]
            rows.append({name: given[name] or None for name in COLUMNS if is_standard(name)})
            rows[-1]["email"] = given_emails or None
            people[len(rows)] = str(person)
    return rows, people


def kanoniv() -> OpenedBatch:
    """Return the records of the five kanoniv files, read as the mappings of docs/examples say."""
    rows: list[Row] = []
    for channel, file in KANONIV.items():
        mapping = tomllib.loads((ROOT / "docs/examples/kanoniv" / f"{channel}.toml").read_text())[
            "attributes"
        ]
        with (DATA / "kanoniv_5source" / f"{file}.csv").open(newline="", encoding="utf-8") as lines:
            rows += [
                {name: line[column] for name, column in mapping.items()} for line in csv.DictReader(lines)
            ]
    return batch_of(rows)


def batch_of(rows: list[Row]) -> OpenedBatch:
    """Return rows of standard attributes as the opened batch that a run would be handed."""
    comparables = [_comparable(row) for row in rows]
    return OpenedBatch(range(1, len(rows) + 1), [""] * len(rows), comparables)


def _comparable(row: Mapping[str, Any]) -> bytes:
    values = {name: value if isinstance(value, list) else [value] for name, value in row.items() if value}
    return normalise(values).encode()
