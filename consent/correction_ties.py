"""Which records and corrections (channel `rectification`) belong together: an officer's judgement says so.

A correction is compared with nobody, so the judgements `same` that its request left are all that ties it to
what it corrects. They stand also while linking is withdrawn and the two are in different golden IDs: what the
person may ask about one, the person may ask about the other.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection

from identity import judgement_store
from identity.records import RECTIFICATION
from identity.statements import Statement, slices

_CHANNELS: Final = Statement("SELECT record_no, channel FROM records WHERE record_no IN :record_nos")


def tied(
    conn: Connection, record_nos: Collection[int], *, without: Collection[int] = ()
) -> Mapping[int, tuple[str, int]]:
    """Return what is tied to these records, through whatever chain that has none of `without`.

    By record number: its channel, and through which of `record_nos`, none of which is returned.
    """
    found: dict[int, tuple[str, int]] = {}
    through = {number: number for number in record_nos}
    fresh = set(through)
    while fresh:
        ties = _ties(conn, fresh)
        fresh = set()
        for near, far, channel in ties:
            if far not in through and far not in without:
                through[far] = through[near]
                found[far] = (channel, through[near])
                fresh.add(far)
    return found


def left_alone(conn: Connection, leaving: Collection[int]) -> set[int]:
    """Return the corrections of which nothing is left that they correct once these records are gone."""
    corrections = {number for number, (channel, _) in tied(conn, leaving).items() if channel == RECTIFICATION}
    others = {far for _, far, channel in _ties(conn, corrections) if channel != RECTIFICATION}
    return corrections - tied(conn, others - set(leaving), without=leaving).keys()


def _ties(conn: Connection, record_nos: Collection[int]) -> list[tuple[int, int, str]]:
    """Return (one of `record_nos`, other record, its channel) of every tie: one end is a correction."""
    sames = [each for each in judgement_store.standing(conn, record_nos) if each.verdict == "same"]
    ends = sorted({number for each in sames for number in each.pair})
    channels = {no: channel for part in slices(ends) for no, channel in _CHANNELS.rows(conn, record_nos=part)}
    return [
        (near, far, channels[far])
        for each in sames
        for near, far in (each.pair, each.pair[::-1])
        if near in record_nos
        and near in channels
        and far in channels
        and RECTIFICATION in (channels[near], channels[far])
    ]
