"""Sealing: the byte formats of fields, data keys and releases (docs/formats.md). Pure.

The cryptography stands behind `Sealing` and `Signing`. All integers are big-endian.
"""

from domain.sealing.fields import (
    BODY_AT,
    HEADER_SIZE,
    NONCE_SIZE,
    TAG_SIZE,
    Context,
    Header,
    Suite,
    bucket,
    header,
    pad,
    parse_header,
    unpad,
)
from domain.sealing.keys import (
    BUNDLE_SIZE,
    KEY_SIZE,
    SLOTS,
    DataKey,
    Scope,
    check_keys,
    commitment,
    decode_bundle,
    encode_bundles,
)
from domain.sealing.ports import OPENING_KEY_SIZE, Sealing, Signing
from domain.sealing.release import KeyRelease

__all__ = [
    "BODY_AT",
    "BUNDLE_SIZE",
    "HEADER_SIZE",
    "KEY_SIZE",
    "NONCE_SIZE",
    "OPENING_KEY_SIZE",
    "SLOTS",
    "TAG_SIZE",
    "Context",
    "DataKey",
    "Header",
    "KeyRelease",
    "Scope",
    "Sealing",
    "Signing",
    "Suite",
    "bucket",
    "check_keys",
    "commitment",
    "decode_bundle",
    "encode_bundles",
    "header",
    "pad",
    "parse_header",
    "unpad",
]
