"""Gauges read from the store when Prometheus asks: how far the service is, not who is in it."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from consent.key_providers import KeyProvider
from identity.database import Database
from identity.errors import IdentityError

# Counters, indexed extremes and counts up to a bound: millions of rows are no business of a scrape.
AT_MOST: Final = 10_000
"""A queue of this depth, or a longer one."""


def _queue(what: str) -> TextClause:
    return text(f"SELECT COUNT(*) FROM (SELECT 1 FROM {what} LIMIT {AT_MOST}) AS waiting")  # noqa: S608 - our tables


_READINGS: Final = {
    "aurea_published_version": (
        "Publications of golden IDs so far",
        text("SELECT value FROM counters WHERE name = 'published_version'"),
    ),
    "aurea_ledger_events": (
        "Consent events in the ledger",
        text("SELECT COALESCE(MAX(idx) + 1, 0) FROM ledger"),
    ),
    "aurea_pending_destructions": (
        "Keys whose destruction is not confirmed yet",
        text("SELECT COUNT(*) FROM pending_destructions"),
    ),
    "aurea_ledger_signed_events": (
        "Consent events that the last signed checkpoint covers",
        text("SELECT COALESCE(MAX(size), 0) FROM checkpoints"),
    ),
    "aurea_erasures_unfinished": (
        "Erasures under way",
        text("SELECT COUNT(*) FROM erasures WHERE finished_at IS NULL"),
    ),
    "aurea_requests_open": (
        "Data-subject requests that are not answered, 10,000 at most",
        _queue("requests WHERE state IN ('received', 'verifying', 'in_progress')"),
    ),
    "aurea_webhook_queue": (
        "Messages to recipients that wait, 10,000 at most",
        _queue("deliveries WHERE dead = 0"),
    ),
    "aurea_webhook_dead": ("Messages given up, 10,000 at most", _queue("deliveries WHERE dead = 1")),
    "aurea_review_queue": (
        "Pairs that wait for a steward, 10,000 at most",
        _queue("reviews WHERE state = 'open'"),
    ),
    "aurea_last_run_finished_seconds": (
        "When the last linkage run was published, seconds since the epoch",
        text("SELECT COALESCE(MAX(finished_at), 0) / 1000.0 FROM runs WHERE status = 'published'"),
    ),
}


class StoreGauges(Collector):
    """Reads every gauge in one snapshot; leaves them out while the store does not answer."""

    def __init__(self, db: Database, keyring: KeyProvider) -> None:
        self._db, self._keyring = db, keyring

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the gauges."""
        epochs = self._keyring.epochs()
        yield GaugeMetricFamily("aurea_key_epoch", "The epoch that wraps new keys", value=max(epochs))
        yield GaugeMetricFamily("aurea_key_epochs", "Epochs whose key still exists", value=len(epochs))
        try:
            with self._db.read() as conn:
                values = {name: float(conn.execute(sql).scalar_one()) for name, (_, sql) in _READINGS.items()}
        except (SQLAlchemyError, IdentityError):
            return
        for name, value in values.items():
            yield GaugeMetricFamily(name, _READINGS[name][0], value=value)
