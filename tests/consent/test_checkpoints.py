"""Checkpoints are C2SP signed notes that others can check with nothing but the public key."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from consent import checkpoints
from consent.checkpoints import Checkpoint
from consent.errors import CheckpointError
from tests.shared import shared

ORIGIN = "aurea.test/ledger"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
NOTE = checkpoints.sign(Checkpoint(ORIGIN, 20852163, bytes(32)), KEY)

# The example of c2sp.org/signed-note, signed by the key it states.
PEER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PEER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKv"
    "qfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_has_the_published_form() -> None:
    lines = NOTE.split("\n")
    assert lines[:4] == [ORIGIN, "20852163", base64.b64encode(bytes(32)).decode(), ""]
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]
    raw = base64.b64decode(lines[4].split(" ")[2])
    key_hash = sha256(ORIGIN.encode() + b"\n\x01" + PUBLIC.public_bytes_raw()).digest()[:4]
    assert raw[:4] == key_hash
    PUBLIC.verify(raw[4:], "\n".join([*lines[:3], ""]).encode())


def test_names_hash_and_sign_as_in_the_specifications_example() -> None:
    name, key_hash, encoded = PEER_KEY.split("+", 2)
    raw = base64.b64decode(encoded)
    key = Ed25519PublicKey.from_public_bytes(raw[1:])
    assert checkpoints.verifier_key(name, key) == PEER_KEY
    assert checkpoints._key_hash(name, key).hex() == key_hash
    body, _, line = PEER_NOTE.partition("\n\n")
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == key_hash
    key.verify(signature[4:], (body + "\n").encode())


@given(st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert checkpoints.verify(checkpoints.sign(checkpoint, KEY), ORIGIN, PUBLIC) == checkpoint


def test_extension_lines_and_other_peoples_signatures_are_allowed() -> None:
    body = f"{ORIGIN}\n5\n{base64.b64encode(bytes(32)).decode()}\nan extension\n"
    ours = checkpoints._key_hash(ORIGIN, PUBLIC) + KEY.sign(body.encode())
    note = f"{body}\n— witness.test AAAAAAAA\n— {ORIGIN} {base64.b64encode(ours).decode()}\n"
    assert checkpoints.verify(note, ORIGIN, PUBLIC).size == 5


CHANGES: dict[str, Callable[[str], str]] = {
    "another size": lambda note: note.replace("20852163", "20852162"),
    "a size with a sign": lambda note: note.replace("20852163", "+20852163"),
    "a size with a leading zero": lambda note: note.replace("20852163", "020852163"),
    "a size beyond 64 bits": lambda note: note.replace("20852163", "9" * 5_000),
    "digits of another script": lambda note: note.replace("20852163", "٣"),
    "another root": lambda note: note.replace("AAAA", "AAAB", 1),
    "a short root": lambda note: note.replace("AAAA", "", 1),
    "another origin": lambda note: note.replace(ORIGIN, "aurea.test/other"),
    "another name on the signature": lambda note: note.replace(f"— {ORIGIN}", "— aurea.test/other"),
    "no signature": lambda note: note.partition("—")[0],
    "half a signature": lambda note: note[:-20] + "\n",
    "a hyphen for the dash": lambda note: note.replace("—", "-"),
    "an added line": lambda note: note.replace("\n\n", "\nmore\n\n"),
    "nothing": lambda _note: "",
    "no body": lambda note: "\n\n" + note.partition("\n\n")[2],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_note_is_refused_with(change: Callable[[str], str]) -> None:
    checkpoints.verify(NOTE, ORIGIN, PUBLIC)
    with pytest.raises(CheckpointError):
        checkpoints.verify(change(NOTE), ORIGIN, PUBLIC)


def test_another_key_is_refused_even_under_our_key_hash() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(CheckpointError):
        checkpoints.verify(NOTE, ORIGIN, other.public_key())
    body = NOTE.partition("\n\n")[0] + "\n"
    forged = checkpoints._key_hash(ORIGIN, PUBLIC) + other.sign(body.encode())
    note = f"{body}\n— {ORIGIN} {base64.b64encode(forged).decode()}\n"
    with pytest.raises(CheckpointError):
        checkpoints.verify(note, ORIGIN, PUBLIC)


@given(st.text(max_size=60))
def test_garbage_raises_only_the_checkpoint_error(garbage: str) -> None:
    with pytest.raises(CheckpointError):
        checkpoints.verify(garbage, ORIGIN, PUBLIC)


def test_a_tlog_proof_carries_index_hashes_and_checkpoint() -> None:
    proof = checkpoints.tlog_proof(7, [bytes(32), b"\1" * 32], NOTE)
    head, _, note = proof.partition("\n\n")
    hashes = [base64.b64encode(hash_).decode() for hash_ in (bytes(32), b"\1" * 32)]
    assert head.split("\n") == ["c2sp.org/tlog-proof@v1", "index 7", *hashes]
    assert note == NOTE


def test_signatures_agree_with_wycheproof() -> None:
    vectors = json.loads(shared("vectors/wycheproof/ed25519_test.json").read_text())
    for group in vectors["testGroups"]:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            try:
                key.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            except InvalidSignature:
                assert case["result"] == "invalid", case["tcId"]
            else:
                assert case["result"] == "valid", case["tcId"]
