"""The labelled and real sets beside the checkout, as opened batches of comparable forms.

Found at ../shared/data from the checkout; nothing of them is copied into the project.
"""

import csv
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from identity.attributes import is_standard
from identity.normalise import normalise
from identity.records import OpenedBatch

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
    rows = pq.read_table(DATA / name / "records.parquet").to_pylist()
    truth = {
        (row["channel"], row["source_id"]): row["person"]
        for row in pq.read_table(DATA / name / "truth.parquet").to_pylist()
    }
    people = {number: truth[row["channel"], row["source_id"]] for number, row in enumerate(rows, start=1)}
    return _batch([{name: row[name] for name in row if is_standard(name)} for row in rows]), people


def kanoniv() -> OpenedBatch:
    """Return the records of the five kanoniv files, read as the mappings of docs/examples say."""
    rows: list[dict[str, Any]] = []
    for channel, file in KANONIV.items():
        mapping = tomllib.loads((ROOT / "docs/examples/kanoniv" / f"{channel}.toml").read_text())[
            "attributes"
        ]
        with (DATA / "kanoniv_5source" / f"{file}.csv").open(newline="", encoding="utf-8") as lines:
            rows += [
                {name: line[column] for name, column in mapping.items()} for line in csv.DictReader(lines)
            ]
    return _batch(rows)


def _batch(rows: list[dict[str, Any]]) -> OpenedBatch:
    comparables = [_comparable(row) for row in rows]
    return OpenedBatch(range(1, len(rows) + 1), [""] * len(rows), comparables)


def _comparable(row: Mapping[str, Any]) -> bytes:
    values = {name: value if isinstance(value, list) else [value] for name, value in row.items() if value}
    return normalise(values).encode()
