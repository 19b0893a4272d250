"""RFC 6962 trees: published cases, published roots, and properties for trees of every size."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import merkle
from consent.merkle import CompactRange, ProofError
from tests.shared import SHARED, shared

CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def cases(kind: str) -> list[Path]:
    return sorted((SHARED / "vectors/merkle" / kind).rglob("*.json"))


def case(path: Path) -> dict:
    found = json.loads(path.read_text())
    for name in ("root", "root1", "root2", "leafHash"):
        found[name] = base64.b64decode(found.get(name) or "")
    found["proof"] = [base64.b64decode(hash_) for hash_ in found["proof"] or []]
    return found


def refuses(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except ProofError:
        return True
    return False


def name(path: Path) -> str:
    return "/".join(path.parts[-2:])


def test_all_published_cases_are_here() -> None:
    shared("vectors/merkle")
    assert len(cases("inclusion")) + len(cases("consistency")) == 196


@pytest.mark.parametrize("path", cases("inclusion"), ids=name)
def test_published_inclusion_case(path: Path) -> None:
    c = case(path)
    refused = refuses(
        lambda: merkle.verify_inclusion(c["leafIdx"], c["treeSize"], c["leafHash"], c["proof"], c["root"])
    )
    assert refused == c["wantErr"], c["desc"]


@pytest.mark.parametrize("path", cases("consistency"), ids=name)
def test_published_consistency_case(path: Path) -> None:
    c = case(path)
    refused = refuses(
        lambda: merkle.verify_consistency(c["size1"], c["size2"], c["root1"], c["root2"], c["proof"])
    )
    assert refused == c["wantErr"], c["desc"]


def test_the_roots_of_certificate_transparency() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root(map(merkle.leaf_hash, CT_LEAVES)).hex() == CT_ROOT


def definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + definition(leaves[:k]) + definition(leaves[k:])).digest()


LEAVES = [str(number).encode() for number in range(70)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [definition(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def subtree(height: int, index: int) -> bytes:
    leaves = HASHES[index << height : (index + 1) << height]
    assert len(leaves) == 1 << height, "a prover asked for a subtree outside the tree"
    return merkle.perfect_root(leaves)


SIZES = st.integers(1, len(LEAVES))


@given(st.integers(0, len(LEAVES)))
def test_every_way_to_the_root_agrees_with_the_definition(size: int) -> None:
    assert merkle.root(HASHES[:size]) == merkle.tree_root(size, subtree) == ROOTS[size]


def test_a_compact_range_has_the_root_of_every_size_it_passes() -> None:
    growing = CompactRange()
    for size, hash_ in enumerate(HASHES, start=1):
        growing.append(hash_)
        assert growing.root() == ROOTS[size]


def test_every_leaf_of_every_small_tree_is_proven() -> None:
    for size in range(1, 34):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, subtree)
            merkle.verify_inclusion(index, size, HASHES[index], proof, ROOTS[size])


def test_every_small_tree_is_proven_to_begin_every_larger_one() -> None:
    for second in range(1, 34):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(first, second, subtree)
            merkle.verify_consistency(first, second, ROOTS[first], ROOTS[second], proof)


@given(st.data())
def test_another_leaf_another_place_or_another_size_has_no_proof(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, subtree)
    wrong_leaf = data.draw(st.sampled_from(HASHES).filter(lambda hash_: hash_ != HASHES[index]))
    with pytest.raises(ProofError):
        merkle.verify_inclusion(index, size, wrong_leaf, proof, ROOTS[size])
    other = data.draw(st.integers(-1, size + 1).filter(lambda place: place != index))
    assert refuses(lambda: merkle.verify_inclusion(other, size, HASHES[index], proof, ROOTS[size]))
    root = ROOTS[data.draw(SIZES.filter(lambda other_size: other_size != size))]
    assert refuses(lambda: merkle.verify_inclusion(index, size, HASHES[index], proof, root))


@given(st.data())
def test_no_flipped_bit_of_a_proof_is_accepted(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, len(LEAVES)))
    first = data.draw(st.integers(1, second - 1))
    proof = merkle.consistency_proof(first, second, subtree)
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    flipped = bytearray(proof[at])
    flipped[bit // 8] ^= 1 << bit % 8
    changed = [*proof[:at], bytes(flipped), *proof[at + 1 :]]
    with pytest.raises(ProofError):
        merkle.verify_consistency(first, second, ROOTS[first], ROOTS[second], changed)


@given(st.data())
def test_a_tree_whose_past_was_rewritten_is_not_consistent(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, 40))
    first = data.draw(st.integers(1, second - 1))
    changed = data.draw(st.integers(0, first - 1))
    forked = [*HASHES[:changed], merkle.leaf_hash(b"forged"), *HASHES[changed + 1 : second]]
    proof = merkle.consistency_proof(
        first,
        second,
        lambda height, index: merkle.perfect_root(forked[index << height : (index + 1) << height]),
    )
    with pytest.raises(ProofError):
        merkle.verify_consistency(first, second, ROOTS[first], merkle.root(forked), proof)


@given(st.integers(-3, 80), st.integers(-3, 80), st.lists(st.binary(max_size=40), max_size=9))
def test_garbage_is_refused_and_never_crashes(index: int, size: int, proof: list[bytes]) -> None:
    assert refuses(lambda: merkle.verify_inclusion(index, size, HASHES[0], proof, b"\0" * 32))
    assert refuses(lambda: merkle.verify_consistency(index, size, HASHES[0], b"\0" * 32, proof))


@pytest.mark.parametrize(("first", "second"), [(0, 5), (6, 5), (-1, 5)])
def test_a_prover_refuses_sizes_that_cannot_be_proven(first: int, second: int) -> None:
    with pytest.raises(ProofError):
        merkle.consistency_proof(first, second, subtree)
    with pytest.raises(ProofError):
        merkle.inclusion_proof(second, second, subtree)
