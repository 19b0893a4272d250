"""The printable bundle says what the JSON says, whatever letters the values are written in."""

from io import BytesIO
from typing import Any

import pypdf

from consent.bundle_document import document


def bundle(value: str = "Ana", **more: Any) -> dict[str, Any]:
    source = {"channel": "web", "observed_at": "2026-05-28T20:26:40.000Z"}
    return {
        "bundle": "access", "request": "r_one", "prepared_at": "2026-06-01T08:00:00.000Z",
        "records": [{}], "consents": [],
        "attributes": {"first_name": [{"value": value, "sources": [source], "corrected": False}]},
        **more,
    }  # fmt: skip


def text(content: bytes) -> str:
    pages = pypdf.PdfReader(BytesIO(content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_it_says_whose_answer_it_is_and_what_is_held() -> None:
    said = text(document(bundle()))
    assert "request r_one, prepared on 2026-06-01 from 1 record" in said
    assert "first name Ana web (2026-05-28)" in said
    assert "brackets" not in said


def test_markup_in_a_value_is_text() -> None:
    assert "<b>&amp;</b><img src='x'/>" in text(document(bundle("<b>&amp;</b><img src='x'/>")))


def test_letters_that_the_typeface_lacks_are_told_in_latin_and_the_document_says_so() -> None:
    said = text(document(bundle("Ἀθηνᾶ 北京")))
    assert "brackets" in said
    assert "Bei Jing]" in said.replace("BeiJing", "Bei Jing")


def test_the_longest_value_a_record_may_hold_fits_on_its_pages() -> None:
    document(bundle("x" * 4096))
    document(bundle("x y " * 1024))


def test_a_look_without_values_says_so() -> None:
    read = {
        "time": "2026-05-28T20:26:40.000Z", "by": "Steward", "purpose": "identity_linking",
        "decision": "explained", "attributes": [],
    }  # fmt: skip
    assert "no values, only how records compare" in text(document(bundle(reads=[read])))


def test_the_files_metadata_names_nobody() -> None:
    info = pypdf.PdfReader(BytesIO(document(bundle("Anastasia")))).metadata
    assert info is not None
    assert "Anastasia" not in str(dict(info))
