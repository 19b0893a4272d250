"""Webhooks: what each client may know of the change feed, queued and delivered in signed messages.

Callbacks of requests are delivered with them, each signed in its own form.

A client is told of golden IDs that were disclosed to it before, in its own form, and of a withdrawal only
where it reads for the purpose concerned. The secret is derived from the keyring and stored nowhere.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from api.auth import Caller
from api.changes import START, ChangeFeed
from api.settings import SettingsError
from api.store import Client, find_client
from api.times import rfc3339
from api.webhook_sending import DeliveryError, check_new_url, send
from consent.key_providers import SecretBytes
from consent.recipients import CALLBACK, Delivery, Recipients, Webhook
from consent.webhook_signatures import headers, secret_text
from identity.database import Database
from identity.store import MembershipReader

_PAGE: Final = 500
_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """What one round did."""

    queued: int
    delivered: int
    failed: int


class Webhooks:
    """Adds webhooks and works their queue. Any number of processes may."""

    def __init__(
        self,
        *,
        db: Database,
        recipients: Recipients,
        changes: ChangeFeed,
        memberships: MembershipReader,
        root: SecretBytes,
        clock: Callable[[], int],
        private: bool,
        sign_callback: Callable[[bytes], Mapping[str, str]],
    ) -> None:
        self._sign_callback = sign_callback
        self._db, self._recipients, self._changes = db, recipients, changes
        self._memberships, self._root, self._clock, self._private = memberships, root, clock, private

    def add(self, client_id: str, url: str) -> tuple[int, str]:
        """Tell a consumer of what happens from now on; return the webhook's number and its secret.

        Raises SettingsError for an address that is not acceptable or a client that reads no profiles.
        """
        check_new_url(url, private=self._private)
        with self._db.read() as conn:
            client = find_client(conn, client_id)
            head = self._memberships.head(conn) or START
        if client is None or client.role != "consumer" or client.revoked_at is not None:
            raise SettingsError("a webhook belongs to a client with the role consumer: name its client_id")
        caller = _caller(client)
        number = self._recipients.add(client_id, url, self._changes.shown(caller, head), self._clock())
        return number, secret_text(self._secret(number))

    def work(self) -> Sent:
        """Queue what is new and attempt what is due."""
        queued = sum(self._queue(webhook) for webhook in self._recipients.webhooks())
        delivered = failed = 0
        for delivery in self._recipients.claim(self._clock(), _AT_ONCE):
            try:
                send(delivery.url, self._signed(delivery), delivery.body, private=self._private)
            except (DeliveryError, SettingsError) as error:
                self._recipients.failed(delivery, str(error), self._clock())
                failed += 1
            else:
                self._recipients.delivered(delivery)
                delivered += 1
        return Sent(queued, delivered, failed)

    def _queue(self, webhook: Webhook) -> int:
        with self._db.read() as conn:
            client = find_client(conn, webhook.client_id)
            if client is not None and client.revoked_at is None:
                found, cursor = self._changes.numbered(conn, _caller(client), webhook.cursor, _PAGE)
            else:
                client = None
        if client is None:  # a revoked client is told of nothing more, nor of what waited to be sent
            self._recipients.remove(webhook.webhook_no)
            return 0
        if cursor == webhook.cursor:
            return 0
        messages = []
        for golden_no, recorded_at, change in found:
            data = change.model_dump(exclude={"type", "cursor"})
            body = {"type": f"golden_id.{change.type}", "timestamp": rfc3339(recorded_at), "data": data}
            messages.append((golden_no, json.dumps(body, separators=(",", ":")).encode()))
        return len(messages) if self._recipients.queue(webhook, messages, cursor, self._clock()) else 0

    def _signed(self, delivery: Delivery) -> Mapping[str, str]:
        if delivery.webhook_no == CALLBACK:
            return self._sign_callback(delivery.body)
        secret, seconds = self._secret(delivery.webhook_no), self._clock() // 1000
        return headers(secret, delivery.message_id, seconds, delivery.body)

    def _secret(self, webhook_no: int) -> bytes:
        return hmac.digest(self._root.reveal(), b"aurea webhook secret 1 %d" % webhook_no, "sha256")


def _caller(client: Client) -> Caller:
    return Caller(client.client_id, client.role, frozenset(client.purposes), client.pairwise, 2**62)
