"""Who may open what is sealed. A new caller must be added here, in a review, with its reason."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Method -> modules that may call it. The names occur nowhere else in the packages, so the last name of a
# call tells.
CALLERS = {
    "unwrap": {
        "consent.vault",  # the key-encryption key opens a wrapped key
        "consent.sealed_files",  # the log of erasures, in which no person is named
        "api.readiness",  # a probe of the keyring, wrapped by itself
    },
    "open_key": {
        "consent.stored_contents",  # what a snapshot holds of a record, for the callers of open_named below
        "consent.linkable",  # comparable forms of records that may be linked
        "consent.source_keys",  # record keys; see below
        "api.diagnosis_stores",  # a few records, to say whether this keyring opens them
        "api.readiness",  # a record's key, to say whether this keyring opens it
        "consent.suppressing",  # first name and birth date, to tell an erased person from their household
    },
    "open_evidence_key": {
        "consent.evidence_store",
        "consent.erasure_job",  # the job of an erasure, which is no data of a person's
        "consent.request_recognition",  # what a data-subject request says, for the officer's next step
        "consent.ledger_verification",  # compares what is sealed with what is stored
        "consent.receipt_issuing",  # a statement's payload and salt, for its receipt: no value of a person
    },
    "open_fields": {
        "consent.enforcement",  # the door
        "consent.source_keys",  # record keys, for `aurea memberships`; see below
        "api.memberships",  # record keys, for `aurea memberships`; see below
        "consent.copied_records",  # compares some records of a copied store; nothing leaves
        "consent.retention_run",  # seals a record anew without what has expired; nothing leaves
    },
    "open_contents": {
        "consent.enforcement",  # the door, with what it decided about
    },
    "open_named": {
        "consent.sealed_records",  # fields, for the callers of open_fields and open_contents
        "consent.birth_facts",  # what decides whether a minor may consent; see below
    },
}
# Outside the door nothing but the channel's own identifier of a record may be opened.
SOURCE_IDS_ONLY = {"consent.source_keys"}
# What these open goes into a decision and never out of it.
BIRTHS_ONLY = {"consent.birth_facts"}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield module, last name of what is called, and the call, for every call in the packages."""
    for package in ("identity", "consent", "api"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield module, node.func.attr, node


def test_only_the_modules_listed_open_what_is_sealed() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for module, name, _ in calls():
        if name in CALLERS:
            found[name].add(module)

    assert not {name: modules - CALLERS[name] for name, modules in found.items() if modules - CALLERS[name]}
    assert "consent.enforcement" in found["open_fields"] & found["open_contents"]


def test_outside_the_door_only_record_keys_and_the_fact_of_birth_are_opened() -> None:
    for module, name, call in calls():
        if name == "open_fields" and module in SOURCE_IDS_ONLY:
            assert ast.unparse(call.args[1]) == "(SOURCE_ID,)"
        if name == "open_named" and module in BIRTHS_ONLY:
            assert ast.unparse(call.args[1]) == "(BORN,)"


def test_identity_calls_no_opener_and_knows_no_vault() -> None:
    for path in sorted((ROOT / "identity").rglob("*.py")):
        assert "consent" not in {
            (node.module or "").partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
    assert not {module for module, name, _ in calls() if name in CALLERS and module.startswith("identity")}
