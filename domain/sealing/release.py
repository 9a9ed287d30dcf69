"""A key release: a bundle of data keys sealed to one recipient, signed by who issued it."""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from domain.errors import Malformed
from domain.sealing.encoding import exactly, lp, lp_bytes, lp_split, uint, utf8, uuid_bytes
from domain.sealing.keys import Scope

_FIXED = struct.Struct(">B16s16s32sQBBQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRelease:
    """One bundle (or custodian's share of it) sealed to one recipient's opening key.

    A deposit is a release whose recipient is the custodian. Made in three steps: the facts,
    then `sealed` under `info`, then `signature` over `signed_bytes`.
    """

    release_id: str
    hub: str
    case_id: str
    writer: str
    recipient: str
    recipient_key_fp: bytes
    """SHA-256 of the recipient's 1216-byte opening key."""
    basis: str
    """What allows it, such as a consent id."""
    not_after_ms: int
    shard_index: int = 0
    shard_count: int = 1
    issuer: str
    issued_at_ms: int
    sealed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def scope(self) -> Scope:
        """The scope of the keys inside."""
        return Scope(hub=self.hub, writer=self.writer, case_id=self.case_id)

    @property
    def info(self) -> bytes:
        """The HPKE info under which the bundle is sealed."""
        return (
            b"nrm-fle/1 release\x00"
            + lp(self.hub)
            + lp(self.writer)
            + lp(self.recipient)
            + exactly(32, self.recipient_key_fp)
            + uuid_bytes(self.case_id)
            + uuid_bytes(self.release_id)
            + uint(self.not_after_ms, 8)
            + self._shard()
            + hashlib.sha256(utf8(self.basis)).digest()
        )

    @property
    def signed_bytes(self) -> bytes:
        """What the issuer's Ed25519 signature is over."""
        return b"nrm-fle/1 release-sig\x00" + hashlib.sha256(self.encode()).digest()

    def encode(self) -> bytes:
        """Return the one encoding of every field but the signature."""
        names = (self.hub, self.writer, self.recipient, self.basis, self.issuer)
        return (
            b"\x01"
            + uuid_bytes(self.release_id)
            + uuid_bytes(self.case_id)
            + exactly(32, self.recipient_key_fp)
            + uint(self.not_after_ms, 8)
            + self._shard()
            + uint(self.issued_at_ms, 8)
            + b"".join(map(lp, names))
            + lp_bytes(self.sealed)
        )

    @classmethod
    def decode(cls, data: bytes, signature: bytes) -> Self:
        """Return the release that `encode` gave as `data`, or raise `Malformed` BAD_RELEASE."""
        try:
            fixed = _FIXED.unpack_from(data)
            _, release_id, case_id, key_fp, not_after, index, count, issued = fixed
            hub, writer, recipient, basis, issuer, sealed = lp_split(data[_FIXED.size :])
            release = cls(
                release_id=str(UUID(bytes=release_id)),
                hub=hub.decode(),
                case_id=str(UUID(bytes=case_id)),
                writer=writer.decode(),
                recipient=recipient.decode(),
                recipient_key_fp=key_fp,
                basis=basis.decode(),
                not_after_ms=not_after,
                shard_index=index,
                shard_count=count,
                issuer=issuer.decode(),
                issued_at_ms=issued,
                sealed=sealed,
                signature=signature,
            )
        except (struct.error, ValueError) as e:
            raise Malformed("BAD_RELEASE", f"{len(data)} bytes are no key release") from e
        if release.encode() != data:
            raise Malformed("BAD_RELEASE", "a key release has one encoding only")
        return release

    def _shard(self) -> bytes:
        if not 0 <= self.shard_index < self.shard_count:
            raise Malformed("BAD_SHARD", f"shard {self.shard_index} of {self.shard_count}")
        return uint(self.shard_index, 1) + uint(self.shard_count, 1)
