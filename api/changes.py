"""The change feed as each caller may see it.

Stewards, officers, auditors and operators see every change with record numbers. A consumer sees only what
happened to golden IDs it was told before, as `merged`, `split`, `updated` or `gone`, and of the other IDs
involved only those it was told before; no record numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from api.auth import Caller
from api.disclosures import Disclosures
from api.pairwise import GoldenNames
from api.schemas import Change
from identity.store import Change as StoredChange
from identity.store import MembershipReader

START: Final = "0.0"
_SCANNED: Final = 20_000  # changes looked through per request on behalf of a consumer
_BATCH: Final = 1_000
_TO_CONSUMERS: Final = {
    "merged": "merged", "split": "split", "updated": "updated", "gone": "gone", "reactivated": "updated",
}  # fmt: skip


# What a poller hears of the events that no linkage makes; a webhook hears them by their own names.
_POLLED: Final = {**_TO_CONSUMERS, "withdrawn": "updated", "erased": "gone", "rectified": "updated"}
RECIPIENT_KINDS: Final = {
    **_TO_CONSUMERS,
    "withdrawn": "withdrawn",
    "erased": "erased",
    "rectified": "rectified",
}


class ChangeFeed:
    """Reads the published changes for a caller."""

    def __init__(self, memberships: MembershipReader, disclosures: Disclosures, names: GoldenNames) -> None:
        self._memberships = memberships
        self._disclosures = disclosures
        self._names = names

    def after(
        self, conn: Connection, caller: Caller, cursor: str | None, limit: int
    ) -> tuple[list[Change], str]:
        """Return up to `limit` changes after `cursor`, and the cursor to go on with.

        A consumer may get fewer, even none, though more follow: it goes on until the cursor stays.
        Raises CursorError for a cursor that this feed never gave.
        """
        found, following = self._after(conn, caller, cursor, limit, _POLLED)
        return [change for *_, change in found], following

    def numbered(
        self, conn: Connection, caller: Caller, cursor: str, limit: int
    ) -> tuple[list[tuple[int, int, Change]], str]:
        """Return the same for a webhook, each change with its golden number and time (ms)."""
        return self._after(conn, caller, cursor, limit, RECIPIENT_KINDS)

    def shown(self, caller: Caller, cursor: str) -> str:
        """Return a cursor as `caller` is given it."""
        return self._names.shown_cursor(caller, cursor)

    def _after(
        self, conn: Connection, caller: Caller, cursor: str | None, limit: int, kinds: Mapping[str, str]
    ) -> tuple[list[tuple[int, int, Change]], str]:
        found: list[tuple[int, int, Change]] = []
        position = self._names.meant_cursor(caller, cursor) if cursor else None
        for _ in range(_SCANNED // _BATCH):
            batch = self._memberships.changes_after(conn, position, min(_BATCH, limit - len(found)))
            if not batch:
                break
            position = batch[-1].cursor
            found.extend(self._visible(conn, caller, batch, kinds))
            if len(found) >= limit or caller.role != "consumer":
                break
        return found, self._names.shown_cursor(caller, position or START)

    def _visible(
        self, conn: Connection, caller: Caller, batch: list[StoredChange], kinds: Mapping[str, str]
    ) -> Iterable[tuple[int, int, Change]]:
        involved = {change.golden_no for change in batch}
        for change in batch:
            involved.update(_others(change.details))
        known = self._disclosures.among(conn, caller, sorted(involved))
        names = self._memberships.names(conn, known)
        for change in batch:
            if change.golden_no not in known:
                continue
            purpose = change.details.get("purpose")
            if purpose is not None and not caller.may_name(purpose):
                continue
            kind = kinds.get(change.type) if caller.role == "consumer" else change.type
            if kind is None:
                continue
            others = [names[number] for number in _others(change.details) if number in names]
            yield change.golden_no, change.recorded_at, self._shown(caller, change, kind, others)

    def _shown(self, caller: Caller, change: StoredChange, kind: str, others: list[Any]) -> Change:
        more: dict[str, Any] = {}
        shown = [self._names.shown(caller, other) for other in others]
        if change.type == "merged" and shown:
            more["into"] = shown[0]
        elif change.type in {"split", "updated"} and shown:
            more["successors" if change.type == "split" else "moved_to"] = shown
        if caller.role != "consumer":
            more |= _records(change.details)
        golden_id = self._names.shown(caller, change.golden_id)
        cursor = self._names.shown_cursor(caller, change.cursor)
        return Change(cursor=cursor, type=kind, golden_id=golden_id, **more)


def _others(details: Mapping[str, Any]) -> Sequence[int]:
    """Return the golden numbers that took over records."""
    numbers: Sequence[int] = details.get("into") or details.get("to") or ()
    return numbers


def _records(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: details[name] for name in ("records", "joined", "left") if details.get(name)}
