"""A keyring file that only HashiCorp Vault can open: its transit engine encrypts the whole of it.

The keys themselves work in the memory of this process, as those of a plain file do: one call to Vault opens
them when a process starts, and none is made for a record. What Vault adds: a stolen file or backup opens
nothing, and `forget` makes every older copy of the file unreadable for ever, by trimming the transit key.

The token needs `update` on `encrypt/KEY` and `decrypt/KEY` of the mount and on `rotate`, `config` and `trim`
of `keys/KEY`, and `read` on `keys/KEY`, which must exist (type aes256-gcm96).
Needs the package `hvac` (the extra `vault`).
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from consent.errors import KeyringError
from consent.keyring_file import KeyringContents

_FORMAT: Final = 1
_SECONDS: Final = 10  # that a call may take


@dataclass(frozen=True, slots=True)
class TransitCodec:
    """How to reach the transit key. Pickles into the pipe to a worker, like the keyring, and nowhere else."""

    address: str
    token: str = field(repr=False)
    key: str = "aurea"
    mount: str = "transit"

    def encode(self, contents: KeyringContents) -> bytes:
        """Return the file's bytes, encrypted under the newest version of the transit key."""
        home = f"{contents.home_id:016x}"
        answer = self._ask(
            lambda transit: transit.encrypt_data(
                name=self.key, plaintext=_b64(contents.encode()), associated_data=_b64(_bound_to(home)),
                mount_point=self.mount,
            )
        )  # fmt: skip
        document = {"format": _FORMAT, "home": home, "transit": answer["data"]["ciphertext"]}
        return json.dumps(document, indent=1).encode() + b"\n"

    def decode(self, raw: bytes) -> KeyringContents:
        """Open a file's bytes. Raises KeyringError, also where Vault cannot be asked or refuses."""
        try:
            document = json.loads(raw)
            home, ciphertext = str(document["home"]), str(document["transit"])
        except (ValueError, KeyError, TypeError):
            raise KeyringError(
                "the keyring is not sealed by Vault: unset AUREA_VAULT_ADDR, or restore the sealed one"
            ) from None
        answer = self._ask(
            lambda transit: transit.decrypt_data(
                name=self.key, ciphertext=ciphertext, associated_data=_b64(_bound_to(home)),
                mount_point=self.mount,
            )
        )  # fmt: skip
        try:
            contents = KeyringContents.decode(base64.b64decode(answer["data"]["plaintext"], validate=True))
        except binascii.Error:
            raise KeyringError("Vault answered with something that is no keyring") from None
        if f"{contents.home_id:016x}" != home:
            raise KeyringError("the keyring that Vault opened belongs to another home")
        return contents

    def renew(self) -> None:
        """Start a new version of the transit key, which the next `encode` uses."""
        self._ask(lambda transit: transit.rotate_key(name=self.key, mount_point=self.mount))

    def forget(self) -> None:
        """Destroy all versions of the transit key but the newest: no older copy of the file opens."""
        found = self._ask(lambda transit: transit.read_key(name=self.key, mount_point=self.mount))
        newest = int(found["data"]["latest_version"])
        # One after the other: hvac refuses both in one call when they are equal, which trimming needs.
        for setting in ("min_encryption_version", "min_decryption_version"):
            self._configure({setting: newest})
        self._ask(lambda transit: transit.trim_key(name=self.key, min_version=newest, mount_point=self.mount))

    def _configure(self, settings: dict[str, int]) -> None:
        self._ask(
            lambda transit: transit.update_key_configuration(
                name=self.key, mount_point=self.mount, **settings
            )
        )

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        try:
            import hvac  # noqa: PLC0415 - an optional dependency
            import requests  # noqa: PLC0415 - comes with it
        except ImportError:
            raise KeyringError("Vault needs the package hvac: install aurea[vault]") from None
        client = hvac.Client(url=self.address, token=self.token, timeout=_SECONDS)
        try:
            answer = call(client.secrets.transit)
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            # Only the class: a message may repeat what was sent.
            raise KeyringError(
                f"Vault at {self.address} did not do what it was asked ({type(error).__name__}): see that it "
                f"runs unsealed and that the token may use the key {self.mount}/{self.key}"
            ) from None
        finally:
            client.adapter.close()
        return answer


def _bound_to(home: str) -> bytes:
    return b"aurea keyring " + home.encode()


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
