"""Tokens: equal for equal values of one kind and version, unrelated otherwise."""

import hmac
import json
import pickle
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.blind_indexes import BlindIndex, _Keyed
from consent.key_providers import SecretBytes
from tests.examples import examples
from tests.shared import shared

ROOT = SecretBytes(b"r" * 32)
INDEX = BlindIndex(ROOT)


@settings(max_examples=examples(100))
@given(st.text(max_size=40))
def test_a_token_is_the_hmac_of_the_values_hash_under_its_kinds_key(value: str) -> None:
    info = b"aurea blind index 1 email"
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(ROOT.reveal())
    expected = hmac.digest(key, sha256(value.encode()).digest(), "sha256")
    assert INDEX.token("email", value) == expected
    assert INDEX.token("block:name", value) == BlindIndex(ROOT).token("block:name", value)
    assert len(INDEX.token("block:name", value)) == 8


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_our_hmac_is_the_standard_librarys(key: bytes, message: bytes) -> None:
    assert _Keyed(key, 32).mac(message) == hmac.digest(key, message, "sha256")


def test_our_hmac_agrees_with_wycheproof() -> None:
    path = shared("vectors/wycheproof")
    vectors = json.loads(next(path.glob("hmac_sha256*")).read_text())
    checked = 0
    for group in vectors["testGroups"]:
        for case in group["tests"]:
            key, message, tag = (bytes.fromhex(case[name]) for name in ("key", "msg", "tag"))
            if len(key) <= 64:
                same = _Keyed(key, group["tagSize"] // 8).mac(message) == tag
                assert same == (case["result"] == "valid"), case["tcId"]
                checked += 1
    assert checked > 100


def test_kinds_versions_and_roots_are_unrelated() -> None:
    tokens = {
        INDEX.token("email", "a"),
        INDEX.token("phone", "a"),
        INDEX.token("record", "a"),
        BlindIndex(ROOT, 2).token("email", "a"),
        BlindIndex(SecretBytes(b"s" * 32)).token("email", "a"),
    }
    assert len(tokens) == 5
    assert len({token[:8] for token in tokens}) == 5


def test_a_value_known_only_by_its_sha256_is_found() -> None:
    assert INDEX.token_of_sha256("email", sha256(b"a").digest()) == INDEX.token("email", "a")


def test_a_prefix_is_the_first_eight_bytes_and_fits_a_signed_column() -> None:
    assert BlindIndex.prefix(b"\xff" * 32) == -1
    assert BlindIndex.prefix(b"\x80" + bytes(7)) == -(2**63)
    assert BlindIndex.prefix(b"\x7f" + b"\xff" * 31) == 2**63 - 1


def test_a_content_mac_is_no_token() -> None:
    assert len(INDEX.content_mac(b"content")) == 16
    assert INDEX.content_mac(sha256(b"a").digest()) != INDEX.token("email", "a")[:16]


def test_an_index_is_not_printed_or_pickled() -> None:
    INDEX.token("email", "a")
    assert repr(INDEX) == "<blind index version 1>"
    with pytest.raises(TypeError):
        pickle.dumps(INDEX)
