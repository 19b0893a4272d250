"""custmatch with 300 true labels: 100 random pairs, then twice the 100 it asks for most.

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

# Its column <- ours; the first of ours that the file has.
COLUMNS = {
    "middle_initial": ("middle_name",), "date_of_birth": ("birth_date",), "addr_number": ("house_number",),
    "addr_street": ("street",), "addr_unit": ("address_line2",), "email": ("email",), "phone": ("phone",),
    "ssn": ("national_id",), "country": ("country",),
}  # fmt: skip


def main(records: str, truth: str, out: str) -> None:
    frame = pd.read_parquet(records)
    people = json.loads(Path(truth).read_text(encoding="utf-8"))
    config = prepare(frame)
    rounds = [Path("labels-0.csv")]
    labels.sample(config, 100, rounds[0])
    answer_truly(rounds[0], people)
    for turn in (1, 2):
        rounds.append(Path(f"labels-{turn}.csv"))
        labels.sample_active(config, together(rounds[:-1]), 100, rounds[-1], seed=turn)
        answer_truly(rounds[-1], people)
    started = time.perf_counter()
    pipeline.run(config, together(rounds), Path("custmatch-out"), log=lambda *_: None)
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
    for theirs, ours in COLUMNS.items():
        for name in ours:
            if name in known:
                made[theirs] = known[name]
    if "addr_street" not in made and "full_address" in known:
        made["address"] = known["full_address"]
    made.to_csv("source.csv", index=False)
    config = Path("config.json")
    columns = {name: name for name in made.columns}
    config.write_text(
        json.dumps({"sources": [{"name": "s", "path": "source.csv", "columns": columns}]}), encoding="utf-8"
    )
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
