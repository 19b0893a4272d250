"""What a data-subject request asks of stewards: whether doubtful records are the requester's.

The questions stand in the review queue (`identity.review_queue`, cause `request`) while the request is
active. A judgement answers them like any other: `same` makes the record certain, `different` takes it out of
the golden ID; the request's members follow, for they are recognised anew at every look.
"""

import math
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from consent.request_members import Candidate
from identity import review_queue
from identity.review_queue import Doubt

_LEAST: Final = 1e-6  # confidence of a record that nothing joins to the entry


def ask(conn: Connection, members: Sequence[Candidate], now: int) -> None:
    """Ask whose the doubtful records are, each beside the one by which the requester was recognised."""
    entry = next((each.record_no for each in members if each.entry), None)
    if entry is None:
        return
    doubtful = [each for each in members if not each.certain and not each.entry]
    review_queue.add(conn, [_question(entry, each) for each in doubtful], now)


def withdraw(conn: Connection, record_nos: Sequence[int]) -> None:
    """Take the open questions about these records back: the request that asked them has ended."""
    review_queue.withdraw_asked(conn, record_nos)


def _question(entry: int, candidate: Candidate) -> Doubt:
    confidence = min(max(candidate.confidence, _LEAST), 1 - _LEAST)
    return Doubt(entry, candidate.record_no, math.log2(confidence / (1 - confidence)), "request")
