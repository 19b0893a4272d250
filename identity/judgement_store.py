"""The table of judgements: adding one, and which of them stand.

Numbers come from a counter inside the write transaction, so they follow commit order: a run under way asks
for what was added after the number it began with.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from identity.judgements import Judged, Judgement, judged, newest
from identity.statements import Statement, slices

_COLUMNS: Final = "judgement_no, record_a, record_b, verdict, author, reason, recorded_at"

_NUMBER: Final = Statement(
    "UPDATE counters SET value = value + 1 WHERE name = 'judgement_no' RETURNING value"
)
_MARK: Final = Statement("SELECT value FROM counters WHERE name = 'judgement_no'")

_INSERT: Final = Statement(f"""
    INSERT INTO judgements ({_COLUMNS})
    VALUES (:number, :record_a, :record_b, :verdict, :author, :reason, :now)
""")  # noqa: S608 - constants of this module are joined, values are bound

_ALL: Final = Statement(f"SELECT {_COLUMNS} FROM judgements")  # noqa: S608 - as above: constants only
_ONE: Final = Statement(f"SELECT {_COLUMNS} FROM judgements WHERE judgement_no = :number")  # noqa: S608 - as above: constants only
_ABOUT: Final = Statement(f"""
    SELECT {_COLUMNS} FROM judgements WHERE record_a IN :record_nos OR record_b IN :record_nos
""")  # noqa: S608 - as above: constants only
_PAGE: Final = Statement(f"""
    SELECT {_COLUMNS} FROM judgements WHERE judgement_no > :after ORDER BY judgement_no LIMIT :count
""")  # noqa: S608 - as above: constants only

_SINCE: Final = Statement(
    "SELECT judgement_no, record_a, record_b FROM judgements WHERE judgement_no > :number"
)

_DROP_BY_A: Final = Statement("DELETE FROM judgements WHERE record_a IN :record_nos")
_DROP_BY_B: Final = Statement("DELETE FROM judgements WHERE record_b IN :record_nos")


def add(
    conn: Connection, pair: tuple[int, int], verdict: str, *, author: str, reason: str, now: int
) -> Judgement:
    """Add a judgement in the caller's write transaction, and return it. Checks nothing."""
    one, other = sorted(pair)
    number = int(_NUMBER.rows(conn)[0][0])
    _INSERT.run(
        conn,
        number=number,
        record_a=one,
        record_b=other,
        verdict=verdict,
        author=author,
        reason=reason,
        now=now,
    )
    return Judgement(number, one, other, verdict, author, reason, now)


def one(conn: Connection, number: int) -> Judgement | None:
    """Return the judgement of this number, whatever came after it."""
    rows = _ONE.rows(conn, number=number)
    return Judgement(*rows[0]) if rows else None


def page(conn: Connection, after: int, limit: int) -> list[Judgement]:
    """Return up to `limit` judgements with numbers above `after`, oldest first, those overtaken included."""
    return [Judgement(*row) for row in _PAGE.rows(conn, after=after, count=limit)]


def about(conn: Connection, record_nos: Iterable[int]) -> list[Judgement]:
    """Return every judgement with an end in `record_nos`, oldest first."""
    found: dict[int, Any] = {}
    for part in slices(sorted(record_nos)):
        found.update((row[0], row) for row in _ABOUT.rows(conn, record_nos=part))
    return [Judgement(*found[number]) for number in sorted(found)]


def standing(conn: Connection, record_nos: Iterable[int]) -> list[Judgement]:
    """Return the standing judgements with an end in `record_nos`."""
    return list(newest(about(conn, record_nos)).values())


def standing_around(conn: Connection, record_nos: Iterable[int]) -> list[Judgement]:
    """Return the standing judgements of all that chains of `same` and `different` tie to `record_nos`."""
    seen: set[int] = set()
    fresh = set(record_nos)
    found: dict[int, Judgement] = {}
    while fresh:
        seen |= fresh
        near = [each for each in standing(conn, fresh) if each.verdict != "unsure"]
        found.update((each.number, each) for each in near)
        fresh = {number for each in near for number in each.pair} - seen
    return [found[number] for number in sorted(found)]


def all_judged(conn: Connection) -> Judged:
    """Return what all standing judgements mean for clustering."""
    return judged(newest(Judgement(*row) for row in _ALL.rows(conn)).values())


def judged_among(conn: Connection, record_nos: Sequence[int]) -> Judged:
    """Return what stands about pairs with both ends in `record_nos`."""
    found = judged(standing(conn, record_nos))
    return found.among(record_nos) if len(found) else found


def kept_apart(standing: Iterable[Judgement], record_nos: Iterable[int]) -> set[int]:
    """Return the records that one of these judgements says are other people than one of `record_nos`."""
    numbers = set(record_nos)
    found = [each for each in standing if each.verdict == "different"]
    return {number for each in found for number in each.pair if set(each.pair) - {number} & numbers}


def mark(conn: Connection) -> int:
    """Return the number of the newest judgement ever added; 0 before the first."""
    return int(_MARK.rows(conn)[0][0])


def since(conn: Connection, number: int) -> list[tuple[int, int, int]]:
    """Return number and records of what was added after `number`."""
    return [(row[0], row[1], row[2]) for row in _SINCE.rows(conn, number=number)]


def forget(conn: Connection, record_nos: Iterable[int]) -> None:
    """Delete all that was ever said about records that are gone."""
    for part in slices(sorted(record_nos)):
        _DROP_BY_A.run(conn, record_nos=part)
        _DROP_BY_B.run(conn, record_nos=part)
