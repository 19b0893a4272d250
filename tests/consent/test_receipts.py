"""Receipts and checkpoints against whoever would rather have something else recorded."""

import copy
import csv
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from consent import checkpoints, receipts
from consent.erasure_receipt_verification import is_erasure_receipt
from consent.errors import ReceiptError, UnknownSubjectError
from consent.events import STATES
from consent.receipt_issuing import Receipts
from consent.receipt_verification import DOMAIN, canonical, verify_receipt
from tests.consent.home import NOW, Home, a_home, record_ref
from tests.shared import shared
from tests.stores import spoken

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def issuer(home: Home) -> Receipts:
    return Receipts(
        db=home.db, ledger=home.ledger, key_store=home.key_store, vault=home.vault, purposes=home.purposes
    )


def issued(home: Home, state: str = "withdrawn", about: str = "personalization") -> dict[str, Any]:
    home.add("1", consents={"personalization": "granted"})
    home.add("2", channel="crm", consents={"personalization": "granted"})
    event = home.say(record_ref("1"), state, about, notice="web-7")
    home.say(record_ref("2", "crm"), "objected", "analytics")
    assert event.index is not None
    return issuer(home).consent_receipt(event.index, home.now)


def test_a_receipt_proves_what_was_said_with_the_public_key_alone(home: Home) -> None:
    found = issued(home)
    verified = verify_receipt(json.dumps(found, indent=1), home.ledger.verifier_key())
    assert (verified.purpose, verified.state, verified.method) == ("personalization", "withdrawn", "direct")
    assert (verified.index, verified.size, verified.recorded_at) == (2, 4, NOW)


def test_the_verifier_needs_one_package_beside_python(home: Home, tmp_path: Path) -> None:
    """Run where nothing but `cryptography` can be imported, as in a clean virtual environment."""
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(issued(home)))
    program = (
        "import sys\n"
        "class OnlyThese:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        known = sys.stdlib_module_names | {'consent', 'cryptography', '_cffi_backend', 'cffi'}\n"
        "        if top not in known: raise ImportError(name)\n"
        "sys.meta_path.insert(0, OnlyThese())\n"
        "from consent.receipt_verification import verify_receipt\n"
        "print(verify_receipt(open(sys.argv[1]).read(), sys.argv[2]).state)\n"
    )
    command = [sys.executable, "-c", program, str(file), home.ledger.verifier_key()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "withdrawn\n", done.stderr


def resigned(home: Home, change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """What somebody inside, who holds the ledger's key, could sign: it still has to follow from the leaf."""

    def apply(found: dict[str, Any]) -> None:
        change(found)
        del found["proof"]["signature"]
        found.update(receipts.signed(found, home.ledger.sign(DOMAIN + canonical(found))))

    return apply


def status(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["dpv:hasConsentStatus"].update({name: value})


def proof(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["proof"].update(values)


OUTSIDE: dict[str, Callable[[dict[str, Any]], None]] = {
    "edit: another state": status("dct:identifier", "granted"),
    "edit: another time": status("dpv:isIndicatedAtTime", "2020-01-01T00:00:00.000Z"),
    "edit: another purpose": lambda found: found["dpv:hasProcess"].update({"dct:identifier": "analytics"}),
    "edit: an added member": lambda found: found.update({"dct:title": "more"}),
    "edit: another notice": lambda found: found["dpv:hasProcess"]["dpv:hasNotice"].update(
        {"dct:identifier": "web-8"}
    ),
    "edit: no notice": lambda found: found["dpv:hasProcess"].pop("dpv:hasNotice"),
    "edit: another person": lambda found: found["dpv:hasDataSubject"].update(
        {"dpv:hasIdentifier": "00" * 32}
    ),
    "edit: a duration that was not given": status(
        "dpv:hasDuration", {"dct:valid": "2030-01-01T00:00:00.000Z"}
    ),
    "edit: a notice of another form": lambda found: found["dpv:hasProcess"].update(
        {"dpv:hasNotice": ["web-7"]}
    ),
    "edit: half a character": lambda found: found["dpv:hasProcess"].update({"dct:title": "\ud800"}),
    "drop: a hash of the path": lambda found: found["proof"]["hashes"].pop(),
    "reorder: the hashes of the path": lambda found: found["proof"]["hashes"].reverse(),
    "reorder: another index": proof(index=1),
    "truncate: a smaller tree": proof(size=3),
    "no signature": lambda found: found["proof"].pop("signature"),
    "half a signature": lambda found: found["proof"].update(signature=found["proof"]["signature"][:40]),
    "no proof": lambda found: found.pop("proof"),
}
INSIDE: dict[str, Callable[[dict[str, Any]], None]] = {
    name: change for name, change in OUTSIDE.items() if "signature" not in name and name not in (
        "no proof", "edit: an added member", "edit: half a character")
}  # fmt: skip


@pytest.mark.parametrize("attack", OUTSIDE.values(), ids=OUTSIDE)
def test_an_altered_receipt_is_refused(home: Home, attack: Callable[[dict[str, Any]], None]) -> None:
    found = copy.deepcopy(issued(home))
    attack(found)
    with pytest.raises(ReceiptError):
        verify_receipt(json.dumps(found), home.ledger.verifier_key())


@pytest.mark.parametrize("attack", INSIDE.values(), ids=INSIDE)
def test_what_does_not_follow_from_the_leaf_is_refused_even_when_signed(
    home: Home, attack: Callable[[dict[str, Any]], None]
) -> None:
    found = copy.deepcopy(issued(home))
    resigned(home, attack)(found)
    with pytest.raises(ReceiptError):
        verify_receipt(json.dumps(found), home.ledger.verifier_key())


def test_another_ledgers_key_is_refused(home: Home) -> None:
    other = checkpoints.verifier_key(home.ledger.origin, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(ReceiptError, match="not signed by this key"):
        verify_receipt(json.dumps(issued(home)), other)
    for nonsense in ("", "a+b", home.ledger.verifier_key()[:-4], "x" + home.ledger.verifier_key()):
        with pytest.raises(ReceiptError):
            verify_receipt(json.dumps(issued(home)), nonsense)


@pytest.mark.parametrize("nonsense", ["", "{}", "[]", "null", '{"proof": 1}', '{"proof": {}}', "[" * 100_000])
def test_what_is_no_receipt_is_refused(home: Home, nonsense: str) -> None:
    assert not is_erasure_receipt(nonsense)
    with pytest.raises(ReceiptError):
        verify_receipt(nonsense, home.ledger.verifier_key())


def test_nothing_is_issued_for_an_event_that_is_not_or_was_shredded(home: Home) -> None:
    event = home.say(record_ref(home_record(home)), "objected", "analytics")
    with home.db.write() as conn:
        home.ledger.shred(conn, [event.subject])
    for index in (event.index or 0, 99):
        with pytest.raises(UnknownSubjectError):
            issuer(home).consent_receipt(index, home.now)


def home_record(home: Home) -> str:
    home.add("9")
    return "9"


def terms(value: Any) -> Iterator[str]:
    """Every compact name in a receipt: names of members, and values that are names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from terms(inner) if name not in {"proof", "@context"} else ()
    elif isinstance(value, list):
        for inner in value:
            yield from terms(inner)
    elif isinstance(value, str) and re.fullmatch(r"dpv:\w+", value):
        yield value


def test_the_notice_that_was_shown_is_named_with_the_hash_of_its_text(home: Home) -> None:
    home.add("1")
    event = home.say(record_ref("1"), "granted", "personalization", notice="web-7")
    without = issuer(home).consent_receipt(event.index or 0, home.now)
    assert without["dpv:hasProcess"]["dpv:hasNotice"] == {
        "@type": "dpv:PrivacyNotice", "dct:identifier": "web-7",
    }  # fmt: skip
    text_hash = hashlib.sha256(b"We use what you bought to recommend more.").hexdigest()
    home.purposes = replace(home.purposes, notices={"web-7": text_hash})
    told = issuer(home).consent_receipt(event.index or 0, home.now)
    assert told["dpv:hasProcess"]["dpv:hasNotice"]["dct:hasVersion"] == f"sha256:{text_hash}"
    assert verify_receipt(json.dumps(told), home.ledger.verifier_key()).purpose == "personalization"


def test_every_term_is_one_of_the_vocabulary(home: Home) -> None:
    with shared("vectors/dpv/dpv-2.3.csv").open(newline="", encoding="utf-8") as file:
        vocabulary = {f"dpv:{row['term']}" for row in csv.DictReader(file)}
    used = set(receipts.CONSENT_STATES.values()) | set(receipts.OTHER_STATES.values())
    used |= set(receipts.BASES.values()) | {f"dpv:{purpose.dpv}" for purpose in home.purposes}
    home.add("1", attributes={"email": "ana@example.com"})
    for purpose in home.purposes:
        for state in STATES[:4]:
            event = home.say(record_ref("1"), state, purpose.name, notice="web-7")
            used |= {*terms(issuer(home).consent_receipt(event.index or 0, home.now))}
    assert len(used) > 30
    ours = {"proof", "@context", "@id", "@type"}
    strange = {term for term in used if not term.startswith("dct:")} - ours - vocabulary
    assert not strange
    assert {term for term in used if term.startswith("dct:")} <= {
        "dct:conformsTo", "dct:dateSubmitted", "dct:hasVersion", "dct:identifier", "dct:title", "dct:valid",
        "dct:source", "dct:type",
    }  # fmt: skip


Attack = Callable[[Home], None]


def sql(*statements: str) -> Attack:
    def run(home: Home) -> None:
        with home.db.write() as conn:
            for statement in statements:
                conn.execute(text(spoken(statement)))

    return run


def fork(home: Home) -> None:
    """Rewrite the end with entries that verify by themselves, checkpoints of before removed."""
    sql("DELETE FROM ledger WHERE idx >= 2", "DELETE FROM checkpoints")(home)
    for _ in range(4):
        home.say(record_ref("1"), "granted", "personalization")
    home.ledger.checkpoint(home.now)


ATTACKS: dict[str, Attack] = {
    "edit": sql("UPDATE ledger SET state = 'granted' WHERE idx = 2"),
    "edit of a leaf": sql(
        "UPDATE ledger SET leaf = CAST(replace(CAST(leaf AS TEXT), 'with', 'held') AS BLOB) WHERE idx = 2"
    ),
    "reorder": sql(
        "UPDATE ledger SET idx = 100 WHERE idx = 1", "UPDATE ledger SET idx = 1 WHERE idx = 2",
        "UPDATE ledger SET idx = 2 WHERE idx = 100",
    ),
    "drop": sql("DELETE FROM ledger WHERE idx = 2"),
    "truncate, checkpoints too": sql("DELETE FROM ledger WHERE idx >= 3", "DELETE FROM checkpoints"),
    "rollback to before the withdrawal": sql(
        "DELETE FROM ledger WHERE idx >= 2", "DELETE FROM checkpoints"
    ),
    "fork": fork,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_checkpoint_kept_elsewhere_catches(home: Home, attack: Attack) -> None:
    issued(home)
    kept = home.ledger.checkpoint(home.now)
    assert home.ledger.verify(kept).ok

    attack(home)
    report = home.ledger.verify(kept)
    assert not report.ok
    assert report.reason


def test_a_checkpoint_of_another_ledger_is_no_checkpoint(home: Home) -> None:
    issued(home)
    _, size, root, *_ = home.ledger.checkpoint(home.now).split("\n")
    forged = checkpoints.sign(
        checkpoints.Checkpoint(home.ledger.origin, int(size), root.encode()[:32]),
        Ed25519PrivateKey.generate(),
    )
    assert not home.ledger.verify(forged).ok
