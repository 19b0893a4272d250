"""A TC string as evidence: it proves a statement, contradicts none, and permits nothing by itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from consent.errors import ReceiptError, RecordRejectedError
from consent.events import StatedEvidence
from consent.receipt_issuing import Receipts
from consent.receipt_verification import DOMAIN, canonical, verify_receipt
from consent.receipts import signed
from consent.statement_evidence import check_evidence
from tests.consent.consent_events import purpose
from tests.consent.home import NOW, Home, a_home, record_ref
from tests.consent.tc_strings import tc_string

YES = tc_string({1, 3, 4})
NO = tc_string({1, 3})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def tcf(value: str) -> StatedEvidence:
    return StatedEvidence("iab_tcf", value)


@pytest.mark.parametrize(
    ("state", "value", "fits"),
    [
        ("granted", YES, True), ("granted", NO, False), ("granted", tc_string(), False),
        ("refused", NO, True), ("withdrawn", tc_string(), True), ("objected", NO, True),
        ("refused", YES, False), ("withdrawn", YES, False), ("objected", YES, False),
        ("restricted", YES, True), ("restricted", NO, True),  # the framework has no such thing
        ("granted", tc_string({3, 4}), False),
        ("granted", tc_string({3, 4}, purpose_one_treatment=True), True),  # purpose 1 was not asked for
    ],
)  # fmt: skip
def test_a_string_that_contradicts_the_statement_is_refused(state: str, value: str, *, fits: bool) -> None:
    advertising = purpose("advertising")
    if fits:
        return check_evidence(tcf(value), state, "direct", advertising, NOW)
    with pytest.raises(RecordRejectedError, match="contradicts"):
        check_evidence(tcf(value), state, "direct", advertising, NOW)
    return None


def test_for_a_legitimate_interest_to_be_informed_and_not_to_object_is_enough() -> None:
    measuring = purpose("analytics", tcf_purposes=(9,))
    check_evidence(tcf(tc_string(interests={9})), "granted", "direct", measuring, NOW)
    check_evidence(tcf(tc_string()), "objected", "direct", measuring, NOW)
    with pytest.raises(RecordRejectedError, match="contradicts"):
        check_evidence(tcf(tc_string(interests={9})), "objected", "direct", measuring, NOW)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(RecordRejectedError, match="names no tcf_purposes of service"):
        check_evidence(tcf(YES), "granted", "direct", purpose("service"), NOW)
    late = tc_string({1, 3, 4}, updated=NOW + 301_000)
    with pytest.raises(RecordRejectedError, match="in the future"):
        check_evidence(tcf(late), "granted", "direct", purpose("advertising"), NOW)


def test_it_permits_nothing_by_itself(home: Home) -> None:
    golden_id = home.person(home.add("1", attributes={"city": "Lugo"}))
    home.say(record_ref("1"), "withdrawn", "advertising", evidence=tcf(NO))
    with pytest.raises(RecordRejectedError):
        home.say(record_ref("1"), "withdrawn", "advertising", evidence=tcf(YES))
    home.say(record_ref("1"), "granted", "advertising", method="api", evidence=tcf(YES))
    assert home.why(golden_id, "advertising") == "not_permitted", (
        "api re-opens no denial, with a string or without"
    )


def test_it_is_sealed_committed_by_the_leaf_and_stated_in_the_receipt(home: Home) -> None:
    home.add("1")
    event = home.say(record_ref("1"), "granted", "advertising", evidence=tcf(YES))
    receipts = Receipts(
        db=home.db, ledger=home.ledger, key_store=home.key_store, vault=home.vault, purposes=home.purposes
    )
    told = receipts.consent_receipt(event.index or 0, home.now)
    assert told["dpv:hasConsentStatus"]["dct:source"] == {"dct:type": "iab_tcf", "dct:identifier": YES}
    assert verify_receipt(json.dumps(told), home.ledger.verifier_key()).state == "granted"
    report = home.ledger.verify()
    assert (report.ok, report.proven, report.size) == (True, 1, 1)
    with home.db.read() as conn:
        stored = conn.execute(text("SELECT * FROM ledger")).all()
    assert YES not in repr(stored), "nothing of it stands in clear"

    for other in (None, {"dct:type": "iab_tcf", "dct:identifier": NO}):
        forged = json.loads(json.dumps(told))
        del forged["proof"]["signature"]
        forged["dpv:hasConsentStatus"].pop("dct:source")
        if other is not None:
            forged["dpv:hasConsentStatus"]["dct:source"] = other
        forged = signed(forged, home.ledger.sign(DOMAIN + canonical(forged)))
        with pytest.raises(ReceiptError, match="not what was recorded"):
            verify_receipt(json.dumps(forged), home.ledger.verifier_key())
