"""Rectification (GDPR 16): a correcting record that belongs to the person and outranks what it corrects.

1. The record is written: channel `rectification`, source_id the request's id, the corrected attributes.
2. It may be linked: an officer's word, given only where the record that it corrects may be linked.
3. It stands alone, compared with nobody: what it says might be a stranger's too. Then it is judged to be the
   same person as each of the records that the officer approved as the requester's own. The judgements hold it
   there in every rerun, also where one of these records is deleted; the last of them takes the correction
   with it (`consent.correction_ties`). The change feed tells consumers that the profile changed.

Each step is idempotent: the same request again finds the same record. What survives in a profile is then the
correction (`identity.survivorship`), however often a channel repeats the wrong value.
"""

from contextlib import suppress
from typing import Final

from consent.errors import RequestBlockedError
from consent.incoming import IncomingRecord
from consent.purposes import IDENTITY_LINKING
from consent.recording import ConsentRecorder, Saying
from consent.records import RecordWriter
from consent.requests import Approved
from consent.subjects import RecordsRef
from identity.arriving import Arrival
from identity.database import Database
from identity.errors import NotJudgeableError
from identity.judging import Judge
from identity.online import OnlineResolver
from identity.records import RECTIFICATION
from identity.statements import Statement

_ANY: Final = 2**62  # nothing was scored, so nothing can be stale
REASON: Final = "rectification on request of the person"

_LINKING: Final = Statement("SELECT linking FROM records WHERE record_no = :record_no")


class Corrector:
    """Writes correcting records."""

    def __init__(
        self,
        *,
        db: Database,
        writer: RecordWriter,
        recorder: ConsentRecorder,
        judge: Judge,
        online: OnlineResolver,
    ) -> None:
        self._db, self._writer, self._recorder = db, writer, recorder
        self._judge, self._online = judge, online

    def correct(self, approved: Approved, client: str, now: int) -> int:
        """Write the correcting record of a request and return its number.

        Raises RequestBlockedError where the person's record may not be linked, and RecordRejectedError.
        """
        entry = approved.record_nos[0]
        self._require_linkable(entry)
        record = IncomingRecord(
            RECTIFICATION,
            approved.request_id,
            attributes={name: list(values) for name, values in approved.corrections.items()},
        )
        result = self._writer.write([record], now=now, correcting=True)[0]
        if result.record_no is None:
            raise RequestBlockedError(f"the correction was not stored: it is {result.status}")
        said = Saying(IDENTITY_LINKING, "granted", "verified", f"client:{client}")
        self._recorder.record(RecordsRef((result.record_no,)), said, now)
        self._online.attach(Arrival(result.record_no, [], _ANY, 0.0), now)
        self._judge.decide((entry, result.record_no), "same", author=client, reason=REASON, now=now)
        for number in approved.record_nos[1:]:
            with suppress(NotJudgeableError):  # its channel has deleted it meanwhile
                self._judge.decide((number, result.record_no), "same", author=client, reason=REASON, now=now)
        return result.record_no

    def _require_linkable(self, record_no: int) -> None:
        with self._db.read() as conn:
            rows = _LINKING.rows(conn, record_no=record_no)
        if not rows or not rows[0][0]:
            raise RequestBlockedError(
                f"record {record_no} may not be linked, so no correction can be joined to it: "
                "correct it in its own channel, and send the record again"
            )
