"""Proofs of entries (C2SP tlog-proof) against the public examples and the worked one."""

from hashlib import sha256

import pytest
from hypothesis import given

from domain.errors import Malformed, NotAuthentic
from domain.trail.notes import to_base64
from domain.trail.proof import Proof
from tests.domain.worked_example import LINES, POLICY, SIGNED, VERIFIER, broken, note
from tests.vectors import key, load

VECTOR = load("tlog_proof")
WHOLE = VECTOR["head"].encode() + SIGNED
LEAF = bytes.fromhex(VECTOR["leaf_hash"])
HASH = to_base64(bytes(32))
HEADER = "c2sp.org/tlog-proof@v1"


def test_the_worked_example_is_proven() -> None:
    proof = Proof.decode(WHOLE)
    assert proof.index == VECTOR["index"]
    assert proof.encode() == WHOLE
    witnessed = proof.check(LEAF, POLICY, VERIFIER)
    assert witnessed.checkpoint.size == 7
    assert witnessed.cosigned_s == {"ngo": 1767225607, "neighbour": 1767225608}


def test_the_public_examples_are_written_as_they_stand() -> None:
    one, two = sha256(b"hash1").digest(), sha256(b"hash2").digest()
    written = Proof(5, (one, two), b"test checkpoint\n").encode()
    lines = [HEADER, "index 5", to_base64(one), to_base64(two), "", "test checkpoint", ""]
    assert written.decode().split("\n") == lines
    assert Proof(0, (), b"checkpoint\n").encode() == f"{HEADER}\nindex 0\n\ncheckpoint\n".encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        f"{HEADER}\nindex 0",
        f"{HEADER}\nindex 0\n",
        f"{HEADER}\nindex 0\n{HASH}\n",
        f"{HEADER}\r\nindex 0\n\nnote\n",
        "wrong-header\nindex 0\n\nnote\n",
        f"{HEADER}\n\n\nnote\n",
        f"{HEADER}\nindex notanumber\n\nnote\n",
        f"{HEADER}\nindex -5\n\nnote\n",
        f"{HEADER}\nindex 05\n\nnote\n",
        f"{HEADER}\nindex {2**63}\n\nnote\n",
        f"{HEADER}\nindex 0\n!!notbase64!!\n\nnote\n",
        f"{HEADER}\nindex 0\n{to_base64(bytes(64))}\n\nnote\n",
        f"{HEADER}\nindex 0\n{HASH[:-1]}\n\nnote\n",
        f"{HEADER}\nindex 0\n\N{EM DASH}\n\nnote\n",
        f"{HEADER}\nextra AAAA\nindex 0\n\nnote\n",
        f"{HEADER}\nindex 0\n" + f"{HASH}\n" * 64 + "\nnote\n",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        Proof.decode(text.encode())
    assert refusal.value.code == "PROOF"


@pytest.mark.parametrize(
    ("leaf_hash", "proof", "code"),
    [
        (key("another"), WHOLE, "BAD_INCLUSION"),
        (LEAF, WHOLE.replace(b"index 0", b"index 1"), "BAD_INCLUSION"),
        (LEAF, WHOLE.replace(b"index 0", b"index 7"), "BAD_INCLUSION"),
        (LEAF, WHOLE.replace(b"index 0\n", b"index 0\n" + HASH.encode() + b"\n"), "BAD_INCLUSION"),
        (LEAF, VECTOR["head"].encode() + note(*LINES[:2]), "QUORUM"),
        (LEAF, VECTOR["head"].encode() + note(*LINES[1:]), "LOG_SIGNATURE"),
        (LEAF, VECTOR["head"].encode() + b"\n" + SIGNED, "CHECKPOINT"),
    ],
)
def test_a_proof_of_something_else_is_refused(leaf_hash: bytes, proof: bytes, code: str) -> None:
    with pytest.raises((Malformed, NotAuthentic)) as refusal:
        Proof.decode(proof).check(leaf_hash, POLICY, VERIFIER)
    assert refusal.value.code == code


@given(broken(WHOLE))
def test_no_broken_proof_proves(data: bytes) -> None:
    with pytest.raises((Malformed, NotAuthentic)):
        Proof.decode(data).check(LEAF, POLICY, VERIFIER)
