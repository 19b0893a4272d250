"""The signature of OpenDSR answers and callbacks (specification.md, sections 4 and 8.8).

RSA PKCS #1 v1.5 over SHA-256 of the body, in base64. The certificate must be a trusted authority's for the
domain at which the service is reached: AUREA_OPENDSR_CERTIFICATE and AUREA_OPENDSR_KEY name the files. Where
none is set one is made that signs itself, for `localhost`, and kept in the home: it serves tests, not
controllers, and discovery says so.
"""

import base64
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from api.settings import Settings, SettingsError

_OWN: Final = "opendsr.pem"
_LOCAL: Final = "localhost"
_YEARS: Final = 10


class OpenDsrSigner:
    """Signs bodies. `domain`: the one that the certificate was issued for; `trusted`: it is not our own."""

    def __init__(self, certificates: bytes, key: bytes, *, trusted: bool) -> None:
        """Read PEM. Raises SettingsError."""
        try:
            found = x509.load_pem_x509_certificates(certificates)
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError):
            raise SettingsError(
                "AUREA_OPENDSR_CERTIFICATE and AUREA_OPENDSR_KEY must be PEM files, the key without password"
            ) from None
        if not isinstance(private, rsa.RSAPrivateKey) or private.public_key() != found[0].public_key():
            raise SettingsError("AUREA_OPENDSR_KEY must be the RSA key of AUREA_OPENDSR_CERTIFICATE")
        self._key, self.trusted = private, trusted
        self.domain = _domain(found[0])
        self.certificates = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in found)

    @classmethod
    def of(cls, settings: Settings) -> "OpenDsrSigner":
        """Return the signer of this installation. Raises SettingsError."""
        named = (settings.opendsr_certificate, settings.opendsr_key)
        if named[0] is not None and named[1] is not None:
            return cls(named[0].read_bytes(), named[1].read_bytes(), trusted=True)
        if any(named):
            raise SettingsError("set both AUREA_OPENDSR_CERTIFICATE and AUREA_OPENDSR_KEY, or neither")
        own = settings.home / _OWN
        if not own.exists():
            _make(own)
        content = own.read_bytes()
        return cls(content, content, trusted=False)

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers that an answer or a callback with this body must have."""
        signature = self._key.sign(body, padding.PKCS1v15(), hashes.SHA256())
        return {
            "X-OpenDSR-Processor-Domain": self.domain,
            "X-OpenDSR-Signature": base64.b64encode(signature).decode(),
        }


def _domain(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise SettingsError("AUREA_OPENDSR_CERTIFICATE names no domain") from None
    found = names.get_values_for_type(x509.DNSName)
    if not found:
        raise SettingsError("AUREA_OPENDSR_CERTIFICATE names no domain")
    return str(found[0])


def _make(path: Path) -> None:
    """Write a key and its own certificate; where two processes do, the first one's stands."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _LOCAL)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_LOCAL)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
