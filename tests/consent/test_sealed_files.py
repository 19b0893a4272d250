"""A sealed file opens whole, for the part, the home and the epoch it was sealed under, or not at all."""

from pathlib import Path

import pytest

from consent.errors import KeyUnavailableError, VaultError
from consent.key_providers import FileKeyring
from consent.sealed_files import PIECE, open_file, seal_file


@pytest.fixture
def keyring(tmp_path: Path) -> FileKeyring:
    return FileKeyring.create(tmp_path / "keyring")


def sealed(folder: Path, keyring: FileKeyring, content: bytes) -> Path:
    (folder / "plain").write_bytes(content)
    seal_file(folder / "plain", folder / "sealed", keyring, "keys")
    return folder / "sealed"


def opened(path: Path, keyring: FileKeyring, part: str = "keys") -> bytes:
    target = path.with_name("opened")
    target.unlink(missing_ok=True)
    open_file(path, target, keyring, part)
    return target.read_bytes()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7])
def test_what_was_sealed_opens(tmp_path: Path, keyring: FileKeyring, size: int) -> None:
    content = bytes(at * 7 % 251 for at in range(1000)) * (size // 1000 + 1)
    path = sealed(tmp_path, keyring, content[:size])
    assert opened(path, keyring) == content[:size]
    assert path.stat().st_mode & 0o777 == 0o600
    assert content[:40] not in path.read_bytes() or size < 40


def pieces(content: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and the sealed pieces of a file of several."""
    end = content.index(b"\n", content.index(b"\n") + 1) + 1
    step = PIECE + 16
    return content[:end], [content[at : at + step] for at in range(end, len(content), step)]


def test_a_file_that_is_cut_off_put_together_anew_or_altered_anywhere_does_not_open(
    tmp_path: Path, keyring: FileKeyring
) -> None:
    path = sealed(tmp_path, keyring, bytes(3 * PIECE))
    whole = path.read_bytes()
    header, (one, two, three) = pieces(whole)
    attacks = {
        "the end is missing": header + one + two,
        "everything is missing": header,
        "the pieces changed places": header + two + one + three,
        "a piece was left out": header + one + three,
        "a piece stands twice": header + one + one + two + three,
        "something was added": whole + b"x",
        "no header": one,
    }
    for at in (25, 40, len(header) - 5, len(header) + 3, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        attacks[f"byte {at} was altered"] = bytes(flipped)
    for what, content in attacks.items():
        path.write_bytes(content)
        with pytest.raises(VaultError):
            pytest.fail(f"{what}: {len(opened(path, keyring))} bytes opened")


def test_another_part_home_or_a_destroyed_epoch_does_not_open_it(
    tmp_path: Path, keyring: FileKeyring
) -> None:
    path = sealed(tmp_path, keyring, b"content")
    with pytest.raises(VaultError):
        opened(path, keyring, "data")
    with pytest.raises(VaultError):
        opened(path, FileKeyring.create(tmp_path / "other"))
    keyring.rotate()
    assert opened(path, keyring) == b"content"
    keyring.destroy_epoch(1)
    with pytest.raises(KeyUnavailableError):
        opened(path, keyring)
