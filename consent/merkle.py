"""The Merkle tree of RFC 6962 section 2.1 / RFC 9162: hashes, proofs and their verification (pure).

A tree of n leaves is a left-filled row of perfect subtrees. A subtree is named by (height, index): it
covers the leaves index * 2^height up to (index + 1) * 2^height. Provers read subtree hashes through a
function `subtree(height, index)`, so that it does not matter where they are kept.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

Subtree = Callable[[int, int], bytes]
"""Returns the hash of a perfect subtree, which must lie inside the tree."""

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


class ProofError(Exception):
    """A proof, or what it was checked against, is wrong."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node. Its first byte differs from a leaf's: no leaf passes for a node."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^k leaf (or subtree) hashes."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over any number of leaf hashes."""
    range_ = CompactRange()
    for hash_ in leaf_hashes:
        range_.append(hash_)
    return range_.root()


class CompactRange:
    """The right edge of a growing tree: the hashes of its perfect subtrees, one for each bit of its size."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []  # largest subtree first

    def append(self, hash_: bytes) -> None:
        """Add a leaf by its hash."""
        size = self.size
        while size & 1:
            hash_ = node_hash(self._edge.pop(), hash_)
            size >>= 1
        self._edge.append(hash_)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the leaves so far."""
        return _fold(self._edge)


def tree_root(size: int, subtree: Subtree) -> bytes:
    """Return the root of the first `size` leaves."""
    return _range_root(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size` leaves. Requires 0 <= index < size."""
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(_range_root(start, middle, subtree))
            start = middle
    return proof[::-1]


def consistency_proof(first: int, second: int, subtree: Subtree) -> list[bytes]:
    """Return the proof that the tree of `first` leaves begins that of `second`.

    Requires 0 < first <= second: that the empty tree begins every tree needs and proves nothing.
    """
    if not 0 < first <= second:
        raise ProofError(f"that a tree of {first} begins a tree of {second} cannot be proven")
    if first == second:
        return []
    proof: list[bytes] = []
    start, end = 0, second
    while end != first:  # RFC 6962 2.1.2, SUBPROOF
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(_range_root(start, middle, subtree))
            start = middle
    if start > 0:  # otherwise the verifier has this hash: it is the first root
        proof.append(_range_root(start, end, subtree))
    return proof[::-1]


def root_from_inclusion(index: int, size: int, hash_: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root that an audit path leads to (RFC 9162 2.1.3.2). Raises ProofError if malformed."""
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    inner = (index ^ (size - 1)).bit_length()  # below this height the path is not on the right edge
    if len(proof) != inner + (index >> inner).bit_count():
        raise ProofError("the proof has the wrong length")
    _check_hashes(hash_, *proof)
    for height, sibling in enumerate(proof[:inner]):
        hash_ = node_hash(sibling, hash_) if index >> height & 1 else node_hash(hash_, sibling)
    for sibling in proof[inner:]:
        hash_ = node_hash(sibling, hash_)
    return hash_


def verify_inclusion(index: int, size: int, hash_: bytes, proof: Sequence[bytes], root_: bytes) -> None:
    """Check that leaf `index` of the tree with this size and root has this hash. Raises ProofError."""
    if root_from_inclusion(index, size, hash_, proof) != root_:
        raise ProofError("the proof does not lead to the root")


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the second tree extends the first (RFC 9162 2.1.4.2). Raises ProofError."""
    if not 0 < first <= second:
        raise ProofError(f"that a tree of {first} begins a tree of {second} cannot be proven")
    if first == second:
        if proof or first_root != second_root:
            raise ProofError("two trees of one size have one root, and need no proof")
        return
    _check_hashes(first_root, second_root, *proof)
    level = (first & -first).bit_length() - 1  # height of the first tree's last perfect subtree
    start, rest = (first_root, list(proof)) if first == 1 << level else _first_of(proof)
    index = (first - 1) >> level
    inner = (index ^ ((second - 1) >> level)).bit_length()
    if len(rest) != inner + (index >> inner).bit_count():
        raise ProofError("the proof has the wrong length")
    old = new = start
    for height, sibling in enumerate(rest[:inner]):
        if index >> height & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    for sibling in rest[inner:]:
        old, new = node_hash(sibling, old), node_hash(sibling, new)
    if old != first_root or new != second_root:
        raise ProofError("the proof does not lead to the roots")


def _first_of(proof: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    if not proof:
        raise ProofError("the proof has the wrong length")
    return proof[0], list(proof[1:])


def _check_hashes(*hashes: bytes) -> None:
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise ProofError("a hash has the wrong length")


def _split(count: int) -> int:
    """Return the largest power of two below `count`: where RFC 6962 splits a tree."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(start: int, end: int, subtree: Subtree) -> bytes:
    """Return the root over leaves start .. end. `start` is a multiple of a power of two >= end - start."""
    hashes = []
    while start < end:
        height = (end - start).bit_length() - 1
        hashes.append(subtree(height, start >> height))
        start += 1 << height
    return _fold(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for hash_ in reversed(hashes[:-1]):
        result = node_hash(hash_, result)
    return result
