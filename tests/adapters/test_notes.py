"""Note signatures against the public notes and the worked example."""

from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

import adapters.notes
from adapters.notes import NoteVerifier, note_signer
from domain.errors import Malformed, Refused
from domain.secret import Secret
from domain.trail.checkpoint import Checkpoint, sign, signed_at
from domain.trail.notes import Algorithm, Note, NoteVerifying, VerifierKey, from_base64
from tests.vectors import key, load

VERIFIER: NoteVerifying = NoteVerifier()
NOTES = load("notes")
PETER = NOTES["peter_neumann"]
EXAMPLE = load("checkpoint")
CHECKPOINT = Checkpoint.parse(EXAMPLE["text"])
WRITTEN = Note.decode(
    (EXAMPLE["text"] + "\n" + "".join(k["line"] for k in EXAMPLE["keys"])).encode()
)


@pytest.mark.parametrize(
    ("vkey", "signed"),
    [
        (NOTES["c2sp"]["vkey"], NOTES["c2sp"]["signed"]),
        (PETER["vkey"], PETER["text"] + "\n" + PETER["line"]),
        (NOTES["enoch_root"]["vkey"], PETER["text"] + "\n" + NOTES["enoch_root"]["line"]),
    ],
)
def test_the_public_notes_are_authentic(vkey: str, signed: str) -> None:
    note, public = Note.decode(signed.encode()), VerifierKey.parse(vkey)
    ((_, signature),) = note.signed_by([public])
    parts = (public.algorithm, public.public_key)
    assert VERIFIER.verify(*parts, note.text.encode(), signature.value)
    assert not VERIFIER.verify(*parts, note.text.encode()[1:], signature.value)
    assert not VERIFIER.verify(*parts, note.text.encode(), signature.value[1:])


def test_a_public_secret_key_signs_its_public_note() -> None:
    seed = from_base64(PETER["skey"].split("+", 4)[4])[1:]
    signer = note_signer("PeterNeumann", Algorithm.ED25519, Secret(seed))
    assert signer.key.text == PETER["vkey"]
    line = PETER["line"]
    (signature,) = Note.decode(f"{PETER['text']}\n{line}".encode()).signatures
    assert signer.sign(PETER["text"].encode()) == signature.value


@pytest.mark.parametrize(("vector", "at"), [*zip(EXAMPLE["keys"], range(3), strict=True)])
def test_the_worked_example_is_authentic_and_made_again(vector: dict[str, Any], at: int) -> None:
    algorithm = Algorithm(vector["algorithm"])
    signer = note_signer(vector["name"], algorithm, Secret(key(vector["seed_label"])))
    assert signer.key.text == vector["vkey"]
    assert signed_at(CHECKPOINT, signer.key, WRITTEN.signatures[at], VERIFIER) == vector["time_s"]
    again = sign(CHECKPOINT, signer, vector["time_s"])
    assert signed_at(CHECKPOINT, signer.key, again, VERIFIER) == vector["time_s"]
    if algorithm is not Algorithm.ML_DSA_44_COSIGNATURE:  # which is hedged with randomness
        assert again.line == vector["line"]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_bytes_of_any_size_only_fail_to_verify(algorithm: Algorithm) -> None:
    assert not VERIFIER.verify(algorithm, b"", b"", b"")
    assert not VERIFIER.verify(algorithm, bytes(1312), b"message", bytes(2420))


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize(
    ("name", "seed", "code"),
    [("a b", bytes(32), "VKEY"), ("", bytes(32), "VKEY"), ("name", bytes(31), "WRONG_SIZE")],
)
def test_a_signer_has_a_name_and_a_seed(
    algorithm: Algorithm, name: str, seed: bytes, code: str
) -> None:
    with pytest.raises(Malformed) as refusal:
        note_signer(name, algorithm, Secret(seed))
    assert refusal.value.code == code


def test_a_build_without_ml_dsa_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        @staticmethod
        def from_seed_bytes(seed: bytes) -> None:
            raise UnsupportedAlgorithm("ML-DSA")

        from_public_bytes = from_seed_bytes

    monkeypatch.setattr(adapters.notes, "MLDSA44PrivateKey", Absent)
    monkeypatch.setattr(adapters.notes, "MLDSA44PublicKey", Absent)
    algorithm = Algorithm.ML_DSA_44_COSIGNATURE
    with pytest.raises(Refused, match="leave keys of type 6 out") as refusal:
        note_signer("name", algorithm, Secret(bytes(32)))
    assert refusal.value.code == "ALGORITHM_UNAVAILABLE"
    with pytest.raises(Refused, match="ALGORITHM_UNAVAILABLE"):
        VERIFIER.verify(algorithm, bytes(1312), b"message", bytes(2420))
