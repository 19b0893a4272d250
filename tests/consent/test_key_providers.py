"""A keyring is written safely, read only when private, and never shown."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from consent import keyring_file
from consent.errors import KeyringError, KeyUnavailableError
from consent.key_providers import FileKeyring, SecretBytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def ring(path: Path) -> FileKeyring:
    return FileKeyring.create(path)


def secrets_in(path: Path) -> list[str]:
    document = json.loads(path.read_text())
    keys = [epoch["kek"] for epoch in document["epochs"]] + [root["root"] for root in document["index_roots"]]
    return [*keys, document["token_secret"], document["ledger_key"]]


def test_a_new_keyring_is_private_and_reads_back_equal(ring: FileKeyring, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    again = FileKeyring.load(path)
    wrapped = ring.wrap(1, b"k" * 32, b"context")
    assert again.unwrap(1, wrapped, b"context") == b"k" * 32
    assert again.home_id == ring.home_id
    assert again.index_root() == ring.index_root()
    assert again.token_keys() == ring.token_keys()
    assert again.signing_key().private_bytes_raw() == ring.signing_key().private_bytes_raw()
    assert list(path.parent.iterdir()) == [path]


def test_every_key_of_a_keyring_is_its_own(ring: FileKeyring, path: Path) -> None:
    assert len(set(secrets_in(path))) == 4


def test_a_private_file_mode_does_not_depend_on_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        FileKeyring.create(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_creating_never_overwrites(ring: FileKeyring, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyringError, match="would lose every record"):
        FileKeyring.create(path)
    monkeypatch.setattr(Path, "exists", lambda _path: False)  # as when two processes create at once
    with pytest.raises(KeyringError, match="would lose every record"):
        FileKeyring.create(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - shows hidden files too


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_keyring_open_to_others_is_refused_with_the_remedy(
    ring: FileKeyring, path: Path, mode: int
) -> None:
    path.chmod(mode)
    with pytest.raises(KeyringError, match="chmod 600"):
        FileKeyring.load(path)


def test_a_missing_keyring_is_told(path: Path) -> None:
    with pytest.raises(KeyringError, match="cannot be read"):
        FileKeyring.load(path)


DAMAGES = {
    "no JSON": lambda text: "secret" + text,
    "half a file": lambda text: text[: len(text) // 2],
    "a short key": lambda text: text.replace('"kek": "', '"kek": "AAAA'),
    "nothing": lambda _text: "",
    "a list": lambda _text: "[]",
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "a missing key": lambda text: text.replace("token_secret", "token"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_keyring_is_refused_and_not_quoted(ring: FileKeyring, path: Path, damage) -> None:
    secrets = secrets_in(path)
    damaged = damage(path.read_text())
    with pytest.raises(KeyringError) as caught:
        FileKeyring.from_text(damaged)
    shown = str(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not any(secret in shown for secret in secrets)


def test_a_keyring_can_come_as_text(ring: FileKeyring, path: Path) -> None:
    from_text = FileKeyring.from_text(path.read_text())
    assert from_text.index_root() == ring.index_root()
    with pytest.raises(KeyringError, match="keyring file"):
        from_text.rotate()


def test_rotation_adds_an_epoch_and_keeps_the_old_until_it_is_destroyed(
    ring: FileKeyring, path: Path
) -> None:
    wrapped = ring.wrap(ring.active_epoch(), b"k" * 32, b"")
    rotated = ring.rotate()
    assert rotated.active_epoch() == 2
    assert FileKeyring.load(path).epochs() == rotated.epochs() == {1: "retiring", 2: "active"}
    assert rotated.unwrap(1, wrapped, b"") == b"k" * 32
    assert rotated.index_root() == ring.index_root()
    old_kek = json.loads(path.read_text())["epochs"][0]["kek"]
    after = rotated.destroy_epoch(1)
    with pytest.raises(KeyUnavailableError):
        after.unwrap(1, wrapped, b"")
    assert old_kek not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_destroyed_kek_is_overwritten_where_it_lay(ring: FileKeyring, path: Path) -> None:
    ring = ring.rotate()
    with path.open("rb") as old:  # keeps the replaced file readable, as an undelete would
        ring.destroy_epoch(1)
        assert set(old.read()) == {0}


@pytest.mark.parametrize("epoch", [1, 2])
def test_neither_the_active_nor_an_unknown_epoch_can_be_destroyed(ring: FileKeyring, epoch: int) -> None:
    with pytest.raises(KeyringError, match="not a retiring epoch"):
        ring.destroy_epoch(epoch)


def test_a_crash_while_writing_leaves_the_old_keyring(
    ring: FileKeyring, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def crash(*_args: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(keyring_file.os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        ring.rotate()
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_a_missing_index_root_is_told(ring: FileKeyring) -> None:
    with pytest.raises(KeyUnavailableError, match="version 2"):
        ring.index_root(2)


def test_no_secret_is_printed(ring: FileKeyring, path: Path) -> None:
    secret = ring.token_keys()[0].secret
    hidden = [*secrets_in(path), repr(secret.reveal()), secret.reveal().hex()]
    shown = [f"{x}{x!r}{[x]}" for x in (secret, ring, ring._contents, ring._contents.epochs[0])]
    shown += [f"{secret:>20}", repr(ring.signing_key()), repr(ring.for_worker()), str(ring.for_worker())]
    assert not [text for text in shown if any(value in text for value in hidden)]
    assert f"{secret}" == "<secret>"


def test_no_secret_is_pickled_or_copied(ring: FileKeyring) -> None:
    for secret in (ring.token_keys()[0].secret, ring):
        for leak in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                leak(secret)
    with pytest.raises(TypeError):
        pickle.dumps(ring.signing_key())


def test_secrets_compare_by_value_and_are_no_dictionary_keys() -> None:
    assert SecretBytes(b"a") == SecretBytes(b"a") != SecretBytes(b"b")
    assert SecretBytes(b"a") != b"a"
    with pytest.raises(TypeError):
        hash(SecretBytes(b"a"))


WORKER = """
import pickle, sys
ring = pickle.load(sys.stdin.buffer).open()
print(ring.unwrap(1, bytes.fromhex(sys.argv[1]), b"").decode())
"""


@pytest.mark.parametrize("from_text", [False, True], ids=["by path", "by text"])
def test_a_worker_process_opens_the_keyring_itself(ring: FileKeyring, path: Path, from_text: bool) -> None:
    given = FileKeyring.from_text(path.read_text()) if from_text else ring
    handed = pickle.dumps(given.for_worker())
    assert from_text or not any(secret.encode() in handed for secret in secrets_in(path))
    wrapped = ring.wrap(1, b"k" * 32, b"").hex()
    done = subprocess.run(
        [sys.executable, "-c", WORKER, wrapped], input=handed, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "k" * 32
