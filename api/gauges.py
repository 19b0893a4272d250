"""Gauges read from the store when Prometheus asks: how far the service is, not who is in it."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from identity.database import Database
from identity.errors import IdentityError

# Counters and indexed extremes only: a count over millions of rows is no business of a scrape.
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
    "aurea_last_run_finished_seconds": (
        "When the last linkage run was published, seconds since the epoch",
        text("SELECT COALESCE(MAX(finished_at), 0) / 1000.0 FROM runs WHERE status = 'published'"),
    ),
}


class StoreGauges(Collector):
    """Reads every gauge in one snapshot; leaves them out while the store does not answer."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the gauges."""
        try:
            with self._db.read() as conn:
                values = {name: float(conn.execute(sql).scalar_one()) for name, (_, sql) in _READINGS.items()}
        except (SQLAlchemyError, IdentityError):
            return
        for name, value in values.items():
            yield GaugeMetricFamily(name, _READINGS[name][0], value=value)
