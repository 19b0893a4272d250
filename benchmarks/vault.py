"""What sealing, opening and proving cost, on one thread (ADRs 3, 4 and 9).

    python benchmarks/vault.py [primitives|profile|tokens]...

Without arguments all of them; each prints one line of JSON. The keyring is made for the run and thrown away.
"""

import hmac
import os
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measure import microseconds, report, rounded

from consent.blind_indexes import BlindIndex
from consent.key_providers import FileKeyring
from consent.vault import COMPARABLE, Vault

FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "street", "postcode", "city")


def per_second(call: Callable[[], object]) -> float:
    """Return how often `call` runs in a second."""
    return rounded(1e6 / microseconds(call))


def primitives(_keyring: FileKeyring) -> None:
    """Time the bare operations of `cryptography` and the standard library, 64 bytes at a time."""
    cipher, nonce, message = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(64)
    sealed = cipher.encrypt(nonce, message, b"context")
    key, signer = os.urandom(32), Ed25519PrivateKey.generate()
    signature, public = signer.sign(message), signer.public_key()
    report(
        "vault.primitives",
        aes_gcm_encrypt_per_s=per_second(lambda: cipher.encrypt(nonce, message, b"context")),
        aes_gcm_decrypt_per_s=per_second(lambda: cipher.decrypt(nonce, sealed, b"context")),
        hmac_sha256_per_s=per_second(lambda: hmac.digest(key, message, "sha256")),
        ed25519_sign_per_s=per_second(lambda: signer.sign(message)),
        ed25519_verify_per_s=per_second(lambda: public.verify(signature, message)),
    )


def profile(keyring: FileKeyring) -> None:
    """Time what one profile read opens, and rewrapping at a rotation, through `consent.vault`."""
    vault = Vault(keyring)
    made = [vault.new_key(record_no=number, key_id=number) for number in (1, 2, 3)]
    values = dict.fromkeys(FIELDS, b"sixteen bytes ok")
    stored = [
        (number, epoch, wrapped, key.seal_fields(values))
        for number, (key, epoch, wrapped) in enumerate(made, 1)
    ]
    number, epoch, wrapped, packed = stored[0]
    one_blob = made[0][0].seal(COMPARABLE, b"\x1f".join(values.values()))

    def read(fields: tuple[str, ...], members: int) -> None:
        for no, member_epoch, member_wrapped, member_packed in stored[:members]:
            key = vault.open_key(record_no=no, key_id=no, epoch=member_epoch, wrapped=member_wrapped)
            key.open_fields(member_packed, fields)

    def rewrap() -> None:
        vault.rewrap_key(record_no=number, key_id=number, epoch=epoch, wrapped=wrapped)

    report(
        "vault.profile",
        unwrap_3_open_12_fields_us=rounded(microseconds(lambda: read(FIELDS[:4], 3))),
        new_key_us=rounded(microseconds(lambda: vault.new_key(record_no=1, key_id=1))),
        seal_8_fields_us=rounded(microseconds(lambda: made[0][0].seal_fields(values))),
        open_8_fields_us=rounded(microseconds(lambda: made[0][0].open_fields(packed, FIELDS))),
        open_one_blob_us=rounded(microseconds(lambda: made[0][0].open(COMPARABLE, one_blob))),
        rewrap_per_s=per_second(rewrap),
    )


def tokens(keyring: FileKeyring) -> None:
    """How fast blind-index tokens are made: by Aurea, and by a thief of the index root who tries numbers."""
    index = BlindIndex(keyring.index_root())
    numbers = iter(range(600_000_000, 700_000_000))
    each = microseconds(lambda: index.token("phone", f"+34{next(numbers)}"))
    plain = microseconds(lambda: hmac.digest(b"k" * 32, sha256(b"+34600000000").digest(), "sha256"))
    report(
        "vault.tokens",
        guesses_per_s=rounded(1e6 / each),
        standard_library_hmac_per_s=rounded(1e6 / plain),
        minutes_to_try_all_numbers_of_one_mobile_prefix_of_8_digits=rounded(1e8 * each / 1e6 / 60),
    )


MEASUREMENTS: dict[str, Callable[[FileKeyring], None]] = {
    "primitives": primitives,
    "profile": profile,
    "tokens": tokens,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        thrown_away = FileKeyring.create(Path(scratch) / "keyring")
        for name in sys.argv[1:] or MEASUREMENTS:
            MEASUREMENTS[name](thrown_away)
