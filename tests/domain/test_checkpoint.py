"""Checkpoints and the messages over them against the worked example and C2SP."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.checkpoint import Checkpoint, from_decimal, sign, signed_at
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.notes import Algorithm, Note, Signature, VerifierKey, to_base64
from tests.vectors import load

VECTOR = load("checkpoint")
EXAMPLE = Checkpoint(VECTOR["origin"], VECTOR["size"], bytes.fromhex(VECTOR["root"]))
HASH = to_base64(bytes(32))

origins = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
checkpoints = st.builds(
    Checkpoint, origins, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32)
)


@dataclass(frozen=True)
class Writing:
    """A signer, and a verifier, whose signature is the message itself."""

    key: VerifierKey

    def sign(self, message: bytes) -> bytes:
        return message

    def verify(
        self, algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes
    ) -> bool:
        return (algorithm, public_key, message) == (*self.key[1:], signature)


def a_key(algorithm: Algorithm) -> VerifierKey:
    return VerifierKey("witness.example", algorithm, bytes(32))


def value(vector: dict[str, Any]) -> Signature:
    return Note.decode(f"text\n\n{vector['line']}".encode()).signatures[0]


def test_the_worked_example_has_its_text() -> None:
    assert EXAMPLE.text == VECTOR["text"]
    assert Checkpoint.parse(VECTOR["text"]) == EXAMPLE


@pytest.mark.parametrize("vector", VECTOR["keys"])
def test_each_kind_of_key_signs_its_message(vector: dict[str, Any]) -> None:
    writing = Writing(VerifierKey.parse(vector["vkey"]))
    signed = sign(EXAMPLE, writing, vector["time_s"]).value
    assert signed[-len(vector["message"]) // 2 :].hex() == vector["message"]
    timed = vector["algorithm"] != Algorithm.ED25519
    assert signed[: 8 * timed] == value(vector).value[: 8 * timed]


@given(checkpoints, st.sampled_from(Algorithm), st.integers(0, 2**63 - 1))
def test_a_signature_gives_its_time(
    checkpoint: Checkpoint, algorithm: Algorithm, time_s: int
) -> None:
    if len(checkpoint.origin.encode()) > 255:
        return
    writing = Writing(a_key(algorithm))
    signature = sign(checkpoint, writing, time_s)
    wanted = 0 if algorithm is Algorithm.ED25519 else time_s
    assert signed_at(checkpoint, writing.key, signature, writing) == wanted


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_signature_is_over_every_part(algorithm: Algorithm) -> None:
    writing = Writing(a_key(algorithm))
    signature = sign(EXAMPLE, writing, 1)
    for other in (
        EXAMPLE._replace(origin="other"),
        EXAMPLE._replace(size=8),
        EXAMPLE._replace(root=bytes(32)),
    ):
        assert signed_at(other, writing.key, signature, writing) is None


@pytest.mark.parametrize(
    "algorithm", [Algorithm.ED25519_COSIGNATURE, Algorithm.ML_DSA_44_COSIGNATURE]
)
@pytest.mark.parametrize("cut", [b"", bytes(7), (2**63).to_bytes(8, "big") + bytes(64)])
def test_a_cosignature_without_a_time_of_our_era_does_not_hold(
    algorithm: Algorithm, cut: bytes
) -> None:
    key = a_key(algorithm)
    assert signed_at(EXAMPLE, key, Signature(key.name, key.id, cut), Writing(key)) is None


def test_ml_dsa_signs_short_names_alone() -> None:
    writing = Writing(a_key(Algorithm.ML_DSA_44_COSIGNATURE))
    with pytest.raises(Malformed, match="255"):
        sign(EXAMPLE._replace(origin="o" * 256), writing, 1)


@given(checkpoints)
def test_a_checkpoint_reads_as_it_was_written(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n7\n",
        f"origin\n7\n{HASH}",
        f"\n7\n{HASH}\n",
        f"origin\n07\n{HASH}\n",
        f"origin\n+7\n{HASH}\n",
        f"origin\n-7\n{HASH}\n",
        f"origin\n\N{ARABIC-INDIC DIGIT SEVEN}\n{HASH}\n",
        f"origin\n7 \n{HASH}\n",
        f"origin\n{2**63}\n{HASH}\n",
        f"origin\n{'9' * 5000}\n{HASH}\n",
        f"origin\n0\n{HASH}\n",
        f"origin\n7\n{HASH[:-1]}\n",
        f"origin\n7\n{to_base64(bytes(31))}\n",
        f"origin\n7\n{HASH}\nextension\n",
        f"origin\n7\n{HASH}\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        Checkpoint.parse(text)
    assert refusal.value.code == "CHECKPOINT"


def test_the_empty_log_has_the_empty_root() -> None:
    empty = Checkpoint("origin", 0, EMPTY_ROOT)
    assert Checkpoint.parse(empty.text) == empty


def test_numbers_are_below_two_to_the_63() -> None:
    assert from_decimal(str(2**63 - 1)) == 2**63 - 1
