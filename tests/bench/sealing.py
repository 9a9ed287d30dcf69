"""`seal_field` and `open_field`: one field against the bare cipher with a random nonce."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.sealing import CryptographySealing
from domain.sealing import HEADER_SIZE, NONCE_SIZE, Context, header, pad
from domain.vocabulary import Category
from tests.bench.measuring import Measured, paired, seconds

ROUNDS = 9
FIELDS = 20_000
EPOCH = 1
PATH = "reason"
CLEAR = b"needs a bed in a house that he does not know, from tonight on"
BARE = "AES-256-GCM of the padded bytes with the same associated data and a random nonce"


def seal_field(_: Path) -> Iterator[Measured]:
    """Seal a case note of 61 bytes, padded to 256."""
    dek, context, sealing = sha256(b"bench data key").digest(), _context(), CryptographySealing()
    aead, aad, padded = AESGCM(dek), _aad(context), pad(CLEAR, Category.CASEWORK)
    yield _field(
        "seal_field",
        lambda: sealing.seal_field(dek, context, PATH, Category.CASEWORK, EPOCH, CLEAR),
        lambda: aead.encrypt(os.urandom(NONCE_SIZE), padded, aad),
    )


def open_field(_: Path) -> Iterator[Measured]:
    """Open the same note."""
    dek, context, sealing = sha256(b"bench data key").digest(), _context(), CryptographySealing()
    sealed = sealing.seal_field(dek, context, PATH, Category.CASEWORK, EPOCH, CLEAR)
    aead, aad, nonce = AESGCM(dek), _aad(context), os.urandom(NONCE_SIZE)
    bare = aead.encrypt(nonce, pad(CLEAR, Category.CASEWORK), aad)
    yield _field(
        "open_field",
        lambda: sealing.open_field(dek, context, PATH, Category.CASEWORK, sealed),
        lambda: aead.decrypt(nonce, bare, aad),
    )


def _field(name: str, ours: Callable[[], bytes], bare: Callable[[], bytes]) -> Measured:
    value, ratio = paired(ROUNDS, lambda _: _microseconds(ours), lambda _: _microseconds(bare))
    return Measured(name=name, value=value, unit="us/field", ratio=ratio, against=BARE)


def _microseconds(work: Callable[[], bytes]) -> float:
    def loop() -> None:
        for _ in range(FIELDS):
            work()

    return seconds(loop) / FIELDS * 1e6


def _aad(context: Context) -> bytes:
    return context.aad(header(Category.CASEWORK, EPOCH)[:HEADER_SIZE], PATH)


def _context() -> Context:
    return Context(
        hub="nrm:gb",
        writer="gb-police-0",
        type="nrm.v1.CaseOpened",
        version=1,
        seal_fp=sha256(b"bench schema").digest(),
        case_id="11111111-1111-4111-8111-111111111111",
        event_id="22222222-2222-7222-8222-222222222222",
    )
