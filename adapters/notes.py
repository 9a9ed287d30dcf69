"""Note signatures: libsodium verifies Ed25519, `cryptography` does the rest.

ML-DSA-44 (FIPS 204) is there only where the OpenSSL under `cryptography` has it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from adapters.signing import Ed25519Signing
from domain.errors import Malformed, Refused
from domain.secret import Secret
from domain.trail.notes import Algorithm, NoteSigning, VerifierKey, is_key_name

_SEED_SIZE = 32
_ED25519 = Ed25519Signing()


class NoteVerifier:
    """`NoteVerifying`."""

    def verify(
        self, algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes
    ) -> bool:
        """Say whether the signature holds."""
        if algorithm is not Algorithm.ML_DSA_44_COSIGNATURE:
            return _ED25519.verify(public_key, message, signature)
        with _ml_dsa():
            try:
                key = MLDSA44PublicKey.from_public_bytes(public_key)
                key.verify(signature, message)
            except (InvalidSignature, ValueError):
                return False
        return True


class Ed25519NoteSigner:
    """`NoteSigning` for notes and for Ed25519 cosignatures."""

    def __init__(self, name: str, algorithm: Algorithm, seed: Secret) -> None:
        self._seed = seed
        self.key = VerifierKey(name, algorithm, _ED25519.public_key(seed.reveal()))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return _ED25519.sign(self._seed.reveal(), message)


class MlDsaNoteSigner:
    """`NoteSigning` for ML-DSA-44 cosignatures; two signatures of one message differ."""

    def __init__(self, name: str, seed: Secret) -> None:
        with _ml_dsa():
            self._private = MLDSA44PrivateKey.from_seed_bytes(seed.reveal())
        public = self._private.public_key().public_bytes_raw()
        self.key = VerifierKey(name, Algorithm.ML_DSA_44_COSIGNATURE, public)

    def sign(self, message: bytes) -> bytes:
        """Return the 2420-byte signature."""
        return self._private.sign(message)


def note_signer(name: str, algorithm: Algorithm, seed: Secret) -> NoteSigning:
    """Return the signer of a key called `name`, from its 32-byte seed.

    `Malformed` VKEY for a name that no note can carry, WRONG_SIZE for another seed,
    `Refused` ALGORITHM_UNAVAILABLE when this build cannot sign so.
    """
    if not is_key_name(name):
        raise Malformed("VKEY", "a key's name has no spaces and no plus and is not empty")
    if len(seed.reveal()) != _SEED_SIZE:
        raise Malformed("WRONG_SIZE", f"a seed is {_SEED_SIZE} bytes")
    if algorithm is Algorithm.ML_DSA_44_COSIGNATURE:
        return MlDsaNoteSigner(name, seed)
    return Ed25519NoteSigner(name, algorithm, seed)


@contextmanager
def _ml_dsa() -> Iterator[None]:
    try:
        yield
    except UnsupportedAlgorithm:
        raise Refused(
            "ALGORITHM_UNAVAILABLE",
            "the OpenSSL of this build has no ML-DSA-44: install the wheel of cryptography 50,"
            " or leave keys of type 6 out of the policy",
        ) from None
