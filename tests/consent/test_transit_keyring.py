"""A keyring that Vault's transit engine seals, through hvac, against the engine's HTTP contract on loopback.

The server below answers as the transit engine's API documents it: versions, `vault:vN:` ciphertexts,
associated data, minimum versions, trimming. It is no Vault; that hvac and Vault agree is hvac's to test.
"""

import base64
import json
import os
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.services import open_services
from api.settings import Settings, SettingsError
from api.stores import create_home, keyring_codec
from consent.errors import KeyringError, KeyUnavailableError
from consent.key_providers import FileKeyring
from consent.transit_keyring import TransitCodec
from consent.vault import Vault

pytest.importorskip("hvac", reason="the extra `vault` is not installed")

TOKEN = "hvs.of-a-test"


class Transit:
    """One transit key, as the engine keeps it."""

    def __init__(self) -> None:
        self.versions: dict[int, bytes] = {1: AESGCM.generate_key(256)}
        self.min_decryption = self.min_encryption = 1
        self.asked: list[str] = []

    def answer(self, method: str, path: str, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(f"{method} {path}")
        work = {
            "POST /v1/transit/encrypt/aurea": self._encrypt,
            "POST /v1/transit/decrypt/aurea": self._decrypt,
            "GET /v1/transit/keys/aurea": self._read,
            "POST /v1/transit/keys/aurea/rotate": self._rotate,
            "POST /v1/transit/keys/aurea/config": self._configure,
            "POST /v1/transit/keys/aurea/trim": self._trim,
        }.get(f"{method} {path}")
        if work is None:
            return 404, {"errors": []}
        try:
            return 200, {"data": work(said)}
        except (ValueError, KeyError, InvalidTag):
            return 400, {"errors": ["cannot do that"]}

    def _encrypt(self, said: dict[str, Any]) -> dict[str, Any]:
        newest = max(self.versions)
        nonce, aad = os.urandom(12), base64.b64decode(said["associated_data"])
        sealed = AESGCM(self.versions[newest]).encrypt(nonce, base64.b64decode(said["plaintext"]), aad)
        return {"ciphertext": f"vault:v{newest}:{base64.b64encode(nonce + sealed).decode()}"}

    def _decrypt(self, said: dict[str, Any]) -> dict[str, Any]:
        _, version, encoded = said["ciphertext"].split(":")
        number, raw = int(version[1:]), base64.b64decode(encoded)
        if number < self.min_decryption:
            raise ValueError
        aad = base64.b64decode(said["associated_data"])
        plain = AESGCM(self.versions[number]).decrypt(raw[:12], raw[12:], aad)
        return {"plaintext": base64.b64encode(plain).decode()}

    def _read(self, _said: dict[str, Any]) -> dict[str, Any]:
        return {"latest_version": max(self.versions)}

    def _rotate(self, _said: dict[str, Any]) -> dict[str, Any]:
        self.versions[max(self.versions) + 1] = AESGCM.generate_key(256)
        return {}

    def _configure(self, said: dict[str, Any]) -> dict[str, Any]:
        encryption = said.get("min_encryption_version", self.min_encryption)
        decryption = said.get("min_decryption_version", self.min_decryption)
        if decryption > encryption or encryption > max(self.versions):
            raise ValueError
        self.min_encryption, self.min_decryption = encryption, decryption
        return {}

    def _trim(self, said: dict[str, Any]) -> dict[str, Any]:
        least = said["min_available_version"]
        if least > min(self.min_decryption, self.min_encryption):
            raise ValueError
        self.versions = {number: key for number, key in self.versions.items() if number >= least}
        return {}


@pytest.fixture
def transit() -> Iterator[Transit]:
    engine = Transit()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("x-vault-token") != TOKEN:
                status, answer = 403, {"errors": ["permission denied"]}
            else:
                status, answer = engine.answer(self.command, self.path, json.loads(body or b"{}"))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    engine.address = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined] # of this test
    yield engine
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def codec(transit: Transit) -> TransitCodec:
    return TransitCodec(transit.address, TOKEN)  # type: ignore[attr-defined] # set by the fixture


def test_the_file_holds_no_key_and_opens_again_through_vault(tmp_path: Path, codec: TransitCodec) -> None:
    path = tmp_path / "keyring"
    ring = FileKeyring.create(path, codec)
    document = json.loads(path.read_text())
    assert set(document) == {"format", "home", "transit"}
    assert document["transit"].startswith("vault:v1:")
    assert oct(path.stat().st_mode)[-3:] == "600"
    wrapped = ring.wrap(1, b"k" * 32, b"aad")
    again = FileKeyring.load(path, codec)
    assert again.unwrap(1, wrapped, b"aad") == b"k" * 32
    assert again.index_root() == ring.index_root()
    worker = pickle.loads(pickle.dumps(ring.for_worker())).open()  # noqa: S301 - its own bytes
    assert worker.home_id == ring.home_id
    assert TOKEN not in f"{codec!r}{ring!r}{ring.for_worker()!r}"


def test_nothing_is_asked_of_vault_for_a_record(
    tmp_path: Path, codec: TransitCodec, transit: Transit
) -> None:
    vault = Vault(FileKeyring.create(tmp_path / "keyring", codec))
    before = len(transit.asked)
    for number in range(100):
        vault.new_key(record_no=number, key_id=number)
    assert len(transit.asked) == before


def test_after_an_epoch_is_destroyed_no_older_copy_of_the_file_opens(
    tmp_path: Path, codec: TransitCodec, transit: Transit
) -> None:
    path, copy = tmp_path / "keyring", tmp_path / "copy"
    ring = FileKeyring.create(path, codec)
    wrapped = ring.wrap(1, b"k" * 32, b"")
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    ring.rotate()
    assert FileKeyring.load(copy, codec).unwrap(1, wrapped, b"") == b"k" * 32  # so far
    ring.destroy_epoch(1)
    ring.forget_old_copies()
    assert min(transit.versions) == max(transit.versions) == 2
    with pytest.raises(KeyringError, match="did not do what it was asked"):
        FileKeyring.load(copy, codec)
    with pytest.raises(KeyUnavailableError):
        FileKeyring.load(path, codec).unwrap(1, wrapped, b"")


@pytest.mark.parametrize("wrong", ["token", "address", "key", "home", "plain"])
def test_what_cannot_be_opened_is_told_with_the_remedy(
    tmp_path: Path, codec: TransitCodec, wrong: str
) -> None:
    path = tmp_path / "keyring"
    FileKeyring.create(path, codec)
    other = {
        "token": TransitCodec(codec.address, "no-such-secret"),
        "address": TransitCodec("http://127.0.0.1:1", TOKEN),
        "key": TransitCodec(codec.address, TOKEN, key="other"),
    }.get(wrong, codec)
    if wrong == "home":  # a file of one home under the name of another
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"home": "0" * 16}))
    if wrong == "plain":
        path.unlink()
        FileKeyring.create(path)
    with pytest.raises(
        KeyringError, match="AUREA_VAULT_ADDR" if wrong == "plain" else "may use the key"
    ) as told:
        FileKeyring.load(path, other)
    assert "no-such-secret" not in str(told.value)


def test_a_home_lives_on_a_keyring_that_vault_seals(tmp_path: Path, codec: TransitCodec) -> None:
    environment = {
        "AUREA_HOME": str(tmp_path / "home"), "AUREA_VAULT_ADDR": codec.address, "AUREA_VAULT_TOKEN": TOKEN,
    }  # fmt: skip
    settings = Settings.from_environment(environment)
    assert TOKEN not in repr(settings)
    create_home(settings)
    services = open_services(settings)
    try:
        assert services.rotation.rotate(1).epoch == 2
        services.rotation.destroy(1, "c_anna", 1)
        assert services.rotation.destroy(1, "c_ben", 1).destroyed
    finally:
        services.close()
    open_services(settings).close()
    with pytest.raises(SettingsError, match="AUREA_VAULT_TOKEN"):
        keyring_codec(Settings.from_environment({"AUREA_VAULT_ADDR": codec.address}))
