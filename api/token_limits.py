"""How often somebody may try to get a token: checking a secret is slow on purpose, so it must not be free.

Every attempt counts for its client ID and address, known or not; failures count for the address as well, so
that many client IDs cannot be tried from one place. Neither says whether there is such a client. Addresses
are kept as keyed hashes, for a minute at most. Behind a proxy every caller has the proxy's address.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.clients import InvalidClientError
from api.problems import too_often
from api.rate_limits import Rate, RateLimits
from consent.key_providers import SecretBytes

ATTEMPTS: Final = Rate(per_second=2, burst=60)  # of a client ID from an address; a token lives ten minutes
FAILURES: Final = Rate(per_second=5, burst=100)  # from an address


class TokenLimits:
    """Lets attempts through, or refuses them with 429 before anything is checked."""

    def __init__(self, rates: RateLimits, root: SecretBytes) -> None:
        self._rates = rates
        self._key = HKDF(
            algorithm=hashes.SHA256(), length=32, salt=None, info=b"aurea token attempts 1"
        ).derive(root.reveal())

    @contextmanager
    def attempt(self, client_id: str, address: str) -> Iterator[None]:
        """Count an attempt that the block makes. Raises a 429 problem where there were too many."""
        pair = self._bucket("pair", f"{len(client_id)} {client_id} {address}")
        failures = self._bucket("address", address)
        self._count(pair, ATTEMPTS)
        self._count(failures, FAILURES)
        failed = False
        try:
            yield
        except InvalidClientError:
            failed = True
            raise
        finally:
            if not failed:
                self._rates.give_back(failures, FAILURES)

    def _count(self, bucket: str, rate: Rate) -> None:
        wait = self._rates.wait(bucket, rate)
        if wait:
            raise too_often(wait)

    def _bucket(self, kind: str, name: str) -> str:
        return f"{kind}:{hmac.digest(self._key, name.encode('utf-8', 'replace'), 'sha256')[:16].hex()}"
