"""custmatch with 300 true labels: 200 random pairs and the 100 it then asks for most.

    python run_custmatch.py RECORDS TRUTH OUT

The labels are right by construction, which is kinder than a person at a desk. The seconds leave
out the labelling.
"""

import csv
import json
import sys
import time
from pathlib import Path

import pandas as pd
from custmatch import labels, pipeline

# Its column <- ours, where the file has it.
COLUMNS = {
    "middle_initial": "middle_name", "date_of_birth": "birth_date", "addr_number": "house_number",
    "addr_street": "street", "addr_unit": "address_line2", "email": "email", "phone": "phone",
    "country": "country",
}  # fmt: skip

# Compared and blocked on as its documentation lets one add: what the others are given, too.
EXTRA = {
    "city": "similarity", "postcode": "similarity", "region": "exact", "gender": "exact",
    "national_id": "edit", "user_id": "exact", "loyalty_id": "exact", "device_id": "exact",
}  # fmt: skip
BLOCKS = (
    ("national_id",), ("user_id",), ("loyalty_id",), ("device_id",), ("last_name", "postcode"),
    ("first_name", "postcode"), ("last_name", "city"), ("first_name", "city"),
    ("date_of_birth", "postcode"), ("date_of_birth", "city"),
)  # fmt: skip


def main(records: str, truth: str, out: str) -> None:
    frame = pd.read_parquet(records)
    people = json.loads(Path(truth).read_text(encoding="utf-8"))
    config = prepare(frame)
    random, active = Path("labels-random.csv"), Path("labels-active.csv")
    labels.sample(config, 200, random)
    answer_truly(random, people)
    labels.sample_active(config, together([random]), 100, active)
    answer_truly(active, people)
    started = time.perf_counter()
    pipeline.run(config, together([random, active]), Path("custmatch-out"), log=lambda *_: None)
    seconds = time.perf_counter() - started
    found = [""] * len(people)
    with Path("custmatch-out/clusters.csv").open(newline="", encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            found[int(line["record_id"])] = line["customer_id"]
    answer = {"labels": found, "seconds": seconds, "note": "300 true labels"}
    Path(out).write_text(json.dumps(answer), encoding="utf-8")


def prepare(frame: pd.DataFrame) -> Path:
    """Write the source and its config. A full name alone is split at its first blank, as a user would."""
    known = frame.fillna("")
    made = pd.DataFrame({"record_id": range(len(known))})
    blank = pd.Series([""] * len(known))
    full = known.get("full_name", blank).str.strip()
    for ours, part in (("first_name", 0), ("last_name", 1)):
        split = full.str.split(" ", n=1).str.get(part).fillna("")
        given = known.get(ours, blank)
        made[ours] = given.where(given != "", split)
    for theirs, ours in [*COLUMNS.items(), *((name, name) for name in EXTRA)]:
        if ours in known:
            made[theirs] = known[ours]
    if "addr_street" not in made and "full_address" in known:
        made["address"] = known["full_address"]
    made.to_csv("source.csv", index=False)
    config = Path("config.json")
    settings = {
        "sources": [{"name": "s", "path": "source.csv", "columns": {name: name for name in made.columns}}],
        "extra_fields": [{"name": name, "compare": how} for name, how in EXTRA.items() if name in made],
        "extra_blocking": [block for block in BLOCKS if set(block) <= {*made.columns}],
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    return config


def answer_truly(file: Path, people: list[str]) -> None:
    """Fill the blank labels in."""
    pairs = pd.read_csv(file, dtype=str, keep_default_na=False)
    numbers = [pairs[side].str.rsplit(":", n=1).str.get(-1).astype(int) for side in ("a", "b")]
    pairs["label"] = [int(people[a] == people[b]) for a, b in zip(*numbers, strict=True)]
    pairs.to_csv(file, index=False)


def together(files: list[Path]) -> Path:
    """Return one file of all the labels so far."""
    out = Path("labels.csv")
    pd.concat([pd.read_csv(file) for file in files]).to_csv(out, index=False)
    return out


if __name__ == "__main__":
    main(*sys.argv[1:])
