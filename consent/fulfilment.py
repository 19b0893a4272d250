"""What fulfilling a data-subject request does, by its type. Every step is idempotent.

The records are fixed first (`Requests.begin`), then the work is done, then the request is closed with its
outcome. A crash in between leaves an approved request, and fulfilling it again completes it: consent events
may then stand twice, which changes nothing; corrections and erasures are found by the request's id.

Access and portability disclose nothing here: the bundle is prepared when an officer fetches it
(`consent.export`), and is never stored.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from consent.corrections import Corrector
from consent.erasure_exceptions import Exceptions
from consent.errors import RecordHeldError, UnknownSubjectError
from consent.holds import Holds
from consent.recording import ConsentRecorder, Saying
from consent.request_purposes import STATES
from consent.request_recognition import Recognition
from consent.request_settling import settle, settled
from consent.request_store import StoredRequest
from consent.requests import Approved, Requests
from consent.subjects import RecordsRef
from identity.database import Database

_LOOKS: Final = 4  # for holds, before an erasure gives up


class Receipt(Protocol):
    """The signed receipt of an erasure."""

    @property
    def document(self) -> dict[str, Any]:
        """What an offline verifier reads; holds no value of a person."""
        ...


class Eraser(Protocol):
    """Erases records for good (`consent.erasure`)."""

    def erase(
        self, record_nos: Sequence[int], *, request_id: str | None, now: int, last_hold: int | None = None
    ) -> Receipt:
        """Erase the records of one person; the same request again completes or repeats it.

        Raises RecordHeldError where a hold was declared after `last_hold`.
        """
        ...


class Notifier(Protocol):
    """Tells those who received a person's data (GDPR 19)."""

    def notify(self, kind: str, golden_no: int, now: int) -> Any:
        """Queue a notice about a golden ID."""
        ...


class Fulfilment:
    """Fulfils approved requests."""

    def __init__(
        self,
        *,
        db: Database,
        requests: Requests,
        recognition: Recognition,
        recorder: ConsentRecorder,
        corrector: Corrector,
        exceptions: Exceptions,
        holds: Holds,
        eraser: Eraser,
        notifier: Notifier,
    ) -> None:
        self._db = db
        self._requests, self._recognition, self._recorder = requests, recognition, recorder
        self._corrector, self._exceptions, self._holds = corrector, exceptions, holds
        self._eraser, self._notifier = eraser, notifier

    def fulfil(self, request_id: str, *, client: str, now: int) -> StoredRequest:
        """Do what the request asks for, and close it.

        Raises UnknownRequestError, RequestStateError and what the work itself raises.
        """
        approved, request = self._requests.begin(request_id, client=client, now=now)
        work: Callable[[Approved, str, int], dict[str, Any]] = {
            "access": self._disclose,
            "portability": self._disclose,
            "rectification": self._rectify,
            "erasure": self._erase,
        }.get(approved.type, self._say)
        held = self._held(request, now)
        if held and approved.type == "erasure" and not approved.named:
            # before the destruction: a crash in between must not leave the doubtful records served
            self._holds.doubt(held, approved.request_id, client=client, now=now)
        outcome = {"records": sorted(approved.record_nos), "held": held}
        outcome |= work(approved, client, now)
        return self._requests.fulfilled(request_id, outcome, client=client, now=now)

    def _disclose(self, approved: Approved, _client: str, _now: int) -> dict[str, Any]:
        return {"bundle": approved.type}

    def _rectify(self, approved: Approved, client: str, now: int) -> dict[str, Any]:
        number = self._corrector.correct(approved, client, now)
        self._tell("rectified", approved, now)
        return {"record": number, "attributes": sorted(approved.corrections)}

    def settle(
        self, request_id: str, record_no: int, *, theirs: bool, client: str, now: int
    ) -> StoredRequest:
        """Settle whose a record is that an erasure left out as doubtful; theirs is erased as well.

        Raises UnknownHoldError, and what an erasure raises: then nothing is settled, and it may be repeated.
        """
        hold = self._holds.doubts(request_id, record_no)
        said = self._erased_later(record_no, request_id, client, now) if theirs else _said(record_no, "left")
        request = settle(self._db, request_id, said, client=client, now=now)
        self._holds.lift(hold.hold_no, client=client, now=now)
        return request

    def go_on(self, now: int) -> int:
        """Erase what erasures wanted and no hold keeps any more; return how many records.

        May be repeated: what was erased before a crash is stated then, and nothing is stated twice.
        """
        count = 0
        for record_no, request_id in self._holds.waiting(now):
            done = settled(self._requests.find(request_id))
            if record_no not in done and not self._exceptions.of([record_no], now).record_nos:
                said = self._erased_later(record_no, request_id, "operator", now)
                settle(self._db, request_id, said, client="operator", now=now)
                count += 1
        return count

    def _erased_later(self, record_no: int, request_id: str, client: str, now: int) -> dict[str, Any]:
        """Erase a record that an erasure had left, under an id of its own, and say what became of it."""
        try:
            said = self._erased([record_no], f"{request_id}.{record_no}", client, now)
        except UnknownSubjectError:  # its channel has deleted it meanwhile
            return _said(record_no, "gone")
        return _said(record_no, "erased" if "receipt" in said else "kept") | said

    def _erase(self, approved: Approved, client: str, now: int) -> dict[str, Any]:
        return self._erased(approved.record_nos, approved.request_id, client, now)

    def _erased(self, record_nos: Sequence[int], request_id: str, client: str, now: int) -> dict[str, Any]:
        """Erase records but for those that the law keeps, which are restricted to storage."""
        for _ in range(_LOOKS - 1):
            with suppress(RecordHeldError):  # declared since it was looked at: look again
                return self._erased_once(record_nos, request_id, client, now)
        return self._erased_once(record_nos, request_id, client, now)

    def _erased_once(
        self, record_nos: Sequence[int], request_id: str, client: str, now: int
    ) -> dict[str, Any]:
        last_hold = self._holds.last()
        kept = self._exceptions.of(record_nos, now)
        erased = [number for number in record_nos if number not in kept.record_nos]
        if kept.record_nos:
            self._record("restricted", sorted(kept.record_nos), self._exceptions.purpose, client, now)
            self._holds.met(kept.met, request_id.partition(".")[0])
        said: dict[str, Any] = {"fields": kept.fields}
        if erased:
            receipt = self._eraser.erase(erased, request_id=request_id, now=now, last_hold=last_hold)
            said["receipt"] = receipt.document
        # last: a hold that is declared meanwhile would have the erasure look again
        self._holds.oblige(kept.ends, request_id.partition(".")[0], client=client, now=now)
        return said

    def _say(self, approved: Approved, client: str, now: int) -> dict[str, Any]:
        """Record what the person says about purposes, on every record and address of theirs."""
        state = STATES[approved.type]
        events = [
            index
            for purpose in approved.purposes
            for index in self._record(state, approved.record_nos, purpose, client, now)
        ]
        return {"purposes": list(approved.purposes), "events": events}

    def _record(
        self, state: str, record_nos: Sequence[int], purpose: str, client: str, now: int
    ) -> list[int]:
        said = Saying(purpose, state, "verified", f"client:{client}")
        events = self._recorder.record(RecordsRef(tuple(record_nos)), said, now)
        return [event.index for event in events if event.index is not None]

    def _held(self, request: StoredRequest, now: int) -> list[int]:
        """Return the records that the identifiers lead to and nobody approved: for a steward to judge."""
        recognised = self._recognition.of(request, now)
        approved = set(request.members or ())
        return [each.record_no for each in recognised.members if each.record_no not in approved]

    def _tell(self, kind: str, approved: Approved, now: int) -> None:
        self._notifier.notify(kind, approved.golden_no, now)


def _said(record_no: int, outcome: str) -> dict[str, Any]:
    """Say what became of a record: erased, kept (by law), left (somebody else's) or gone."""
    return {"record": record_no, "outcome": outcome}
