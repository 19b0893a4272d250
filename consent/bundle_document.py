"""An access or portability bundle as a document to read and print (PDF), from the same data as the JSON.

ReportLab's own typeface has Latin letters only. What it lacks is shown in Latin letters between brackets, and
the document says so: the JSON form has every value as it is held. Built in memory; nothing touches a disk.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from anyascii import anyascii
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

_PLAIN: Final = TTFont("Vera", "Vera.ttf")
_BOLD: Final = TTFont("VeraBd", "VeraBd.ttf")

_TEXT: Final = ParagraphStyle("text", fontName="Vera", fontSize=8, leading=11, wordWrap="CJK")
_PROSE: Final = ParagraphStyle("prose", parent=_TEXT, fontSize=9, leading=13, spaceAfter=4, wordWrap=None)
_HEAD: Final = ParagraphStyle("head", parent=_TEXT, fontName="VeraBd")
_TITLE: Final = ParagraphStyle("title", fontName="VeraBd", fontSize=16, leading=22, spaceAfter=6)
_SECTION: Final = ParagraphStyle(
    "section", fontName="VeraBd", fontSize=11, leading=15, spaceBefore=12, spaceAfter=5, keepWithNext=1
)
_INK: Final = colors.HexColor("#1f2933")
_RULE: Final = colors.HexColor("#cbd2d9")
_SHADE: Final = colors.HexColor("#f0f4f8")
_WIDTH: Final = A4[0] - 36 * mm

TITLES: Final = {"access": "The data we hold about you", "portability": "The data you provided to us"}
_LATIN_ONLY: Final = (
    "Text between [brackets] is written in Latin letters because this document's typeface lacks its own; the "
    "machine-readable form of this answer has it exactly as we hold it."
)


def document(bundle: Mapping[str, Any]) -> bytes:
    """Return the PDF of a bundle as `consent.export` makes it."""
    for font in (_PLAIN, _BOLD):
        pdfmetrics.registerFont(font)
    out = BytesIO()
    title = TITLES[bundle["bundle"]]
    pages = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=title,
        author="Aurea",
        subject=f"Request {bundle['request']}",
        lang="en",
    )
    story: list[Any] = [Paragraph(title, _TITLE), *_opening(bundle)]
    for section in (_attributes, _records, _consents, _purposes, _reads, _recipients, _matching, _rights):
        story += section(bundle)
    pages.build(story, onFirstPage=_footer, onLaterPages=_footer)
    return out.getvalue()


def _opening(bundle: Mapping[str, Any]) -> list[Any]:
    count = len(bundle["records"])
    said = (
        f"Answer to request {bundle['request']}, prepared on {_day(bundle['prepared_at'])} from {count} "
        f"{'record' if count == 1 else 'records'} that we recognised as yours."
    )
    lacking = not _has(json.dumps(bundle, ensure_ascii=False))
    return [_prose(said), *([_prose(_LATIN_ONLY)] if lacking else [])]


def _attributes(bundle: Mapping[str, Any]) -> list[Any]:
    rows = [
        (
            _words(name),
            each["value"] + (" (corrected at your request)" if each["corrected"] else ""),
            ", ".join(f"{s['channel']} ({_day(s['observed_at'])})" for s in each["sources"]),
        )
        for name, values in bundle.get("attributes", {}).items()
        for each in values
    ]
    return _section("What we hold, and where it came from", ("What", "Value", "Source"), rows, (2, 4, 4))


def _records(bundle: Mapping[str, Any]) -> list[Any]:
    if "attributes" in bundle:  # told already, by attribute
        return []
    rows = [
        (f"{record['channel']} ({_day(record['observed_at'])})", _words(name), value)
        for record in bundle["records"]
        for name, values in (record["attributes"] | {k: [v] for k, v in record["traits"].items()}).items()
        for value in values
    ]
    return _section("What you provided, by channel", ("Channel", "What", "Value"), rows, (3, 2, 5))


def _consents(bundle: Mapping[str, Any]) -> list[Any]:
    rows = [
        (
            _day(event["recorded_at"]),
            _words(event["purpose"]),
            event["state"],
            ", ".join([event["source"], event["method"], event["about"], *_evidence(event)]),
            str(event["event"]),
        )
        for event in bundle["consents"]
    ]
    head = ("Date", "Purpose", "You said", "How", "Proof no.")
    return _section("What you permitted and refused", head, rows, (2, 3, 2, 5, 2))


def _evidence(event: Mapping[str, Any]) -> list[str]:
    """Name the kind of evidence; the JSON has it whole."""
    stated = event.get("evidence")
    return [] if stated is None else [f"evidence {stated['type']}"]


def _purposes(bundle: Mapping[str, Any]) -> list[Any]:
    rows = [
        (
            each["title"],
            _words(each["legal_basis"]),
            ", ".join(_words(name) for name in each["attributes"]) or "nothing is shown",
            "no end" if each["retention_days"] is None else f"{each['retention_days']} days",
        )
        for each in bundle.get("purposes", ())
    ]
    head = ("Purpose", "Legal basis", "What it may see", "Kept for")
    return _section("What your data may be used for", head, rows, (3, 2, 5, 2))


def _reads(bundle: Mapping[str, Any]) -> list[Any]:
    rows = [
        (_minute(each["time"]), each["by"], _words(each["purpose"]), each["decision"], _seen(each))
        for each in bundle.get("reads", ())
    ]
    head = ("When (UTC)", "Who", "For which purpose", "Outcome", "What")
    return _section("Who looked at your data", head, rows, (2, 2, 2, 2, 4))


def _recipients(bundle: Mapping[str, Any]) -> list[Any]:
    rows = [
        (each["recipient"], ", ".join(map(_words, each["purposes"])), str(each["times"]), _day(each["last"]))
        for each in bundle.get("recipients", ())
    ]
    head = ("Recipient", "Purposes", "Times", "Last")
    return _section("Who received your data", head, rows, (3, 5, 1, 2))


def _matching(bundle: Mapping[str, Any]) -> list[Any]:
    matching = bundle.get("matching")
    if matching is None:
        return []
    rows = [
        (
            " and ".join(link["channels"]),
            link["certainty"],
            ", ".join(link["speaks_for"]) or "-",
            ", ".join(link["speaks_against"]) or "-",
        )
        for link in matching["links"]
    ]
    head = ("Your records from", "How sure", "What speaks for it", "What speaks against")
    return [
        *_headed("How your records were matched"),
        _prose(matching["logic"]),
        *_table(head, rows, (3, 2, 4, 3)),
    ]


def _rights(bundle: Mapping[str, Any]) -> list[Any]:
    rights = bundle.get("rights", ())
    said = [_prose(f"You may {each['means']} ({each['law']}).") for each in rights]
    return [*_headed("Your rights"), *said] if said else []


def _section(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]
) -> list[Any]:
    if not rows:
        return []
    return [*_headed(title), *_table(head, rows, widths)]


def _headed(title: str) -> list[Any]:
    return [Paragraph(escape(title), _SECTION)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> list[Any]:
    cells = [[_cell(each) for each in row] for row in rows]
    if not cells:
        return [_prose("None.")]
    table = Table(
        [[Paragraph(escape(each), _HEAD) for each in head], *cells],
        colWidths=[_WIDTH * width / sum(widths) for width in widths],
        repeatRows=1,
    )
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    table.setStyle(TableStyle(style))
    return [table, Spacer(1, 2 * mm)]


def _cell(text: str) -> Any:
    # A value is cut at a page's worth: a cell that is higher than a page cannot be set.
    return Paragraph(escape(_printable(text[:1500])), _TEXT)


def _prose(text: str) -> Any:
    return Paragraph(escape(_printable(text)), _PROSE)


def _printable(text: str) -> str:
    """Return `text`; in Latin letters between brackets if the typeface lacks any of it."""
    return text if _has(text) else "[" + anyascii(text) + "]"


def _has(text: str) -> bool:
    return all(ord(letter) in _PLAIN.face.charToGlyph for letter in text)


def _seen(read: Mapping[str, Any]) -> str:
    if "traits" in read["attributes"]:
        return "everything we hold"
    return ", ".join(map(_words, read["attributes"])) or "no values, only how records compare"


def _words(name: str) -> str:
    return name.replace("_", " ").replace("request:", "your request for ")


def _day(time: str) -> str:
    return time[:10]


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _footer(canvas: Any, pages: Any) -> None:
    canvas.setFont("Vera", 7)
    canvas.setFillColor(_INK)
    canvas.drawString(18 * mm, 10 * mm, "Confidential: for the person concerned only")
    canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {pages.page}")
