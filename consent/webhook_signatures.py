"""Signatures of webhooks in the Standard Webhooks form (HMAC-SHA256), github.com/standard-webhooks (pure).

Signed are the message's ID, the time of the attempt and the body, so that a recipient can refuse what is
old or comes twice. Own code, since it is a dozen lines with published vectors.
"""

import base64
import hmac
from typing import Final

PREFIX: Final = "whsec_"


def secret_text(secret: bytes) -> str:
    """Return a secret as recipients configure it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secret: bytes, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers of an attempt made `seconds` after the epoch."""
    signed = f"{message_id}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }
