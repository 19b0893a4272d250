"""Sealed values open in their own place, with their own key, unaltered; and nowhere else."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from consent import vault as vault_module
from consent.errors import KeyringError, KeyUnavailableError, VaultError
from consent.key_providers import FileKeyring
from consent.keyring_file import Epoch, KeyringContents
from consent.vault import COMPARABLE, SOURCE_ID, DataKey, EvidenceKey, Vault, pack_fields, unpack_fields
from tests.shared import shared

SECRET = b"maria.garcia@example.org"


def ring(*keks: bytes) -> FileKeyring:
    epochs = tuple(Epoch(number, kek) for number, kek in enumerate(keks, start=1))
    return FileKeyring(KeyringContents(7, epochs, {1: bytes(32)}, bytes(32), bytes(32)), None)


VAULT = Vault(ring(b"1" * 32, b"2" * 32))
KEY, EPOCH, WRAPPED = VAULT.new_key(record_no=11, key_id=12)
PLACE = {"record_no": 11, "key_id": 12, "epoch": EPOCH}


def refuses(open_it: Callable[[], object]) -> bool:
    try:
        open_it()
    except VaultError:
        return True
    return False


def wycheproof() -> list[dict]:
    groups = json.loads(shared("vectors/wycheproof/aes_gcm_test.json").read_text())["testGroups"]
    fitting = [group for group in groups if group["keySize"] == 256 and group["ivSize"] == 96]
    cases = [case for group in fitting for case in group["tests"]]
    assert len(cases) == 66
    for case in cases:
        for name in ("key", "iv", "aad", "msg", "ct", "tag"):
            case[name] = bytes.fromhex(case[name])
    return cases


def test_opening_agrees_with_wycheproof() -> None:
    for case in wycheproof():
        sealed = b"\x01" + case["iv"] + case["ct"] + case["tag"]
        try:
            opened = vault_module._open(AESGCM(case["key"]), case["aad"], sealed)
        except VaultError:
            assert case["result"] == "invalid", case["tcId"]
        else:
            assert (case["result"], opened) == ("valid", case["msg"]), case["tcId"]


def test_sealing_agrees_with_wycheproof(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in wycheproof():
        monkeypatch.setattr(vault_module.os, "urandom", lambda _count, iv=case["iv"]: iv)
        sealed = vault_module._seal(AESGCM(case["key"]), case["aad"], case["msg"])
        same = sealed == b"\x01" + case["iv"] + case["ct"] + case["tag"]
        assert same == (case["result"] == "valid"), case["tcId"]


def test_unwrapping_agrees_with_wycheproof() -> None:
    for case in wycheproof():
        wrapped = case["iv"] + case["ct"] + case["tag"]
        try:
            opened = ring(case["key"]).unwrap(1, wrapped, case["aad"])
        except VaultError:
            assert case["result"] == "invalid", case["tcId"]
        else:
            assert (case["result"], opened) == ("valid", case["msg"]), case["tcId"]


def test_a_value_opens_in_its_place_after_unwrapping_the_key_again() -> None:
    sealed = KEY.seal("email", SECRET)
    again = VAULT.open_key(**PLACE, wrapped=WRAPPED)
    assert again.open("email", sealed) == KEY.open("email", sealed) == SECRET


FIELD_SWAPS = {
    "another field": lambda key, sealed: key.open("phone", sealed),
    "a field whose name runs into the value": lambda key, sealed: key.open("emai", sealed),
    "no field": lambda key, sealed: key.open("", sealed),
    "another version": lambda key, sealed: key.open("email", b"\x02" + sealed[1:]),
    "another record's key": lambda _key, sealed: VAULT.new_key(record_no=1, key_id=2)[0].open(
        "email", sealed
    ),
}


@pytest.mark.parametrize("swap", FIELD_SWAPS.values(), ids=FIELD_SWAPS)
def test_a_value_does_not_open_as(swap: Callable) -> None:
    assert refuses(lambda: swap(KEY, KEY.seal("email", SECRET)))


def test_a_version_is_bound_and_not_only_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = KEY.seal("email", SECRET)
    monkeypatch.setattr(vault_module, "_VERSION_BYTE", b"\x02")
    vault_module._start.cache_clear()
    try:
        later = same_key_at(11, 12)
        assert refuses(lambda: later.open("email", b"\x02" + sealed[1:]))
        assert refuses(lambda: VAULT.open_key(**PLACE, wrapped=WRAPPED))
    finally:
        monkeypatch.undo()
        vault_module._start.cache_clear()


def same_key_at(record_no: int, key_id: int) -> DataKey:
    """The same key bytes as KEY, in a context computed now."""
    raw = VAULT._provider.unwrap(EPOCH, WRAPPED[16:], WRAP_AAD)
    return DataKey(raw, vault_module._context(b"aurea field", record_no, key_id))


WRAP_AAD = vault_module._wrap_context(b"aurea data key", 11, 12, EPOCH)


@pytest.mark.parametrize(("record_no", "key_id"), [(10, 12), (11, 13), (12, 11), (0, 0), (11 << 8, 12)])
def test_a_value_does_not_open_for_another_record_or_key_id_even_with_the_same_key(
    record_no: int, key_id: int
) -> None:
    sealed = KEY.seal("email", SECRET)
    assert same_key_at(11, 12).open("email", sealed) == SECRET
    assert refuses(lambda: same_key_at(record_no, key_id).open("email", sealed))


@pytest.mark.parametrize("change", [{"record_no": 12}, {"key_id": 11}, {"epoch": 1}, {"epoch": 0}])
def test_a_wrapped_key_does_not_open_for_another(change: dict[str, int]) -> None:
    assert refuses(lambda: VAULT.open_key(**(PLACE | change), wrapped=WRAPPED))


def test_a_wrapped_key_is_bound_to_its_epoch_even_where_two_epochs_share_a_kek() -> None:
    twin = Vault(ring(b"k" * 32, b"k" * 32))
    _, epoch, wrapped = twin.new_key(record_no=1, key_id=1)
    assert epoch == 2
    assert refuses(lambda: twin.open_key(record_no=1, key_id=1, epoch=1, wrapped=wrapped))


def test_a_data_key_and_an_evidence_key_do_not_pass_for_each_other() -> None:
    assert refuses(lambda: VAULT.open_evidence_key(11, 12, EPOCH, WRAPPED))
    _, epoch, wrapped = VAULT.new_evidence_key(1, 5)
    assert refuses(lambda: VAULT.open_key(record_no=1, key_id=5, epoch=epoch, wrapped=wrapped))
    assert refuses(lambda: VAULT.open_evidence_key(2, 5, epoch, wrapped))


def test_no_flipped_byte_is_accepted() -> None:
    sealed = KEY.seal("email", SECRET)
    for at in range(len(sealed)):
        flipped = sealed[:at] + bytes([sealed[at] ^ 0x01]) + sealed[at + 1 :]
        assert refuses(lambda flipped=flipped: KEY.open("email", flipped)), at
    for at in range(len(WRAPPED)):
        flipped = WRAPPED[:at] + bytes([WRAPPED[at] ^ 0x80]) + WRAPPED[at + 1 :]
        assert refuses(lambda flipped=flipped: VAULT.open_key(**PLACE, wrapped=flipped)), at


def test_no_shortened_or_lengthened_text_is_accepted() -> None:
    sealed = KEY.seal("email", SECRET)
    for length in range(len(sealed)):
        assert refuses(lambda length=length: KEY.open("email", sealed[:length])), length
    assert refuses(lambda: KEY.open("email", sealed + b"\0"))
    for length in range(len(WRAPPED)):
        assert refuses(lambda length=length: VAULT.open_key(**PLACE, wrapped=WRAPPED[:length])), length


def test_a_wrapped_key_whose_check_value_is_of_another_key_is_refused() -> None:
    _, _, other = VAULT.new_key(record_no=11, key_id=12)
    with pytest.raises(VaultError, match="check value"):
        VAULT.open_key(**PLACE, wrapped=other[:16] + WRAPPED[16:])


def test_an_epoch_that_is_gone_is_told_from_a_key_that_does_not_open() -> None:
    with pytest.raises(KeyUnavailableError, match="epoch 0"):
        VAULT.open_key(**(PLACE | {"epoch": 0}), wrapped=WRAPPED)


def test_an_epoch_that_the_keyring_does_not_have_yet_is_no_destroyed_one() -> None:
    with pytest.raises(KeyringError, match="older than the key store, which is at epoch 9"):
        VAULT.open_key(**(PLACE | {"epoch": 9}), wrapped=WRAPPED)


def test_rewrapping_moves_a_key_to_the_active_epoch_and_its_values_still_open() -> None:
    before = Vault(ring(b"1" * 32))
    key, epoch, wrapped = before.new_key(record_no=3, key_id=4)
    sealed = key.seal("email", SECRET)
    new_epoch, rewrapped = VAULT.rewrap_key(record_no=3, key_id=4, epoch=epoch, wrapped=wrapped)
    assert (epoch, new_epoch, len(rewrapped)) == (1, 2, len(wrapped))
    opened = Vault(ring(b"x" * 32, b"2" * 32)).open_key(
        record_no=3, key_id=4, epoch=new_epoch, wrapped=rewrapped
    )
    assert opened.open("email", sealed) == SECRET


def test_an_evidence_key_names_its_subject_and_seals_for_one_place() -> None:
    key, epoch, wrapped = VAULT.new_evidence_key(2, 9)
    again = VAULT.open_evidence_key(2, 9, epoch, wrapped)
    assert again.subject_tag == key.subject_tag != VAULT.new_evidence_key(2, 9)[0].subject_tag
    sealed = key.seal(b"leaf 1", b"payload")
    assert again.open(b"leaf 1", sealed) == b"payload"
    assert refuses(lambda: again.open(b"leaf 2", sealed))
    moved = VAULT.rewrap_evidence_key(2, 9, epoch, wrapped)
    assert VAULT.open_evidence_key(2, 9, *moved).subject_tag == key.subject_tag


@pytest.mark.parametrize("secret", [KEY, VAULT.new_evidence_key(1, 1)[0]], ids=["data key", "evidence key"])
def test_no_key_is_printed_pickled_or_copied(secret: DataKey | EvidenceKey) -> None:
    printed = {repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}"}
    assert all("key>" in text and len(text) < 20 for text in printed)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(secret)


NAMES = st.text(max_size=20)


@given(st.dictionaries(NAMES, st.binary(max_size=60), max_size=6))
def test_packed_fields_come_out_as_they_went_in(fields: dict[str, bytes]) -> None:
    assert unpack_fields(pack_fields(fields)) == fields
    packed = KEY.seal_fields(fields)
    assert KEY.open_fields(packed) == fields
    assert KEY.open_fields(packed, ["no such field", *list(fields)[:1]]) == dict(list(fields.items())[:1])


@given(st.binary(max_size=80))
def test_damaged_packed_fields_raise_only_the_vaults_error(garbage: bytes) -> None:
    try:
        fields = unpack_fields(garbage)
    except VaultError:
        return
    assert pack_fields(fields) == garbage


def test_values_swapped_inside_a_packed_record_do_not_open() -> None:
    sealed = unpack_fields(KEY.seal_fields({"email": b"1", "phone": b"2"}))
    swapped = pack_fields({"email": sealed["phone"], "phone": sealed["email"]})
    assert refuses(lambda: KEY.open_fields(swapped, ["email"]))


def test_reserved_fields_cannot_be_attribute_names() -> None:
    assert COMPARABLE.startswith("#")
    assert SOURCE_ID.startswith("#")
