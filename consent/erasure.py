"""Erasing a person, provably: seven numbered steps, each idempotent, resumed after a crash at any point.

1. start     The ledger says that an erasure started and commits to the records approved for it. The job
             is stored, sealed under a key of its own. A crash before it leaves a key that opens nothing.
2. suppress  Entries by which the person is known again. They come before the destruction, because they are
             made of tokens that die with the keys, and so that no arrival can slip in between.
3. destroy   The records' keys with their tokens, their evidence keys and contact points as the policy allows,
             and what runs keep of their contacts. From here on no store opens the records.
4. remove    Rows, links, questions, memberships, queued notifications. The golden ID is `erased` where no
             record is left.
5. finish    Recipients are told. The ledger says that it is finished and commits to what the receipt states.
6. sign      The receipt with both inclusion proofs, under a signed checkpoint.
7. seal off  The erasure log gets the receipt. The job's key is destroyed and its ledger entries are emptied:
             what remains is the receipt.

What each step leaves behind when the process dies is what the step before it left, and `resume` goes on
there. Two processes may resume one job: every step is harmless when repeated, and the two entries of the
ledger are appended in the transaction that notes the step.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from consent import erasure_entries
from consent.decisions import denying
from consent.entries import canonical
from consent.erasure_entries import ErasureEntry
from consent.erasure_job import Job, Jobs
from consent.erasure_receipt_verification import FINISHED, STARTED
from consent.erasure_receipts import backups, sign, statement
from consent.errors import ConsentError, RecordHeldError, UnknownSubjectError
from consent.events import CONTACT, ERASURE, RECORD, Subject
from consent.holds import last_of
from consent.records import RecordWriter
from consent.retention import DAY_MS, evidence_until
from consent.suppressing import marks_of
from consent.vault import EvidenceKey
from identity import forgetting
from identity.statements import Statement, slices
from identity.store import MembershipReader

SUPPRESSION_DAYS: Final = 1095  # three years (privacy.md section 6)
KEY_BACKUP_DAYS: Final = 35

Hook = Callable[[str], None]
Log = Callable[[Mapping[str, Any]], None]

_LIVE: Final = Statement("""
    SELECT record_no, key_id FROM records WHERE record_no IN :record_nos ORDER BY record_no
""")


class Recipients(Protocol):
    """Who was told of a person, and is told of the erasure (GDPR 19)."""

    def forget(self, golden_nos: Sequence[int]) -> None:
        """Drop what is queued about golden IDs."""
        ...

    def notify(self, kind: str, golden_no: int, now: int) -> None:
        """Tell whoever received data of a golden ID."""
        ...


class NoRecipients:
    """Nobody outside is told anything: the change feed is all there is."""

    def forget(self, golden_nos: Sequence[int]) -> None:
        """Drop nothing."""

    def notify(self, kind: str, golden_no: int, now: int) -> None:
        """Tell nobody."""


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """A signed receipt: `document` is JSON that `consent.erasure_receipt_verification` checks offline."""

    erasure_no: int
    document: dict[str, Any]


def _proceed(_step: str) -> None:
    """Do nothing: the hook of production."""


def _keep_nothing(_receipt: Mapping[str, Any]) -> None:
    """Keep no log of erasures outside the store."""


class Erasure:
    """Erases people. Threads and processes may share the stores; `hook` is called before every step."""

    def __init__(
        self,
        writer: RecordWriter,
        *,
        signing_key: Ed25519PrivateKey,
        recipients: Recipients | None = None,
        suppression_days: int = SUPPRESSION_DAYS,
        key_backup_days: int = KEY_BACKUP_DAYS,
        log: Log = _keep_nothing,
        hook: Hook = _proceed,
    ) -> None:
        self._writer, self._stores = writer, writer.stores
        self._signing_key, self._recipients = signing_key, recipients or NoRecipients()
        self._suppression_days, self._key_backup_days = suppression_days, key_backup_days
        self._log, self._hook = log, hook
        self._jobs = Jobs(writer.stores)
        self._memberships = MembershipReader()

    def erase(
        self, record_nos: Sequence[int], *, request_id: str | None, now: int, last_hold: int | None = None
    ) -> ErasureReceipt:
        """Erase the records of one person and return the receipt.

        `last_hold` is the last hold that was looked at before the records were chosen: where one was declared
        since, RecordHeldError is raised before anything begins.

        A request that was begun before is completed, and one that is done gives its receipt again, whatever
        `record_nos` are now. Raises UnknownSubjectError where none of the records is live, and
        DestructionIncompleteError if a reader keeps deleted bytes alive: then `resume` completes it.
        """
        with self._stores.db.read() as conn:
            known = self._jobs.of_request(conn, request_id)
        return self._complete(
            self._start(record_nos, request_id, now, last_hold) if known is None else known, now
        )

    def resume(self, now: int) -> int:
        """Complete every erasure that was left under way; return how many.

        One that cannot be completed holds up no other; what the first such raised is raised at the end.
        """
        with self._stores.db.read() as conn:
            unfinished = self._jobs.unfinished(conn)
        failures: list[ConsentError] = []
        for erasure_no in unfinished:
            try:
                self._complete(erasure_no, now)
            except ConsentError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return len(unfinished)

    def receipt(self, erasure_no: int) -> ErasureReceipt | None:
        """Return the receipt of a finished erasure."""
        with self._stores.db.read() as conn:
            document = self._jobs.receipt(conn, erasure_no)
        return None if document is None else ErasureReceipt(erasure_no, document)

    def _complete(self, erasure_no: int, now: int) -> ErasureReceipt:
        # That the keys are destroyed is noted with the removal: up to there both are repeated.
        steps = ((2, self._suppress), (4, self._destroy), (4, self._remove), (5, self._finish))
        receipt = self.receipt(erasure_no)
        key = self._jobs.key(erasure_no)
        if receipt is None and key is not None:
            for number, step in steps:
                with self._stores.db.read() as conn:
                    job = self._jobs.load(conn, erasure_no, key)
                if job is not None and job.step < number:
                    self._hook(step.__name__[1:])
                    step(job, key, now)
            self._hook("sign")
            receipt = self._sign(erasure_no, key, now)
        if receipt is None:  # another process finished it between the two looks
            receipt = self.receipt(erasure_no)
        if receipt is None:
            raise UnknownSubjectError("the key of this erasure is gone, but it has no receipt")
        self._hook("seal off")
        self._seal_off(erasure_no, now)
        return receipt

    def _start(
        self, record_nos: Sequence[int], request_id: str | None, now: int, last_hold: int | None
    ) -> int:
        """Step 1."""
        stores = self._stores
        self._hook("start")
        erasure_no, key = self._jobs.new_key()
        self._hook("start, after the key")
        with stores.db.write() as conn:
            wanted = sorted(set(record_nos))
            live = [row for part in slices(wanted) for row in _LIVE.rows(conn, record_nos=part)]
            known = self._jobs.of_request(conn, request_id)
            if known is not None:  # the same request, begun by another process this very moment
                return known
            if last_hold is not None and last_of(conn) != last_hold:
                raise RecordHeldError("a hold was declared a moment ago: look again at what it keeps")
            if not live:
                raise UnknownSubjectError("there is no such record: nothing is left to erase")
            goldens = sorted(set(self._memberships.goldens_of(conn, [no for no, _ in live]).values()))
            job = Job(
                erasure_no=erasure_no,
                request_id=request_id,
                started_at=now,
                records=tuple(record_no for record_no, _ in live),
                keys=tuple(key_id for _, key_id in live),
                goldens=tuple(goldens),
            )
            said = {"erasure": erasure_no, "keys": job.keys, "records": job.records, "request": request_id}
            self._jobs.insert(conn, self._append(conn, job, STARTED, said, key, now=now), key)
        return erasure_no

    def _suppress(self, job: Job, key: EvidenceKey, now: int) -> None:
        """Step 2."""
        stores = self._stores
        marks = marks_of(stores, job.records)
        until = job.started_at + self._suppression_days * DAY_MS
        with stores.keys.write() as conn:
            count = stores.key_store.suppressions.add(conn, marks.entries, now, until)
        # Repeated after a crash it finds the same, for the keys are still there.
        with stores.db.write() as conn:
            job = replace(job, step=2, entries=count, contacts=marks.contact_nos)
            self._jobs.save(conn, job, key, since=1)

    def _destroy(self, job: Job, key: EvidenceKey, now: int) -> None:
        """Step 3. Until step 4 the rows stand, so a repetition finds the same keys to destroy."""
        contacts = self._evidence_of_contacts(job, now)
        with self._stores.db.write() as conn:
            noted = self._writer.note_destruction(conn, job.records, now)
            destroyed = tuple(sorted({*job.keys, *noted}))
            job = replace(job, destroyed=destroyed, contacts_gone=tuple(subject.no for subject in contacts))
            self._jobs.save(conn, job, key, since=2)
        self._writer.destroy_keys(destroyed, now, contacts)

    def _remove(self, job: Job, key: EvidenceKey, now: int) -> None:
        """Step 4."""
        stores = self._stores
        subjects = [Subject(RECORD, no) for no in job.records]
        subjects += [Subject(CONTACT, no) for no in job.contacts_gone]
        with stores.keys.read() as keys_conn:
            proven = stores.key_store.evidence.fetch(keys_conn, subjects)
        self._recipients.forget(job.goldens)
        with stores.db.write() as conn:
            self._writer.remove_destroyed(conn, job.destroyed, now)
            stores.ledger.shred(conn, [subject for subject in subjects if subject not in proven])
            forgetting.forget(conn, job.records)
            outcome = {
                "contact_points": {
                    "destroyed": len(job.contacts_gone),
                    "kept_for_a_denial": len(job.contacts) - len(job.contacts_gone),
                },
                "evidence": {
                    "kept": len(proven),
                    "kept_until": max((row.retain_until for row in proven.values()), default=None),
                },
                "golden_ids": self._erased(conn, job.goldens),
                "told": len(job.goldens),
            }
            self._jobs.save(conn, replace(job, step=4, outcome=outcome), key, since=2)
        stores.db.truncate_log(0.0)  # where a long reader keeps it, nothing in it opens anything

    def _evidence_of_contacts(self, job: Job, now: int) -> dict[Subject, int | None]:
        """Return the contact points that only this person had, and until when their evidence is kept.

        One that carries a standing denial is not among them: the address stays refused.
        """
        subjects = [Subject(CONTACT, no) for no in job.contacts]
        with self._stores.db.read() as conn:
            events = self._stores.ledger.events_for(conn, subjects)
        denied = denying(events, now)
        until = evidence_until(events, self._stores.purposes, now)
        return {subject: until.get(subject) for subject in subjects if subject not in denied}

    def _finish(self, job: Job, key: EvidenceKey, now: int) -> None:
        """Step 5. Recipients are told before it is noted: twice after a crash, never not at all."""
        stores = self._stores
        for golden_no in job.goldens:
            self._recipients.notify("erased", golden_no, now)
        held = backups(stores.vault.epochs(), now, self._key_backup_days, sqlite=stores.keys.is_sqlite)
        said = statement(job, now, self._suppression_days, held)
        with stores.db.write() as conn:
            current = self._jobs.load(conn, job.erasure_no, key)
            if current is not None and current.step < 5:
                done = self._append(conn, replace(current, step=5), FINISHED, said, key, now=now)
                self._jobs.save(conn, done, key, since=4)

    def _sign(self, erasure_no: int, key: EvidenceKey, now: int) -> ErasureReceipt | None:
        """Step 6."""
        stores = self._stores
        with stores.db.read() as conn:
            job = self._jobs.load(conn, erasure_no, key)
        if job is None:
            return None
        document = sign(job, stores.ledger, stores.ledger.checkpoint(now), self._signing_key)
        with stores.db.write() as conn:
            self._jobs.sign(conn, erasure_no, canonical(document))
        return ErasureReceipt(erasure_no, document)

    def _seal_off(self, erasure_no: int, now: int) -> None:
        """Step 7."""
        stores = self._stores
        with stores.db.read() as conn:
            if erasure_no not in self._jobs.unfinished(conn):
                return
            document = self._jobs.receipt(conn, erasure_no)
        if document is not None:
            self._log(document)  # twice after a crash, never not at all
        subject = Subject(ERASURE, erasure_no)
        stores.key_store.destroy([], evidence={subject: None})
        with stores.db.write() as conn:
            stores.ledger.shred(conn, [subject])
            self._jobs.finish(conn, erasure_no, now)

    def _append(
        self, conn: Connection, job: Job, kind: str, said: dict[str, Any], key: EvidenceKey, *, now: int
    ) -> Job:
        entry: ErasureEntry = erasure_entries.prepare(
            kind, job.erasure_no, said, key, now=now, policy=self._stores.ledger.policy
        )
        index = self._stores.ledger.append_rows(conn, [entry.row])
        proof = {"index": index, "said": said, "salt": base64.b64encode(entry.salt).decode()}
        return replace(job, proofs={**job.proofs, kind: proof})

    def _erased(self, conn: Connection, golden_nos: Sequence[int]) -> list[str]:
        """Return the golden IDs that are nobody any more."""
        views = (self._memberships.view(conn, golden_no) for golden_no in golden_nos)
        return [view.golden_id for view in views if view is not None and view.status == "erased"]
